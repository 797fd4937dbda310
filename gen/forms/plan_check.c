/* plan_check: whether a plan makes sense for its batch, model and layout.
 *   reads    a plan that plan_read made, or a policy's
 *   fails    with what is wrong, by chunk, rank and operation, as plan.json numbers them
 *   stands   at the door of expand: behind it no pass can fail on the plan
 * In turn: sizes; layers covered; tokens in exactly one chunk; chains that do not cross; levels;
 * the order of each rank; all ranks together, run without times, must come to their end. */
#include <inttypes.h>
#include <string.h>

#include "gen/forms/plan.h"

/* Everything about one plan that the checks look up again and again. */
typedef struct Check {
    Region       *region;
    const Plan   *plan;
    const Layout *layout;
    Error        *error;
    int          *base; /* [nchunks] index of the chunk's stage 0 in the arrays by (chunk, stage) */
    int nplaces;        /* all (chunk, stage)                                                     */
    int (*at)[4];       /* [nplaces] place of F, B, W, R in their rank's order, or -1             */
    int *earlier;       /* per segment, in order of chunks: the chain's chunk before, or -1       */
    int *segment_base;  /* [nchunks]                                                         */
} Check;

static const char letters[] = "FBWR";

static bool wrong(Check *check, const char *text)
{
    return error_input(check->error, "plan of step %" PRId64 ": %s", check->plan->step, text);
}
#define WRONG(check, ...) wrong(check, region_format((check)->region, __VA_ARGS__))

static int letter_index(char letter)
{
    return (int)(strchr(letters, letter) - letters);
}

static bool check_sizes(Check *check, const Model *model, const Batch *batch)
{
    const Plan   *plan   = check->plan;
    const Layout *layout = check->layout;
    if (plan->layers != model->layers)
        return WRONG(check, "is for %" PRId64 " layers, the model has %" PRId64, plan->layers,
                     model->layers);
    if (layout && plan->nranks != layout->nranks)
        return WRONG(check, "is for %d ranks, the job has %d", plan->nranks, layout->nranks);
    if (layout && plan->homes)
        for (int i = 0; i < 2 * ((int)plan->layers + 2); i++)
            if (plan->homes[i] != layout->homes[i])
                return WRONG(check,
                             "homes[%d] is rank %d, but homes are fixed for a run and the layout "
                             "has rank %d",
                             i / 2, plan->homes[i], layout->homes[i]);
    if (plan->nsequences == 0)
        return WRONG(check, "has no sequences: there is nothing to train on");
    if (!batch)
        return true;
    if (plan->nsequences != batch->nsequences)
        return WRONG(check, "has %d sequences, the batch of step %" PRId64 " has %d",
                     plan->nsequences, batch->step, batch->nsequences);
    for (int i = 0; i < plan->nsequences; i++)
        if (plan->sequences[i] != batch->sequences[i].length)
            return WRONG(check, "sequence %d has %" PRId64 " tokens, in the batch it has %" PRId64,
                         i, plan->sequences[i], batch->sequences[i].length);
    return true;
}

/* Every layer of the model in exactly one stage, in order. */
static bool check_layers(Check *check)
{
    const Plan *plan = check->plan;
    if (plan->npipelines == 0 && plan->nchunks > 0)
        return WRONG(check, "has no pipeline");
    for (int p = 0; p < plan->npipelines; p++) {
        const Pipeline *pipeline = &plan->pipelines[p];
        int             border   = 0;
        for (int s = 0; s < pipeline->nstages; s++) {
            const PlanStage *stage = &pipeline->stages[s];
            if (stage->first != border)
                return WRONG(check,
                             "pipeline %d: stage %d begins at layer %g, the stages before it end "
                             "at %g",
                             p, s, stage->first / 2.0, border / 2.0);
            bool outer = s == 0 || s == pipeline->nstages - 1;
            if (stage->past < stage->first || (stage->past == stage->first && !outer))
                return WRONG(check, "pipeline %d: stage %d has no layers (%g to %g)", p, s,
                             stage->first / 2.0, stage->past / 2.0);
            if (stage->ranks[0] < 0 || stage->ranks[0] >= plan->nranks)
                return WRONG(check, "pipeline %d: stage %d is on rank %d of %d", p, s,
                             stage->ranks[0], plan->nranks);
            border = stage->past;
        }
        if (border != 2 * plan->layers)
            return WRONG(check, "pipeline %d ends at layer %g, the model has %" PRId64, p,
                         border / 2.0, plan->layers);
    }
    return true;
}

