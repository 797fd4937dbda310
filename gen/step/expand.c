/* expand: a plan's operations become codelet calls, rank by rank.
 *   reads    plan (four decisions), batch, model, codelet table, layout
 *   writes   a program without messages and addresses: marks, loads, calls, clears, adds
 *   fails    only at its door (plan_check)
 *   stands   first of the lowering passes; communicate adds what crosses ranks
 * Forward of a stage: pre, core, post of its layers, at the level that the plan keeps. Backward:
 * before a layer that gave up more than lean its rebuild, from the nearest layer whose input
 * stands; head and loss open the last stage's backward. Then the step ends: shares of gradients are
 * added at home, norms, clip, update. Why head and loss open B and each kept tensor is a buffer of
 * its own: docs/ARCHITECTURE.md, "Choices that are not obvious". */
#include <string.h>

#include "gen/base/hash.h"
#include "gen/step/lower.h"

/* One operation's place: a chunk on a stage. */
typedef struct Spot {
    Lowering        *lowering;
    int              rank, chunk, stage;
    const Chunk     *at;
    const PlanStage *range;
    bool             opens, closes; /* the stage starts, ends the pipeline                       */
    bool             splits;        /* W stands in the order                                     */
    bool            *rebuilt;       /* [layers] of this chunk on this stage                      */
} Spot;

static Level level_of(const Spot *spot, int layer)
{
    return (Level)spot->at->recompute[layer];
}

static void call_part(const Spot *spot, int layer, Part part, Direction direction, Level level,
                      Half half)
{
    int codelet = codelet_find(spot->lowering->codelets, part, direction, level, half);
    if (codelet < 0)
        bug("the codelet table has no %s, direction %d, level %d, half %d", part_names[part],
            (int)direction, (int)level, (int)half);
    lower_call(spot->lowering, spot->rank, spot->chunk, layer, codelet);
}

/* Half layers count 2 l (pre and core) and 2 l + 1 (post). */
static void forward_half(const Spot *spot, int half, Direction direction, Level level)
{
    int layer = half / 2;
    if (half % 2) {
        call_part(spot, layer, PART_POST, direction, level, HALF_BOTH);
    } else {
        call_part(spot, layer, PART_PRE, direction, level, HALF_BOTH);
        call_part(spot, layer, PART_CORE, direction, level, HALF_BOTH);
    }
}

/* The head of a forward-only program. In training it opens backward. */
static void expand_head(const Spot *spot)
{
    bool evaluate = spot->lowering->program->kind == PW_EVALUATE;
    if (evaluate)
        lower_load(spot->lowering, spot->rank, spot->chunk, true);
    call_part(spot, (int)spot->lowering->model->layers, PART_HEAD,
              evaluate ? DIRECTION_EVALUATE : DIRECTION_SAMPLE, LEVEL_BARE, HALF_BOTH);
}

