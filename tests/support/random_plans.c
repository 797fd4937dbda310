/* random_plans: see random_plans.h. Valid by construction: pieces of sequences are dealt in one
 * list and chunks are runs of it, so chains cannot cross; orders are one random walk over all
 * ranks, which only ever takes an operation that may come next. */
#include "tests/support/random_plans.h"

#include <string.h>

#include "gen/base/random.h"

static const char *const feature_names[PLAN_FEATURES] = {
    "two or more chains of three or more chunks",
    "hybrid chunks",
    "mixed levels",
    "W apart",
    "W and R apart",
    "several stages a rank",
    "several pipelines"};

enum { MOST_CUTS = 5, MOST_PIPELINES = 2, LONGEST = 40 };

typedef struct Walk {
    Region      *region;
    const Model *model;
    Plan        *plan;
    uint64_t     state;
} Walk;

static int below(Walk *walk, int limit)
{
    return (int)random_below(&walk->state, limit);
}

static bool chance(Walk *walk, int percent)
{
    return below(walk, 100) < percent;
}

/* Borders of a pipeline: `nstages` ranges of half layers; now and then an outer one is empty. */
static void make_stages(Walk *walk, Pipeline *pipeline, int nranks, int per_rank)
{
    int  halves             = 2 * (int)walk->model->layers;
    int  most               = nranks * per_rank < halves ? nranks * per_rank : halves;
    bool chosen[2 * 64 + 1] = {false};
    pipeline->nstages       = most == 1 ? 1 : 1 + below(walk, most);
    pipeline->stages        = REGION_ARRAY(walk->region, PlanStage, pipeline->nstages + 1);
    pipeline->weights       = "resident";
    pipeline->vocabulary    = "last";
    bool whole              = chance(walk, 50) && pipeline->nstages <= halves / 2;
    for (int i = 1; i < pipeline->nstages;) {
        int border = whole ? 2 * (1 + below(walk, halves / 2 - 1)) : 1 + below(walk, halves - 1);
        i += !chosen[border];
        chosen[border] = true;
    }
    int shift = below(walk, nranks), border = 0;
    if (chance(walk, 5)) {
        pipeline->stages[0] = (PlanStage){REGION_NEW(walk->region, int), 1, 0, 0};
        pipeline->nstages++;
        chosen[0] = true;
    }
    for (int s = chosen[0]; s < pipeline->nstages; s++) {
        pipeline->stages[s].first = border;
        do
            border++;
        while (border < halves && !chosen[border]);
        pipeline->stages[s].past = border;
    }
    for (int s = 0; s < pipeline->nstages; s++) {
        pipeline->stages[s].ranks  = REGION_NEW(walk->region, int);
        pipeline->stages[s].nranks = 1;
        pipeline->stages[s].ranks[0] =
            chance(walk, 80) ? (s + shift) % nranks : below(walk, nranks);
    }
}

typedef struct Piece {
    int     sequence, pipeline;
    int64_t start, length;
} Piece;

/* Cuts every sequence, deals the pieces into one list; a sequence's stay in their order. */
static int deal_pieces(Walk *walk, Piece *list)
{
    Plan    *plan   = walk->plan;
    bool     chains = chance(walk, 55);
    int     *left   = REGION_ARRAY(walk->region, int, plan->nsequences);
    int64_t *taken  = REGION_ARRAY(walk->region, int64_t, plan->nsequences);
    int     *home   = REGION_ARRAY(walk->region, int, plan->nsequences);
    int      total = 0, count = 0;
    for (int i = 0; i < plan->nsequences; i++) {
        left[i] = chains && i < 2 ? 3 + below(walk, MOST_CUTS - 2)
                                  : 1 + below(walk, chance(walk, 30) ? 4 : 1);
        if (left[i] > plan->sequences[i])
            left[i] = (int)plan->sequences[i];
        home[i] = below(walk, plan->npipelines);
        total += left[i];
    }
    while (count < total) {
        int i = below(walk, plan->nsequences);
        if (left[i] == 0)
            continue;
        int64_t rest   = plan->sequences[i] - taken[i];
        int64_t length = left[i] == 1 ? rest : 1 + random_below(&walk->state, rest - left[i] + 1);
        list[count++]  = (Piece){i, home[i], taken[i], length};
        taken[i] += length;
        left[i]--;
    }
    return count;
}