/* The segments of each sequence, chunk by chunk, sorted by their first token. */
typedef struct Span {
    int     sequence, chunk, segment;
    int64_t start, length;
} Span;

static void sort_spans(Span *span, Span *spare, int count)
{
    if (count < 2)
        return;
    int half = count / 2;
    sort_spans(span, spare, half);
    sort_spans(span + half, spare, count - half);
    memcpy(spare, span, (size_t)count * sizeof *span);
    for (int i = 0, a = 0, b = half; i < count; i++) {
        bool left = b == count || (a < half && (spare[a].sequence < spare[b].sequence ||
                                                (spare[a].sequence == spare[b].sequence &&
                                                 spare[a].start <= spare[b].start)));
        span[i]   = left ? spare[a++] : spare[b++];
    }
}

static bool check_one_of_a_sequence(Check *check)
{
    const Plan *plan = check->plan;
    int        *seen = REGION_ARRAY(check->region, int, plan->nsequences);
    for (int k = 0; k < plan->nchunks; k++)
        for (int i = 0; i < plan->chunks[k].nsegments; i++) {
            int sequence = plan->chunks[k].segments[i].sequence;
            if (seen[sequence] == k + 1)
                return WRONG(check, "chunk %d has two segments of sequence %d", k, sequence);
            seen[sequence] = k + 1;
        }
    return true;
}

/* Tokens [from, to) of a sequence are in no chunk, or in two. */
static bool check_next_span(Check *check, const Span *span, const Span *before)
{
    int64_t from = before ? before->start + before->length : 0;
    if (span->start > from)
        return WRONG(check, "tokens %" PRId64 " to %" PRId64 " of sequence %d are in no chunk",
                     from, span->start, span->sequence);
    if (before && span->start < from)
        return WRONG(check, "token %" PRId64 " of sequence %d is in chunk %d and in chunk %d",
                     span->start, span->sequence, before->chunk, span->chunk);
    if (before &&
        check->plan->chunks[before->chunk].pipeline != check->plan->chunks[span->chunk].pipeline)
        return WRONG(check,
                     "sequence %d is in pipeline %d (chunk %d) and in pipeline %d (chunk %d)",
                     span->sequence, check->plan->chunks[before->chunk].pipeline, before->chunk,
                     check->plan->chunks[span->chunk].pipeline, span->chunk);
    check->earlier[check->segment_base[span->chunk] + span->segment] = before ? before->chunk : -1;
    return true;
}

static bool check_tokens(Check *check)
{
    const Plan *plan   = check->plan;
    int         nspans = 0, count = 0;
    if (!check_one_of_a_sequence(check))
        return false;
    check->segment_base = REGION_ARRAY(check->region, int, plan->nchunks);
    for (int k = 0; k < plan->nchunks; k++) {
        check->segment_base[k] = nspans;
        nspans += plan->chunks[k].nsegments;
    }
    check->earlier = REGION_ARRAY(check->region, int, nspans);
    Span *span     = REGION_ARRAY(check->region, Span, nspans);
    for (int k = 0; k < plan->nchunks; k++)
        for (int i = 0; i < plan->chunks[k].nsegments; i++) {
            const Segment *s = &plan->chunks[k].segments[i];
            span[count++]    = (Span){s->sequence, k, i, s->start, s->length};
        }
    sort_spans(span, REGION_ARRAY(check->region, Span, nspans), nspans);
    for (int sequence = 0, i = 0; sequence < plan->nsequences; sequence++) {
        const Span *before = NULL;
        for (; i < nspans && span[i].sequence == sequence; before = &span[i++])
            if (!check_next_span(check, &span[i], before))
                return false;
        int64_t end = before ? before->start + before->length : 0;
        if (end != plan->sequences[sequence])
            return WRONG(check, "tokens %" PRId64 " to %" PRId64 " of sequence %d are in no chunk",
                         end, plan->sequences[sequence], sequence);
    }
    return true;
}

/* The chunk of this one's chains that is not done, and whose sequence it is. */
static int waits_for(const Check *check, const bool *done, int chunk, int *sequence)
{
    for (int i = 0;; i++) {
        int before = check->earlier[check->segment_base[chunk] + i];
        *sequence  = check->plan->chunks[chunk].segments[i].sequence;
        if (before >= 0 && !done[before])
            return before;
    }
}

