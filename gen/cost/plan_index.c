/* plan_index: see plan_index.h. */
#include "gen/cost/plan_index.h"

PlanIndex plan_index(Region *region, const Plan *plan)
{
    PlanIndex index = {.base = REGION_ARRAY(region, int, plan->nchunks)};
    for (int k = 0; k < plan->nchunks; k++) {
        index.base[k] = index.nplaces;
        index.nplaces += plan_pipeline(plan, k)->nstages;
    }
    index.splits   = REGION_ARRAY(region, bool, index.nplaces);
    index.rebuilds = REGION_ARRAY(region, bool, index.nplaces);
    for (int r = 0; r < plan->nranks; r++)
        for (int i = 0; i < plan->order[r].count; i++) {
            const PlanOperation *o     = &plan->order[r].operations[i];
            int                  place = index.base[o->chunk] + o->stage;
            index.splits[place] |= o->letter == 'W';
            index.rebuilds[place] |= o->letter == 'R';
        }
    return index;
}