static bool has_sequence(const Chunk *chunk, int sequence)
{
    for (int i = 0; i < chunk->nsegments; i++)
        if (chunk->segments[i].sequence == sequence)
            return true;
    return false;
}

/* Runs of the pieces of one pipeline become chunks; their numbers are shuffled now and then. */
static void make_chunks(Walk *walk)
{
    Plan  *plan                 = walk->plan;
    Piece *list                 = REGION_ARRAY(walk->region, Piece, MOST_CUTS * plan->nsequences);
    int    npieces              = deal_pieces(walk, list);
    Chunk *open[MOST_PIPELINES] = {NULL};
    int    joining              = below(walk, 3) * 35;
    plan->chunks                = REGION_ARRAY(walk->region, Chunk, npieces);
    for (int i = 0; i < npieces; i++) {
        Chunk *chunk = open[list[i].pipeline];
        if (!chunk || has_sequence(chunk, list[i].sequence) || !chance(walk, joining)) {
            chunk                  = &plan->chunks[plan->nchunks++];
            chunk->pipeline        = list[i].pipeline;
            chunk->segments        = REGION_ARRAY(walk->region, Segment, plan->nsequences);
            chunk->recompute       = REGION_ARRAY(walk->region, uint8_t, walk->model->layers);
            open[list[i].pipeline] = chunk;
        }
        chunk->segments[chunk->nsegments++] =
            (Segment){list[i].sequence, list[i].start, list[i].length};
        chunk->tokens += list[i].length;
    }
    if (chance(walk, 30))
        for (int i = plan->nchunks - 1; i > 0; i--) {
            int   other         = below(walk, i + 1);
            Chunk swapped       = plan->chunks[i];
            plan->chunks[i]     = plan->chunks[other];
            plan->chunks[other] = swapped;
        }
}

/* `level` NLEVELS: another one for every layer of every chunk. A stage's first layer keeps its
 * input. */
static void set_levels(Walk *walk, int level)
{
    Plan *plan = walk->plan;
    for (int k = 0; k < plan->nchunks; k++) {
        Chunk          *chunk    = &plan->chunks[k];
        const Pipeline *pipeline = &plan->pipelines[chunk->pipeline];
        for (int l = 0; l < plan->layers; l++)
            chunk->recompute[l] = (uint8_t)(level == NLEVELS ? below(walk, NLEVELS) : level);
        for (int s = 0; s < pipeline->nstages; s++) {
            int first = pipeline->stages[s].first / 2;
            if (first < plan->layers && chunk->recompute[first] == LEVEL_NONE)
                chunk->recompute[first] = LEVEL_INPUT;
        }
    }
}

static void make_levels(Walk *walk)
{
    int kind = below(walk, 10); /* 0 to 2: all; 3, 4: one level; else mixed */
    int one  = below(walk, NLEVELS);
    set_levels(walk, kind < 3 ? LEVEL_ALL : kind < 5 ? one : NLEVELS);
}

/* The operations of one chunk on one stage: which are wanted, which are done. */
typedef struct Work {
    bool wanted[4], done[4]; /* F B W R */
} Work;

static int places_of(const Plan *plan)
{
    int places = 0;
    for (int k = 0; k < plan->nchunks; k++)
        places += plan->pipelines[plan->chunks[k].pipeline].nstages;
    return places;
}

static Work *work_of(const Plan *plan, Work *work, int chunk, int stage)
{
    for (int k = 0; k < chunk; k++)
        work += plan->pipelines[plan->chunks[k].pipeline].nstages;
    return work + stage;
}

static bool gives_up(const Plan *plan, int chunk, int stage)
{
    const PlanStage *at = &plan->pipelines[plan->chunks[chunk].pipeline].stages[stage];
    for (int half = at->first; half < at->past; half++)
        if (plan->chunks[chunk].recompute[half / 2] >= LEVEL_INPUT)
            return true;
    return false;
}

/* The chunk with the sequence's token `token`, or -1. */
static int chunk_with(const Plan *plan, int sequence, int64_t token)
{
    for (int k = 0; k < plan->nchunks; k++) {
        const Chunk *chunk = &plan->chunks[k];
        for (const Segment *s = chunk->segments; s < chunk->segments + chunk->nsegments; s++)
            if (s->sequence == sequence && s->start <= token && token < s->start + s->length)
                return k;
    }
    return -1;
}

