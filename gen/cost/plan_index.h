/* plan_index: which operations stand in a plan's orders, by chunk and stage. What an operation
 * costs depends on it: B is without dw where W stands apart, without rebuilding where R does. */
#ifndef PIPEWRIGHT_PLAN_INDEX_H
#define PIPEWRIGHT_PLAN_INDEX_H

#include "gen/forms/plan.h"

typedef struct PlanIndex {
    int  *base; /* [nchunks] the place of the chunk's stage 0 */
    int   nplaces;
    bool *splits, *rebuilds; /* [nplaces] W, R stands */
} PlanIndex;

PlanIndex plan_index(Region *region, const Plan *plan);

#endif