/* Walks back along chains until a chunk comes again, then names the way round from there. */
static bool report_crossing(Check *check, const bool *done, int chunk)
{
    bool *seen = REGION_ARRAY(check->region, bool, check->plan->nchunks);
    int   sequence;
    for (; !seen[chunk]; chunk = waits_for(check, done, chunk, &sequence))
        seen[chunk] = true;
    Text text = text_new(check->region);
    text_add(&text, "chains cross: chunk %d", chunk);
    int at = chunk;
    do {
        at = waits_for(check, done, at, &sequence);
        text_add(&text, " needs chunk %d (sequence %d)%s", at, sequence,
                 at == chunk ? "" : ", which");
    } while (at != chunk);
    return wrong(check, text.at);
}

/* Chunks in an order that respects every chain; none exists where two chains cross. */
static bool check_chains(Check *check)
{
    const Plan *plan  = check->plan;
    bool       *done  = REGION_ARRAY(check->region, bool, plan->nchunks);
    bool        moved = true;
    while (moved) {
        moved = false;
        for (int k = 0; k < plan->nchunks; k++) {
            bool ready = !done[k];
            for (int i = 0; ready && i < plan->chunks[k].nsegments; i++) {
                int before = check->earlier[check->segment_base[k] + i];
                ready      = before < 0 || done[before];
            }
            done[k] |= ready;
            moved |= ready;
        }
    }
    for (int k = 0; k < plan->nchunks; k++)
        if (!done[k])
            return report_crossing(check, done, k);
    return true;
}

static bool check_levels(Check *check)
{
    const Plan *plan = check->plan;
    for (int k = 0; k < plan->nchunks; k++) {
        const Pipeline *pipeline = plan_pipeline(plan, k);
        for (int s = 0; s < pipeline->nstages; s++) {
            const PlanStage *stage = &pipeline->stages[s];
            if (stage->past > stage->first &&
                plan->chunks[k].recompute[stage->first / 2] == LEVEL_NONE)
                return WRONG(check,
                             "chunk %d: recompute 3 (keep nothing) in layer %d, the first of stage "
                             "%d: its input has nothing to be rebuilt from",
                             k, stage->first / 2, s);
        }
    }
    return true;
}

static void index_operations(Check *check)
{
    const Plan *plan = check->plan;
    check->base      = REGION_ARRAY(check->region, int, plan->nchunks);
    for (int k = 0; k < plan->nchunks; k++) {
        check->base[k] = check->nplaces;
        check->nplaces += plan_pipeline(plan, k)->nstages;
    }
    check->at = region_alloc(check->region, sizeof *check->at * (size_t)check->nplaces);
    memset(check->at, -1, sizeof *check->at * (size_t)check->nplaces);
}

static const char *named(Check *check, int rank, const PlanOperation *operation)
{
    Text text = text_new(check->region);
    plan_operation_print(check->plan, rank, operation, &text);
    return text.at;
}

/* Each operation once, and on the rank that holds its stage. */
static bool check_once(Check *check, int rank)
{
    const Plan  *plan  = check->plan;
    const Order *order = &plan->order[rank];
    for (int i = 0; i < order->count; i++) {
        const PlanOperation *o = &order->operations[i];
        if (!strchr(letters, o->letter) || o->chunk < 0 || o->chunk >= plan->nchunks ||
            o->stage < 0 || o->stage >= plan_pipeline(plan, o->chunk)->nstages ||
            plan_pipeline(plan, o->chunk)->stages[o->stage].ranks[0] != rank)
            return WRONG(check, "rank %d: operation %d (%c%d) is not one of its stages'", rank, i,
                         o->letter, o->chunk);
        int *at = &check->at[check->base[o->chunk] + o->stage][letter_index(o->letter)];
        if (*at >= 0)
            return WRONG(check, "rank %d: %s stands twice, at %d and at %d", rank,
                         named(check, rank, o), *at, i);
        *at = i;
    }
    return true;
}

/* F and B of every chunk on every stage; R between them, W behind B. */
static bool check_complete(Check *check, int chunk, int stage)
{
    const Plan   *plan = check->plan;
    int           rank = plan_pipeline(plan, chunk)->stages[stage].ranks[0];
    const int    *at   = check->at[check->base[chunk] + stage];
    PlanOperation o    = {'F', chunk, stage};
    enum { F, B, W, R };
    if (at[F] < 0)
        return WRONG(check, "rank %d: %s is missing", rank, named(check, rank, &o));
    o.letter = 'B';
    if (at[B] < 0)
        return WRONG(check, "rank %d: %s is missing", rank, named(check, rank, &o));
    if (at[B] < at[F])
        return WRONG(check, "rank %d: %s stands before its F", rank, named(check, rank, &o));
    o.letter = 'W';
    if (at[W] >= 0 && at[W] < at[B])
        return WRONG(check, "rank %d: %s stands before its B", rank, named(check, rank, &o));
    o.letter = 'R';
    if (at[R] >= 0 && (at[R] > at[B] || at[R] < at[F]))
        return WRONG(check, "rank %d: %s must stand between its F and its B", rank,
                     named(check, rank, &o));
    return true;
}