static int earlier_chunk(const Plan *plan, int chunk, int segment)
{
    const Segment *s = &plan->chunks[chunk].segments[segment];
    return s->start == 0 ? -1 : chunk_with(plan, s->sequence, s->start - 1);
}

static int later_chunk(const Plan *plan, int chunk, int segment)
{
    const Segment *s = &plan->chunks[chunk].segments[segment];
    return chunk_with(plan, s->sequence, s->start + s->length);
}

/* Whether the chain's neighbours allow F (the earlier chunk's F done) or B (the later one's B). */
static bool chain_allows(const Plan *plan, Work *work, int chunk, int stage, int letter)
{
    for (int i = 0; i < plan->chunks[chunk].nsegments; i++) {
        int other = letter == 0 ? earlier_chunk(plan, chunk, i) : later_chunk(plan, chunk, i);
        if (other >= 0 && !work_of(plan, work, other, stage)->done[letter])
            return false;
    }
    return true;
}

static bool may_come(const Plan *plan, Work *work, int chunk, int stage, int letter)
{
    const Work *at   = work_of(plan, work, chunk, stage);
    int         last = plan->pipelines[plan->chunks[chunk].pipeline].nstages - 1;
    if (!at->wanted[letter] || at->done[letter])
        return false;
    switch (letter) {
    case 0:
        return (stage == 0 || at[-1].done[0]) && chain_allows(plan, work, chunk, stage, 0);
    case 1:
        return at->done[0] && (!at->wanted[3] || at->done[3]) && (stage == last || at[1].done[1]) &&
               chain_allows(plan, work, chunk, stage, 1);
    case 2:
        return at->done[1];
    default:
        return at->done[0];
    }
}

typedef struct Choice {
    PlanOperation operation;
    int           letter;
} Choice;

/* All that may come next, on any rank. */
static int choices(const Plan *plan, Work *work, Choice *choice)
{
    int count = 0;
    for (int k = 0; k < plan->nchunks; k++)
        for (int s = 0; s < plan->pipelines[plan->chunks[k].pipeline].nstages; s++)
            for (int letter = 0; letter < 4; letter++)
                if (may_come(plan, work, k, s, letter))
                    choice[count++] = (Choice){{"FBWR"[letter], k, s}, letter};
    return count;
}

static void make_order(Walk *walk)
{
    Plan *plan   = walk->plan;
    int   places = places_of(plan);
    Work *work   = REGION_ARRAY(walk->region, Work, places);
    int   split = chance(walk, 55) ? 30 + below(walk, 71) : 0, total = 0, room = 4 * places;
    for (int k = 0; k < plan->nchunks; k++)
        for (int s = 0; s < plan->pipelines[plan->chunks[k].pipeline].nstages; s++) {
            Work *at      = work_of(plan, work, k, s);
            at->wanted[0] = at->wanted[1] = true;
            at->wanted[2]                 = chance(walk, split);
            at->wanted[3]                 = gives_up(plan, k, s) && chance(walk, 60);
            total += 2 + at->wanted[2] + at->wanted[3];
        }
    plan->order = REGION_ARRAY(walk->region, Order, plan->nranks);
    for (int r = 0; r < plan->nranks; r++)
        plan->order[r].operations = REGION_ARRAY(walk->region, PlanOperation, room);
    Choice *choice = REGION_ARRAY(walk->region, Choice, room);
    for (int i = 0; i < total; i++) {
        const Choice *taken = &choice[below(walk, choices(plan, work, choice))];
        const Chunk  *chunk = &plan->chunks[taken->operation.chunk];
        Order        *order =
            &plan->order[plan->pipelines[chunk->pipeline].stages[taken->operation.stage].ranks[0]];
        order->operations[order->count++] = taken->operation;
        work_of(plan, work, taken->operation.chunk, taken->operation.stage)->done[taken->letter] =
            true;
    }
}

/* Takes W out of each of a rank's B, and puts it somewhere later in the rank's list. */
static void split_backwards(Walk *walk, Order *order)
{
    PlanOperation *list    = REGION_ARRAY(walk->region, PlanOperation, 2 * order->count);
    PlanOperation *waiting = REGION_ARRAY(walk->region, PlanOperation, order->count);
    int            count = 0, nwaiting = 0;
    for (int i = 0; i < order->count || nwaiting > 0;) {
        if (nwaiting > 0 && (i == order->count || chance(walk, 40))) {
            int taken      = below(walk, nwaiting);
            list[count++]  = waiting[taken];
            waiting[taken] = waiting[--nwaiting];
            continue;
        }
        PlanOperation operation = order->operations[i++];
        list[count++]           = operation;
        if (operation.letter == 'B')
            waiting[nwaiting++] = (PlanOperation){'W', operation.chunk, operation.stage};
    }
    order->operations = list;
    order->count      = count;
}

