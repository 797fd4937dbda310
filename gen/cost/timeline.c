/* timeline: the rule of docs/PLAN.md: runs the orders of all ranks against each other. */
#include "gen/cost/timeline.h"

#include "gen/cost/plan_index.h"

/* Seconds to rebuild at levels input and none (`deep`), or lean, of one chunk on one stage. */
static double rebuild_seconds(const Chunk *chunk, const PlanStage *stage, const ChunkCosts *costs,
                              int s, bool deep)
{
    double seconds = 0;
    for (int half = stage->first; half < stage->past; half++) {
        int level = chunk->recompute[half / 2];
        if (level > 0 && deep == (level >= LEVEL_INPUT))
            seconds += costs->rebuild[s][level - 1] / 2;
    }
    return seconds;
}

static double seconds_of_operation(const Plan *plan, const PlanCosts *costs, const PlanIndex *index,
                                   const PlanOperation *operation)
{
    int               s     = operation->stage;
    int               place = index->base[operation->chunk] + s;
    const Chunk      *chunk = &plan->chunks[operation->chunk];
    const PlanStage  *stage = &plan_pipeline(plan, operation->chunk)->stages[s];
    const ChunkCosts *at    = &costs->chunks[operation->chunk];
    double            lean  = rebuild_seconds(chunk, stage, at, s, false);
    double            deep  = rebuild_seconds(chunk, stage, at, s, true);
    switch (operation->letter) {
    case 'F':
        return at->forward[s];
    case 'W':
        return at->weight[s] + lean;
    case 'R':
        return deep;
    default:
        return (index->splits[place] ? at->backward[s] - at->weight[s] : at->backward[s] + lean) +
               (index->rebuilds[place] ? 0 : deep);
    }
}

/* When the input of an operation is there; false where it is not known yet. `end[0]` of forwards,
 * `end[1]` of backwards, by place; negative: not yet. */
static bool arrival(const Plan *plan, const PlanCosts *costs, const PlanIndex *index,
                    const PlanOperation *o, double *const end[2], double *when)
{
    int place = index->base[o->chunk] + o->stage;
    int last  = plan_pipeline(plan, o->chunk)->nstages - 1;
    *when     = 0;
    if (o->letter == 'F' && o->stage > 0) {
        if (end[0][place - 1] < 0)
            return false;
        *when = end[0][place - 1] + costs->chunks[o->chunk].transfer[o->stage - 1];
    } else if (o->letter == 'B' && o->stage < last) {
        if (end[1][place + 1] < 0)
            return false;
        *when = end[1][place + 1] + costs->chunks[o->chunk].transfer[o->stage];
    }
    return true;
}

Timeline timeline_of_plan(Region *region, const Plan *plan, const PlanCosts *costs,
                          Fetching *fetching)
{
    PlanIndex at = plan_index(region, plan), *index = &at;
    Timeline  timeline = {REGION_ARRAY(region, double *, plan->nranks),
                          REGION_ARRAY(region, double *, plan->nranks), 0};
    double   *ends[2]  = {REGION_ARRAY(region, double, index->nplaces),
                          REGION_ARRAY(region, double, index->nplaces)};
    int      *next     = REGION_ARRAY(region, int, plan->nranks);
    bool      moved    = true;
    for (int i = 0; i < index->nplaces; i++)
        ends[0][i] = ends[1][i] = -1;
    for (int r = 0; r < plan->nranks; r++) {
        timeline.start[r] = REGION_ARRAY(region, double, plan->order[r].count);
        timeline.end[r]   = REGION_ARRAY(region, double, plan->order[r].count);
    }
    while (moved) {
        moved = false;
        for (int r = 0; r < plan->nranks; r++)
            for (; next[r] < plan->order[r].count; next[r]++, moved = true) {
                int                  i = next[r];
                const PlanOperation *o = &plan->order[r].operations[i];
                double               when;
                double               free = i ? timeline.end[r][i - 1] : 0;
                if (!arrival(plan, costs, index, o, ends, &when))
                    break;
                double begins        = when > free ? when : free;
                double seconds       = seconds_of_operation(plan, costs, index, o);
                timeline.start[r][i] = begins;
                timeline.end[r][i]   = begins + seconds;
                if (fetching)
                    timeline.end[r][i] +=
                        fetching_wait(fetching, r, i, &(FetchTimes){timeline.end[r], when, begins});
                if (o->letter == 'F' || o->letter == 'B')
                    ends[o->letter == 'B'][index->base[o->chunk] + o->stage] = timeline.end[r][i];
                if (timeline.end[r][i] > timeline.seconds)
                    timeline.seconds = timeline.end[r][i];
            }
    }
    for (int r = 0; r < plan->nranks; r++)
        if (next[r] < plan->order[r].count)
            bug("rank %d never comes to operation %d: plan_check did not see the plan", r, next[r]);
    return timeline;
}