static void expand_forward(const Spot *spot)
{
    if (spot->opens) {
        if (spot->lowering->program->kind != PW_GENERATE || spot->chunk == 0)
            lower_load(spot->lowering, spot->rank, spot->chunk, false);
        call_part(spot, -1, PART_EMBED, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    }
    for (int half = spot->range->first; half < spot->range->past; half++)
        forward_half(spot, half, DIRECTION_FORWARD, level_of(spot, half / 2));
    if (spot->closes && spot->lowering->program->kind != PW_TRAIN)
        expand_head(spot);
}

/* Rebuilds `layer` and those before it up to the nearest whose input stands. A post that makes the
 * next layer's input runs whole; the last one stops short of it. */
static void rebuild_layers(const Spot *spot, int layer)
{
    const PlanStage *range = spot->range;
    int              first = layer;
    while (level_of(spot, first) == LEVEL_NONE && 2 * first > range->first)
        first--;
    for (int half = 2 * first; half < 2 * layer + 2; half++) {
        if (half < range->first || half >= range->past)
            continue;
        int  at       = half / 2;
        bool given_up = level_of(spot, at) >= LEVEL_INPUT;
        if (half % 2 && at < layer)
            forward_half(spot, half, DIRECTION_FORWARD, given_up ? LEVEL_ALL : level_of(spot, at));
        else if (given_up)
            forward_half(spot, half, DIRECTION_REBUILD, LEVEL_ALL);
    }
    for (int at = first; at <= layer; at++)
        spot->rebuilt[at] = true;
}

static bool needs_rebuild(const Spot *spot, int layer)
{
    return level_of(spot, layer) >= LEVEL_INPUT && !spot->rebuilt[layer];
}

static void expand_rebuild(const Spot *spot)
{
    for (int half = spot->range->past - 1; half >= spot->range->first; half--)
        if (needs_rebuild(spot, half / 2))
            rebuild_layers(spot, half / 2);
}

static void backward_half(const Spot *spot, int half, Half of)
{
    int   layer = half / 2;
    Level level = level_of(spot, layer) == LEVEL_LEAN ? LEVEL_LEAN : LEVEL_ALL;
    if (half % 2) {
        call_part(spot, layer, PART_POST, DIRECTION_BACKWARD, level, of);
        return;
    }
    if (of != HALF_DW)
        call_part(spot, layer, PART_CORE, DIRECTION_BACKWARD, level, of);
    call_part(spot, layer, PART_PRE, DIRECTION_BACKWARD, level, of);
}

static void expand_backward(const Spot *spot)
{
    int  layers = (int)spot->lowering->model->layers;
    Half of     = spot->splits ? HALF_DX : HALF_BOTH;
    if (spot->closes) {
        lower_load(spot->lowering, spot->rank, spot->chunk, true);
        call_part(spot, layers, PART_HEAD, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    }
    for (int half = spot->range->past - 1; half >= spot->range->first; half--) {
        if (needs_rebuild(spot, half / 2))
            rebuild_layers(spot, half / 2);
        backward_half(spot, half, of);
    }
    if (spot->opens) {
        lower_load(spot->lowering, spot->rank, spot->chunk, false);
        call_part(spot, -1, PART_EMBED, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    }
}

static void expand_weights(const Spot *spot)
{
    for (int half = spot->range->past - 1; half >= spot->range->first; half--)
        backward_half(spot, half, HALF_DW);
}

/* What is known of a chunk on a stage: whether W stands in the order, which layers are rebuilt. */
typedef struct Marks {
    bool  *splits;  /* [npairs]         */
    bool **rebuilt; /* [npairs][layers] */
    int   *base;    /* [nchunks] index of the chunk's stage 0 */
} Marks;

static Marks find_marks(const Lowering *lowering)
{
    const Plan *plan  = lowering->plan;
    Marks       marks = {.base = REGION_ARRAY(lowering->region, int, plan->nchunks)};
    int         pairs = 0;
    for (int chunk = 0; chunk < plan->nchunks; chunk++) {
        marks.base[chunk] = pairs;
        pairs += plan_pipeline(plan, chunk)->nstages;
    }
    marks.splits  = REGION_ARRAY(lowering->region, bool, pairs);
    marks.rebuilt = REGION_ARRAY(lowering->region, bool *, pairs);
    for (int pair = 0; pair < pairs; pair++)
        marks.rebuilt[pair] = REGION_ARRAY(lowering->region, bool, lowering->model->layers);
    for (int rank = 0; rank < plan->nranks; rank++)
        for (int i = 0; i < plan->order[rank].count; i++) {
            const PlanOperation *operation = &plan->order[rank].operations[i];
            if (operation->letter == 'W')
                marks.splits[marks.base[operation->chunk] + operation->stage] = true;
        }
    return marks;
}

static void expand_operation(Lowering *lowering, const Marks *marks, int rank, int index)
{
    const Plan          *plan      = lowering->plan;
    const PlanOperation *operation = &plan->order[rank].operations[index];
    const Chunk         *chunk     = &plan->chunks[operation->chunk];
    const Pipeline      *pipeline  = plan_pipeline(plan, operation->chunk);
    int                  pair      = marks->base[operation->chunk] + operation->stage;
    Spot                 spot      = {.lowering = lowering,
                                      .rank     = rank,
                                      .chunk    = operation->chunk,
                                      .stage    = operation->stage,
                                      .at       = chunk,
                                      .range    = &pipeline->stages[operation->stage],
                                      .opens    = operation->stage == 0,
                                      .closes   = operation->stage == pipeline->nstages - 1,
                                      .splits   = marks->splits[pair],
                                      .rebuilt  = marks->rebuilt[pair]};
    lower_mark(lowering, rank, index);
    switch (operation->letter) {
    case 'F':
        expand_forward(&spot);
        break;
    case 'R':
        expand_rebuild(&spot);
        break;
    case 'B':
        expand_backward(&spot);
        break;
    case 'W':
        expand_weights(&spot);
        break;
    default:
        bug("operation %c passed plan_check", operation->letter);
    }
}

/* ---- the end of the step ---- */

static void add_share(Lowering *lowering, int rank, int sum, const char *share)
{
    const Buffer *to   = &lowering->program->ranks[rank].buffers[sum];
    int64_t       rows = to->rows, row_bytes = to->row_bytes;
    int           from     = lower_buffer(lowering, rank, share, rows, row_bytes);
    Operand      *operands = REGION_ARRAY(lowering->region, Operand, 2);
    operands[0]            = lower_operand(lowering, rank, sum, ACCESS_ADD);
    operands[1]            = lower_operand(lowering, rank, from, ACCESS_READ);
    Instruction *add       = lower_instruction(lowering, rank, PW_ADD_TO);
    add->operands          = operands;
    add->noperands         = 2;
    add->count             = rows * row_bytes / lowering->real_bytes;
}

/* Adds at home what other ranks made of this weight's gradient, by rank; a tied head's sum comes
 * after the embedding's own. */
static void add_shares(Lowering *lowering, int rank, int sum, int weight, int layer)
{
    for (int other = 0; other < lowering->program->nranks; other++) {
        const char *share = lower_gradient_name(lowering, other, weight, layer);
        int         made  = lower_find(lowering, other, share);
        if (made < 0 || !lower_is_written(lowering, other, made) || (other == rank && made == sum))
            continue;
        add_share(lowering, rank, sum, share);
    }
}

static void finish_gradient(Lowering *lowering, int rank, int tensor)
{
    const LoweredTensor *at    = &lowering->tensors[tensor];
    const Model         *model = lowering->model;
    int                  sum   = lower_find(lowering, rank, at->static_name[STATIC_GRADIENT]);
    if (!lower_is_written(lowering, rank, sum))
        lower_clear(lowering, rank, sum);
    add_shares(lowering, rank, sum, at->weight, at->layer);
    for (int weight = 0; weight < model->nweights; weight++)
        if (model->weights[weight].tied == at->weight)
            add_shares(lowering, rank, sum, weight, (int)model->layers);
}

static int64_t elements(const Lowering *lowering, int tensor)
{
    const ModelWeight *weight = &lowering->model->weights[lowering->tensors[tensor].weight];
    return weight->rows * weight->columns;
}

static void expand_end(Lowering *lowering, int rank)
{
    lower_mark(lowering, rank, -1);
    for (int tensor = 0; tensor < lowering->ntensors; tensor++)
        if (lowering->tensors[tensor].home == rank) {
            finish_gradient(lowering, rank, tensor);
            lower_update(lowering, rank, tensor, "grad_norm", elements(lowering, tensor));
        }
    lower_update(lowering, rank, -1, "clip", lowering->program->nlosses);
    for (int tensor = 0; tensor < lowering->ntensors; tensor++)
        if (lowering->tensors[tensor].home == rank) {
            bool decays = lowering->model->weights[lowering->tensors[tensor].weight].decays;
            lower_update(lowering, rank, tensor, decays ? "adamw" : "adamw_plain",
                         elements(lowering, tensor));
        }
}

static void name_plan(Program *program, const Plan *plan)
{
    Text text = text_new(program->region);
    plan_print(plan, &text);
    memcpy(program->plan_hash, hash_bytes(program->region, text.at, text.length), 64);
}

/* Every operation of the plan, rank by rank. */
static void expand_orders(Lowering *lowering)
{
    const Plan *plan  = lowering->plan;
    Marks       marks = find_marks(lowering);
    for (int rank = 0; rank < plan->nranks; rank++)
        for (int i = 0; i < plan->order[rank].count; i++)
            expand_operation(lowering, &marks, rank, i);
}

Program *expand(Region *region, const Plan *plan, const Batch *batch, const Model *model,
                const Codelets *codelets, const Layout *layout, Error *error)
{
    if (!plan_check(plan, model, batch, layout, error))
        return NULL;
    Lowering *lowering = lowering_new(region, PW_TRAIN, plan, batch, model, codelets, layout);
    expand_orders(lowering);
    for (int rank = 0; rank < plan->nranks; rank++)
        expand_end(lowering, rank);
    name_plan(lowering->program, plan);
    return lowering->program;
}

/* ---- forward only ---- */

static Plan *forward_plan(Region *region, const Layout *layout, const Model *model)
{
    Plan     *plan     = REGION_NEW(region, Plan);
    Pipeline *pipeline = REGION_NEW(region, Pipeline);
    *plan              = (Plan){.policy     = "forward",
                                .nranks     = layout->nranks,
                                .layers     = model->layers,
                                .pipelines  = pipeline,
                                .npipelines = 1,
                                .order      = REGION_ARRAY(region, Order, layout->nranks)};
    *pipeline          = (Pipeline){.stages     = REGION_ARRAY(region, PlanStage, layout->nstages),
                                    .nstages    = layout->nstages,
                                    .weights    = "resident",
                                    .vocabulary = "last"};
    for (int stage = 0; stage < layout->nstages; stage++) {
        const LayoutStage *from        = &layout->stages[stage];
        pipeline->stages[stage]        = (PlanStage){.ranks  = REGION_NEW(region, int),
                                                     .nranks = 1,
                                                     .first  = from->first,
                                                     .past   = from->past};
        *pipeline->stages[stage].ranks = from->rank;
    }
    return plan;
}

static void add_segment(Region *region, Chunk *chunk, int *room, Segment segment)
{
    REGION_APPEND(region, chunk->segments, chunk->nsegments, *room, segment);
    chunk->tokens += segment.length;
}

/* Chunk by chunk through the stages. */
static void order_forwards(Region *region, Plan *plan)
{
    const Pipeline *pipeline = plan->pipelines;
    for (int rank = 0; rank < plan->nranks; rank++) {
        Order *order      = &plan->order[rank];
        order->operations = REGION_ARRAY(region, PlanOperation, plan->nchunks * pipeline->nstages);
        for (int chunk = 0; chunk < plan->nchunks; chunk++)
            for (int stage = 0; stage < pipeline->nstages; stage++)
                if (pipeline->stages[stage].ranks[0] == rank)
                    order->operations[order->count++] = (PlanOperation){'F', chunk, stage};
    }
}

static void keep_nothing(Region *region, Plan *plan)
{
    uint8_t *levels = REGION_ARRAY(region, uint8_t, plan->layers);
    for (int64_t layer = 0; layer < plan->layers; layer++)
        levels[layer] = LEVEL_NONE;
    for (int chunk = 0; chunk < plan->nchunks; chunk++)
        plan->chunks[chunk].recompute = levels;
}

/* Sequences in order: those longer than a chunk are cut, others share one as long as they fit. */
static void fill_chunks(Region *region, Plan *plan, const Batch *batch, int64_t limit)
{
    int chunk_room = 0, segment_room = 0, open = -1;
    plan->nsequences = batch->nsequences;
    plan->sequences  = REGION_ARRAY(region, int64_t, batch->nsequences);
    for (int sequence = 0; sequence < batch->nsequences; sequence++) {
        int64_t length            = batch->sequences[sequence].length;
        plan->sequences[sequence] = length;
        for (int64_t start = 0; start < length; start += limit) {
            int64_t part = length - start < limit ? length - start : limit;
            bool    fits = open >= 0 && start == 0 && plan->chunks[open].tokens + part <= limit;
            if (!fits) {
                REGION_APPEND(region, plan->chunks, plan->nchunks, chunk_room, ((Chunk){0}));
                segment_room = 0;
                open         = plan->nchunks - 1;
            }
            add_segment(region, &plan->chunks[open], &segment_room,
                        (Segment){sequence, start, part});
        }
    }
}

Program *expand_evaluate(Region *region, const Batch *batch, int64_t chunk, const Model *model,
                         const Codelets *codelets, const Layout *layout, Error *error)
{
    if (chunk <= 0 || batch->nsequences == 0) {
        error_input(error, "nothing to evaluate: %d sequences in chunks of %lld tokens",
                    batch->nsequences, (long long)chunk);
        return NULL;
    }
    Plan *plan = forward_plan(region, layout, model);
    plan->step = batch->step;
    fill_chunks(region, plan, batch, chunk);
    keep_nothing(region, plan);
    order_forwards(region, plan);
    Lowering *lowering = lowering_new(region, PW_EVALUATE, plan, batch, model, codelets, layout);
    expand_orders(lowering);
    return lowering->program;
}

Program *expand_generate(Region *region, int64_t prompt, int64_t tokens, const Model *model,
                         const Codelets *codelets, const Layout *layout, Error *error)
{
    if (prompt <= 0 || tokens <= 0 || tokens > model->context ||
        prompt > model->context + 1 - tokens) {
        error_input(error,
                    "%lld tokens after a prompt of %lld: at least one of both, and all but the "
                    "last within the context of %lld",
                    (long long)tokens, (long long)prompt, (long long)model->context);
        return NULL;
    }
    Plan *plan       = forward_plan(region, layout, model);
    plan->nsequences = 1;
    plan->sequences  = REGION_NEW(region, int64_t);
    *plan->sequences = prompt + tokens - 1;
    plan->nchunks    = (int)tokens;
    plan->chunks     = REGION_ARRAY(region, Chunk, tokens);
    for (int chunk = 0; chunk < tokens; chunk++) {
        int     room    = 0;
        Segment segment = {0, chunk ? prompt + chunk - 1 : 0, chunk ? 1 : prompt};
        add_segment(region, &plan->chunks[chunk], &room, segment);
    }
    keep_nothing(region, plan);
    order_forwards(region, plan);
    Lowering *lowering = lowering_new(region, PW_GENERATE, plan, NULL, model, codelets, layout);
    expand_orders(lowering);
    return lowering->program;
}