static Batch *make_batch(Walk *walk)
{
    Plan  *plan      = walk->plan;
    Batch *batch     = REGION_NEW(walk->region, Batch);
    plan->nsequences = 1 + below(walk, 5);
    plan->sequences  = REGION_ARRAY(walk->region, int64_t, plan->nsequences);
    *batch           = (Batch){.step       = plan->step,
                               .sequences  = REGION_ARRAY(walk->region, Sequence, plan->nsequences),
                               .nsequences = plan->nsequences,
                               .context    = walk->model->context,
                               .position   = plan->nsequences * (plan->step + 1)};
    for (int i = 0; i < plan->nsequences; i++) {
        int64_t length      = chance(walk, 30) ? 1 + below(walk, 4) : 6 + below(walk, LONGEST - 6);
        plan->sequences[i]  = length;
        batch->sequences[i] = (Sequence){i, 0, length, (double)(length - 1)};
        batch->tokens += length;
        batch->weight += (double)(length - 1);
    }
    return batch;
}

static int home_of(Walk *walk, int half)
{
    const Pipeline *pipeline = &walk->plan->pipelines[0];
    int             s        = 0;
    while (s < pipeline->nstages - 1 && half >= pipeline->stages[s].past)
        s++;
    return pipeline->stages[s].ranks[0];
}

static Layout *make_layout(Walk *walk)
{
    const Pipeline *pipeline = &walk->plan->pipelines[0];
    Layout         *layout   = REGION_NEW(walk->region, Layout);
    int             halves   = 2 * (int)walk->model->layers;
    bool            anywhere = chance(walk, 20);
    layout->nranks           = walk->plan->nranks;
    layout->nstages          = pipeline->nstages;
    layout->stages           = REGION_ARRAY(walk->region, LayoutStage, pipeline->nstages);
    for (int s = 0; s < pipeline->nstages; s++)
        layout->stages[s] = (LayoutStage){pipeline->stages[s].ranks[0], pipeline->stages[s].first,
                                          pipeline->stages[s].past};
    layout->homes = REGION_ARRAY(walk->region, int, halves + 4);
    for (int i = 0; i < halves + 4; i++)
        layout->homes[i] = anywhere          ? below(walk, layout->nranks)
                           : i < 2           ? pipeline->stages[0].ranks[0]
                           : i >= halves + 2 ? pipeline->stages[pipeline->nstages - 1].ranks[0]
                                             : home_of(walk, i - 2);
    layout->ranks = REGION_ARRAY(walk->region, RankLayout, layout->nranks);
    for (int r = 0; r < layout->nranks; r++)
        layout->ranks[r].capacity = (int64_t)1 << 40;
    layout_place_statics(walk->region, layout, walk->model);
    return layout;
}

static unsigned chunk_features(Region *region, const Plan *plan)
{
    unsigned features = 0;
    int     *chunks = REGION_ARRAY(region, int, plan->nsequences), chains = 0;
    for (int k = 0; k < plan->nchunks; k++)
        for (int i = 0; i < plan->chunks[k].nsegments; i++)
            chains += ++chunks[plan->chunks[k].segments[i].sequence] == 3;
    if (chains >= 2)
        features |= PLAN_CHAINS;
    for (int k = 0; k < plan->nchunks; k++) {
        const Chunk *chunk = &plan->chunks[k];
        for (int i = 0; i < chunk->nsegments; i++)
            if (chunk->nsegments > 1 && chunks[chunk->segments[i].sequence] > 1)
                features |= PLAN_HYBRID;
        for (int l = 0; l < plan->layers; l++)
            if (chunk->recompute[l] != plan->chunks[0].recompute[0])
                features |= PLAN_MIXED;
    }
    return features;
}