/* Along each chain F in order, B in reverse. */
static bool check_chain_order(Check *check, int chunk, int stage)
{
    const Plan *plan = check->plan;
    int         rank = plan_pipeline(plan, chunk)->stages[stage].ranks[0];
    const int  *at   = check->at[check->base[chunk] + stage];
    for (int i = 0; i < plan->chunks[chunk].nsegments; i++) {
        int before = check->earlier[check->segment_base[chunk] + i];
        if (before < 0)
            continue;
        const int *at_before = check->at[check->base[before] + stage];
        int        sequence  = plan->chunks[chunk].segments[i].sequence;
        if (at[0] < at_before[0])
            return WRONG(check,
                         "rank %d: F%d stands before F%d, but continues its sequence %d (stage %d)",
                         rank, chunk, before, sequence, stage);
        if (at[1] > at_before[1])
            return WRONG(check,
                         "rank %d: B%d stands before B%d, but the gradient of sequence %d comes "
                         "back in reverse (stage %d)",
                         rank, before, chunk, sequence, stage);
    }
    return true;
}

static bool check_orders(Check *check)
{
    const Plan *plan = check->plan;
    index_operations(check);
    for (int r = 0; r < plan->nranks; r++)
        if (!check_once(check, r))
            return false;
    for (int k = 0; k < plan->nchunks; k++)
        for (int s = 0; s < plan_pipeline(plan, k)->nstages; s++)
            if (!check_complete(check, k, s))
                return false;
    for (int k = 0; k < plan->nchunks; k++)
        for (int s = 0; s < plan_pipeline(plan, k)->nstages; s++)
            if (!check_chain_order(check, k, s))
                return false;
    return true;
}

/* The operation of another stage that this one needs, or false if it needs none. */
static bool needs(const Plan *plan, const PlanOperation *o, PlanOperation *needed)
{
    *needed = *o;
    if (o->letter == 'F')
        needed->stage--;
    else if (o->letter == 'B')
        needed->stage++;
    else
        return false;
    return needed->stage >= 0 && needed->stage < plan_pipeline(plan, o->chunk)->nstages;
}

/* Runs all orders without times: where no rank can go on, the ranks wait for each other. */
static bool check_progress(Check *check)
{
    const Plan *plan  = check->plan;
    int        *next  = REGION_ARRAY(check->region, int, plan->nranks);
    bool        moved = true;
    while (moved) {
        moved = false;
        for (int r = 0; r < plan->nranks; r++)
            for (; next[r] < plan->order[r].count; next[r]++, moved = true) {
                PlanOperation o;
                if (!needs(plan, &plan->order[r].operations[next[r]], &o))
                    continue;
                int rank = plan_pipeline(plan, o.chunk)->stages[o.stage].ranks[0];
                int at   = check->at[check->base[o.chunk] + o.stage][letter_index(o.letter)];
                if (next[rank] <= at)
                    break;
            }
    }
    Text text = text_new(check->region);
    for (int r = 0; r < plan->nranks; r++) {
        if (next[r] == plan->order[r].count)
            continue;
        PlanOperation o;
        if (!needs(plan, &plan->order[r].operations[next[r]], &o))
            bug("rank %d stands at an operation that waits for nothing", r);
        int rank = plan_pipeline(plan, o.chunk)->stages[o.stage].ranks[0];
        text_add(&text, "%srank %d stands at %s (%d), which needs %s of rank %d",
                 text.length ? "; " : "", r, named(check, r, &plan->order[r].operations[next[r]]),
                 next[r], named(check, rank, &o), rank);
    }
    return text.length == 0 || WRONG(check, "the ranks wait for each other: %s", text.at);
}

bool plan_check_parts(const Plan *plan, Error *error)
{
    Region *region = region_new();
    Check   check  = {.region = region, .plan = plan, .error = error};
    bool    good   = check_layers(&check) && check_one_of_a_sequence(&check);
    region_free(region);
    return good;
}

bool plan_check(const Plan *plan, const Model *model, const Batch *batch, const Layout *layout,
                Error *error)
{
    Region *region = region_new();
    Check   check  = {.region = region, .plan = plan, .layout = layout, .error = error};
    bool good = check_sizes(&check, model, batch) && check_layers(&check) && check_tokens(&check) &&
                check_chains(&check) && check_levels(&check) && check_orders(&check) &&
                check_progress(&check);
    region_free(region);
    return good;
}
