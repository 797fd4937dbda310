/* predict: adds up codelets by stage; timeline.c, bound.c and ending.c say what follows.
 * In costs a layer that a border cuts counts by its halves: `rebuild` and `keep` are those of the
 * stage's layers on average, so that over all of the stage's halves they add up. */
#include "gen/cost/predict.h"

#include "gen/cost/bound.h"
#include "gen/cost/ending.h"
#include "gen/cost/plan_index.h"
#include "gen/cost/timeline.h"

/* Seconds of one layer for one chunk. Parts: [0] pre and core, [1] post. */
typedef struct LayerSeconds {
    double forward[2], backward[2], weight[2]; /* backward: both halves                       */
    double lean[2];                            /* what lean costs more than all               */
    double rebuild[2];                         /* at level input                              */
    double output; /* what it costs more to rebuild the layer's output as well               */
    double embed_forward, embed_backward, head;
} LayerSeconds;

typedef struct Pricer {
    const Pricing     *pricing;
    int64_t            tokens;
    const CostSegment *segments;
    int                nsegments;
} Pricer;

static double price(const Pricer *pricer, Part part, Direction direction, Level level, Half half)
{
    return pricing_seconds(pricer->pricing, part, direction, level, half, pricer->tokens,
                           pricer->segments, pricer->nsegments);
}

