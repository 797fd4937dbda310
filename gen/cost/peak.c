/* predict_peak: walks each rank's order and adds up what is alive, by the byte count of bytes.c.
 * Addresses, messages in flight and early receives are allocate's; what this finds is close. */
#include "gen/cost/peak.h"

#include "gen/cost/plan_index.h"

/* What a chunk needs on one stage. */
typedef struct StageBytes {
    int64_t keep;    /* from F to B                                                       */
    int64_t rebuilt; /* from R to B: what the levels gave up                              */
    int64_t run;     /* the most of that at one time, without R                           */
    int64_t held;    /* from B to W                                                       */
    int64_t grow, shrink, scratch;
} StageBytes;

/* Without R a layer is rebuilt when backward comes to it, and with it the layers before it down to
 * the nearest whose input stands: a run of layers that keep nothing is there all at once. */
static StageBytes stage_bytes(const Chunk *chunk, const Pipeline *pipeline, int s,
                              const LayerBytes *bytes)
{
    const PlanStage *stage = &pipeline->stages[s];
    StageBytes       sum   = {.scratch = bytes->scratch};
    int64_t          run   = 0;
    for (int half = stage->first; half < stage->past; half++) {
        int     level   = chunk->recompute[half / 2];
        int64_t kept    = bytes->keep[half % 2][level];
        int64_t lost    = level >= LEVEL_INPUT ? bytes->keep[half % 2][LEVEL_ALL] - kept : 0;
        bool    goes_on = half % 2 || level == LEVEL_NONE;
        run             = goes_on ? run + lost : lost;
        sum.run         = run > sum.run ? run : sum.run;
        sum.keep += kept;
        sum.rebuilt += lost;
        sum.held += bytes->held[half % 2][level == LEVEL_LEAN];
        if (half % 2 == 0) {
            sum.grow += bytes->grow;
            sum.shrink += bytes->shrink;
        }
    }
    if (stage->first % 2)
        sum.keep += bytes_across(bytes, stage->first);
    if (s == pipeline->nstages - 1)
        sum.keep += bytes->input; /* the head's */
    return sum;
}

/* Bytes alive behind the operation; the most during it goes to `peak`. */
static int64_t after(const PlanOperation *o, const StageBytes *at, bool splits, bool rebuilds,
                     int64_t live, int64_t *peak)
{
    int64_t during = live + at->scratch;
    switch (o->letter) {
    case 'F':
        during += at->keep;
        live += at->keep;
        break;
    case 'R':
        during += at->rebuilt;
        live += at->rebuilt;
        break;
    case 'W':
        live -= at->held;
        break;
    default:
        during += at->grow + (rebuilds ? 0 : at->run);
        live += at->grow - at->shrink - at->keep - (rebuilds ? at->rebuilt : 0) +
                (splits ? at->held : 0);
    }
    *peak = during > *peak ? during : *peak;
    *peak = live > *peak ? live : *peak;
    return live;
}

int64_t *predict_peak(Region *region, const Plan *plan, const Pricing *pricing)
{
    PlanIndex   index = plan_index(region, plan);
    StageBytes *bytes = REGION_ARRAY(region, StageBytes, index.nplaces);
    int64_t    *peak  = REGION_ARRAY(region, int64_t, plan->nranks);
    for (int k = 0; k < plan->nchunks; k++) {
        LayerBytes layer = bytes_of_layer(pricing, plan, k);
        for (int s = 0; s < plan_pipeline(plan, k)->nstages; s++)
            bytes[index.base[k] + s] =
                stage_bytes(&plan->chunks[k], plan_pipeline(plan, k), s, &layer);
    }
    for (int r = 0; r < plan->nranks; r++) {
        int64_t live = pricing->layout->ranks[r].static_bytes + bytes_away(pricing, plan, r);
        peak[r]      = live;
        for (int i = 0; i < plan->order[r].count; i++) {
            const PlanOperation *o     = &plan->order[r].operations[i];
            int                  place = index.base[o->chunk] + o->stage;
            live =
                after(o, &bytes[place], index.splits[place], index.rebuilds[place], live, &peak[r]);
        }
    }
    return peak;
}