static unsigned plan_features(Region *region, const Plan *plan)
{
    unsigned features = chunk_features(region, plan) | (plan->npipelines > 1 ? PLAN_PIPELINES : 0);
    bool     seen[2]  = {false};
    for (int r = 0; r < plan->nranks; r++)
        for (int i = 0; i < plan->order[r].count; i++) {
            seen[0] |= plan->order[r].operations[i].letter == 'W';
            seen[1] |= plan->order[r].operations[i].letter == 'R';
        }
    if (seen[0])
        features |= PLAN_SPLIT;
    if (seen[0] && seen[1])
        features |= PLAN_APART;
    for (int p = 0; p < plan->npipelines; p++)
        for (int s = 0; s < plan->pipelines[p].nstages; s++)
            for (int t = 0; t < s; t++)
                if (plan->pipelines[p].stages[s].ranks[0] == plan->pipelines[p].stages[t].ranks[0])
                    features |= PLAN_STAGES;
    return features;
}

/* Everything but sequences and ranks. */
static void make_decisions(Walk *walk)
{
    Plan *plan       = walk->plan;
    plan->npipelines = chance(walk, 30) ? MOST_PIPELINES : 1;
    plan->pipelines  = REGION_ARRAY(walk->region, Pipeline, plan->npipelines);
    for (int p = 0; p < plan->npipelines; p++)
        make_stages(walk, &plan->pipelines[p], plan->nranks, chance(walk, 45) ? 3 : 1);
    make_chunks(walk);
    make_levels(walk);
    make_order(walk);
}

static Walk begin_walk(Region *region, const Model *model, uint64_t seed)
{
    if (model->layers < 1 || model->layers > 64)
        bug("random plans are for 1 to 64 layers");
    Plan *plan              = REGION_NEW(region, Plan);
    plan->layers            = model->layers;
    plan->predicted.seconds = -1;
    return (Walk){region, model, plan, random_at(seed, 0x706c616e)};
}

RandomPlan random_plan(Region *region, const Model *model, uint64_t seed)
{
    if (model->context < LONGEST)
        bug("random plans are for a context of at least %d tokens", LONGEST);
    Walk walk         = begin_walk(region, model, seed);
    walk.plan->step   = (int64_t)(seed & 0xffff);
    walk.plan->nranks = 1 + below(&walk, 4);
    Batch *batch      = make_batch(&walk);
    make_decisions(&walk);
    return (RandomPlan){walk.plan, batch, make_layout(&walk), plan_features(region, walk.plan)};
}

RandomPlan random_plan_of(Region *region, const Model *model, Batch *batch, Layout *layout,
                          uint64_t seed)
{
    Walk  walk       = begin_walk(region, model, seed);
    Plan *plan       = walk.plan;
    plan->step       = batch->step;
    plan->nranks     = layout->nranks;
    plan->nsequences = batch->nsequences;
    plan->sequences  = REGION_ARRAY(region, int64_t, batch->nsequences);
    for (int i = 0; i < batch->nsequences; i++)
        plan->sequences[i] = batch->sequences[i].length;
    make_decisions(&walk);
    return (RandomPlan){plan, batch, layout, plan_features(region, plan)};
}

RandomPlan varied_plan(Region *region, const Model *model, Plan *plan, Batch *batch, Layout *layout,
                       uint64_t seed)
{
    Walk walk = begin_walk(region, model, seed);
    walk.plan = plan;
    if (!chance(&walk, 33))
        set_levels(&walk, NLEVELS);
    bool splits = plan_features(region, plan) & PLAN_SPLIT;
    if (!splits && chance(&walk, 50))
        for (int r = 0; r < plan->nranks; r++)
            split_backwards(&walk, &plan->order[r]);
    return (RandomPlan){plan, batch, layout, plan_features(region, plan)};
}

void plan_shares_count(PlanShares *shares, unsigned features, int plans)
{
    shares->plans += plans;
    for (int i = 0; i < PLAN_FEATURES; i++)
        shares->with[i] += features >> i & 1 ? plans : 0;
}

bool plan_shares_print(const PlanShares *shares, int least, FILE *to)
{
    bool good = shares->plans > 0;
    for (int i = 0; good && i < PLAN_FEATURES; i++)
        fprintf(to, "%5.1f%%  %s\n", 100.0 * shares->with[i] / shares->plans, feature_names[i]);
    for (int i = 0; i < PLAN_FEATURES; i++)
        good = good && 100.0 * shares->with[i] >= (double)least * shares->plans;
    return good;
}