/* Of pre (0) or post (1), split or joint. */
static void price_part(const Pricer *pricer, int i, bool split, LayerSeconds *seconds)
{
    Part   part          = i ? PART_POST : PART_PRE;
    double dx            = price(pricer, part, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DX);
    double dw            = price(pricer, part, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DW);
    double dw_lean       = price(pricer, part, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DW);
    double joint         = price(pricer, part, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    double lean          = price(pricer, part, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_BOTH);
    seconds->forward[i]  = price(pricer, part, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    seconds->backward[i] = split ? dx + dw : joint;
    seconds->weight[i]   = dw;
    seconds->lean[i]     = split ? dw_lean - dw : lean - joint;
    seconds->lean[i]     = seconds->lean[i] > 0 ? seconds->lean[i] : 0;
    seconds->rebuild[i]  = price(pricer, part, DIRECTION_REBUILD, LEVEL_ALL, HALF_BOTH);
}

static LayerSeconds price_layer(const Pricer *pricer, bool split)
{
    LayerSeconds seconds;
    price_part(pricer, 0, split, &seconds);
    price_part(pricer, 1, split, &seconds);
    double core    = price(pricer, PART_CORE, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    seconds.output = seconds.forward[1] - seconds.rebuild[1];
    seconds.output = seconds.output > 0 ? seconds.output : 0;
    seconds.forward[0] += core;
    seconds.rebuild[0] += core;
    seconds.backward[0] += price(pricer, PART_CORE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    seconds.embed_forward  = price(pricer, PART_EMBED, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    seconds.embed_backward = price(pricer, PART_EMBED, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    seconds.head           = price(pricer, PART_HEAD, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    return seconds;
}

/* How many pre and core, and how many post, a stage has. */
static void halves_of(const PlanStage *stage, int halves[2])
{
    halves[0] = (stage->past + 1) / 2 - (stage->first + 1) / 2;
    halves[1] = stage->past / 2 - stage->first / 2;
}

/* An amount of one layer, on average over the stage's halves. */
static double average(const int halves[2], double pre, double post)
{
    int count = halves[0] + halves[1];
    return count ? 2 * (halves[0] * pre + halves[1] * post) / count : 0;
}

static int64_t average_bytes(const int halves[2], int64_t pre, int64_t post)
{
    int count = halves[0] + halves[1];
    return count ? 2 * (halves[0] * pre + halves[1] * post) / count : 0;
}

static void stage_seconds(const Pipeline *pipeline, int s, const LayerSeconds *seconds,
                          ChunkCosts *costs)
{
    int halves[2];
    halves_of(&pipeline->stages[s], halves);
    costs->forward[s]  = halves[0] * seconds->forward[0] + halves[1] * seconds->forward[1];
    costs->backward[s] = halves[0] * seconds->backward[0] + halves[1] * seconds->backward[1];
    costs->weight[s]   = halves[0] * seconds->weight[0] + halves[1] * seconds->weight[1];
    if (s == 0) {
        costs->forward[s] += seconds->embed_forward;
        costs->backward[s] += seconds->embed_backward;
    }
    if (s == pipeline->nstages - 1)
        costs->backward[s] += seconds->head;
    costs->rebuild[s][0] = average(halves, seconds->lean[0], seconds->lean[1]);
    costs->rebuild[s][1] = average(halves, seconds->rebuild[0], seconds->rebuild[1]);
    costs->rebuild[s][2] =
        average(halves, seconds->rebuild[0], seconds->rebuild[1] + seconds->output);
}

/* Levels that the chunk has on this stage cost what expand will call: on average over the halves of
 * that level, so that they add up. Where a layer's input was not kept, the layer before it makes it
 * again: all of its post, where that is not rebuilt anyhow. */
static void stage_rebuilds(const Chunk *chunk, const PlanStage *stage, const LayerSeconds *seconds,
                           double rebuild[3])
{
    double total[3]  = {0};
    int    halves[3] = {0};
    for (int half = stage->first; half < stage->past; half++) {
        int  level = chunk->recompute[half / 2];
        bool makes_input =
            half % 2 && half + 1 < stage->past && chunk->recompute[half / 2 + 1] == LEVEL_NONE;
        if (makes_input)
            total[2] += level >= LEVEL_INPUT ? seconds->output : seconds->forward[1];
        if (level == LEVEL_ALL)
            continue;
        total[level - 1] +=
            level == LEVEL_LEAN ? seconds->lean[half % 2] : seconds->rebuild[half % 2];
        halves[level - 1]++;
    }
    for (int i = 0; i < 3; i++)
        if (halves[i])
            rebuild[i] = 2 * total[i] / halves[i];
}

/* Bytes held from dx to dw, by the levels of the chunk's layers. */
static int64_t held_bytes(const Chunk *chunk, const PlanStage *stage, const LayerBytes *bytes)
{
    int64_t held = 0;
    for (int half = stage->first; half < stage->past; half++)
        held += bytes->held[half % 2][chunk->recompute[half / 2] == LEVEL_LEAN];
    return held;
}

static void stage_bytes(const Chunk *chunk, const Pipeline *pipeline, int s,
                        const LayerBytes *bytes, ChunkCosts *costs)
{
    int halves[2];
    halves_of(&pipeline->stages[s], halves);
    for (int level = 0; level < NLEVELS; level++)
        costs->keep[s][level] = average_bytes(halves, bytes->keep[0][level], bytes->keep[1][level]);
    costs->held[s]    = held_bytes(chunk, &pipeline->stages[s], bytes);
    costs->grow[s]    = halves[0] * bytes->grow;
    costs->shrink[s]  = halves[0] * bytes->shrink;
    costs->scratch[s] = bytes->scratch;
}

static double transfer(const Pricing *pricing, const Pipeline *pipeline, int s,
                       const LayerBytes *bytes)
{
    if (s == pipeline->nstages - 1 ||
        pipeline->stages[s].ranks[0] == pipeline->stages[s + 1].ranks[0])
        return 0;
    int    border  = pipeline->stages[s].past;
    double seconds = seconds_of_message(pricing->cost, bytes->input);
    return border % 2 ? seconds + seconds_of_message(pricing->cost, bytes->attended) : seconds;
}

static ChunkCosts chunk_costs(Region *region, const Plan *plan, int k, const Pricing *pricing,
                              const PlanIndex *index)
{
    const Chunk    *chunk    = &plan->chunks[k];
    const Pipeline *pipeline = plan_pipeline(plan, k);
    int             n        = pipeline->nstages;
    CostSegment    *segments = REGION_ARRAY(region, CostSegment, chunk->nsegments);
    for (int i = 0; i < chunk->nsegments; i++)
        segments[i] = (CostSegment){chunk->segments[i].length, chunk->segments[i].start};
    Pricer       pricer = {pricing, chunk->tokens, segments, chunk->nsegments};
    LayerSeconds joint  = price_layer(&pricer, false);
    LayerSeconds apart  = price_layer(&pricer, true);
    LayerBytes   bytes  = bytes_of_layer(pricing, plan, k);
    ChunkCosts   costs  = {.forward  = REGION_ARRAY(region, double, n),
                           .backward = REGION_ARRAY(region, double, n),
                           .weight   = REGION_ARRAY(region, double, n),
                           .transfer = REGION_ARRAY(region, double, n),
                           .rebuild  = region_alloc(region, sizeof *costs.rebuild * (size_t)n),
                           .keep     = region_alloc(region, sizeof *costs.keep * (size_t)n),
                           .held     = REGION_ARRAY(region, int64_t, n),
                           .grow     = REGION_ARRAY(region, int64_t, n),
                           .shrink   = REGION_ARRAY(region, int64_t, n),
                           .scratch  = REGION_ARRAY(region, int64_t, n)};
    for (int s = 0; s < n; s++) {
        const LayerSeconds *seconds = index->splits[index->base[k] + s] ? &apart : &joint;
        stage_seconds(pipeline, s, seconds, &costs);
        stage_rebuilds(chunk, &pipeline->stages[s], seconds, costs.rebuild[s]);
        stage_bytes(chunk, pipeline, s, &bytes, &costs);
        costs.transfer[s] = transfer(pricing, pipeline, s, &bytes);
    }
    return costs;
}

/* What the step takes beyond the rule's last end: weights that operations wait for, and what
 * follows the operations; nothing for chunks that have no orders yet. */
static void price_end(Region *region, const Plan *plan, const Pricing *pricing, PlanCosts *costs)
{
    double *ends = REGION_ARRAY(region, double, plan->nranks);
    bool    any  = false;
    for (int r = 0; r < plan->nranks; r++)
        any = any || plan->order[r].count > 0;
    if (!any)
        return;
    Timeline  rule     = timeline_of_plan(region, plan, costs, NULL);
    Fetching *fetching = fetching_of_plan(region, plan, pricing);
    Timeline  timeline = fetching ? timeline_of_plan(region, plan, costs, fetching) : rule;
    for (int r = 0; r < plan->nranks; r++)
        if (plan->order[r].count)
            ends[r] = timeline.end[r][plan->order[r].count - 1];
    costs->end       = ending_seconds(region, plan, pricing, ends) - rule.seconds;
    costs->least_end = ending_least(region, plan, pricing);
}

PlanCosts *costs_of_plan(Region *region, const Plan *plan, const Pricing *pricing)
{
    PlanCosts *costs    = REGION_NEW(region, PlanCosts);
    PlanIndex  index    = plan_index(region, plan);
    costs->chunks       = REGION_ARRAY(region, ChunkCosts, plan->nchunks);
    costs->static_bytes = REGION_ARRAY(region, int64_t, plan->nranks);
    costs->capacity     = REGION_ARRAY(region, int64_t, plan->nranks);
    for (int k = 0; k < plan->nchunks; k++)
        costs->chunks[k] = chunk_costs(region, plan, k, pricing, &index);
    for (int r = 0; r < plan->nranks; r++) {
        costs->static_bytes[r] = pricing->layout->ranks[r].static_bytes;
        costs->capacity[r]     = pricing->layout->ranks[r].capacity;
    }
    price_end(region, plan, pricing, costs);
    return costs;
}

Prediction predict(Region *region, const Plan *plan, const PlanCosts *costs)
{
    Timeline timeline = timeline_of_plan(region, plan, costs, NULL);
    double   busy     = 0;
    for (int r = 0; r < plan->nranks; r++)
        for (int i = 0; i < plan->order[r].count; i++)
            busy += timeline.end[r][i] - timeline.start[r][i];
    return (Prediction){
        .seconds = timeline.seconds + costs->end,
        .bound   = bound_of_plan(region, plan, costs),
        .bubble  = timeline.seconds > 0 ? 1 - busy / (timeline.seconds * plan->nranks) : 0};
}

void plan_predict(Region *region, Plan *plan, const Pricing *pricing, bool with_costs)
{
    PlanCosts *costs           = costs_of_plan(region, plan, pricing);
    int64_t   *peak            = plan->predicted.peak_bytes; /* allocate's, if it has been there */
    plan->predicted            = predict(region, plan, costs);
    plan->predicted.peak_bytes = peak;
    plan->costs                = with_costs ? costs : NULL;
}
