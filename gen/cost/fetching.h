/* fetching: how long operations wait for weights whose home is another rank. The rule of
 * docs/PLAN.md knows nothing of it; what comes of it is a part of PlanCosts.end. */
#ifndef PIPEWRIGHT_FETCHING_H
#define PIPEWRIGHT_FETCHING_H

#include "gen/cost/pricing.h"
#include "gen/forms/plan.h"

typedef struct Fetching Fetching;

/* NULL: every layer runs at home. */
Fetching *fetching_of_plan(Region *region, const Plan *plan, const Pricing *pricing);

/* What is known of a rank's operation. */
typedef struct FetchTimes {
    const double *ended;           /* those before it, by number          */
    double        arrives, begins; /* its input; itself, were nothing away */
} FetchTimes;

/* How many seconds longer the operation takes. Those of a rank are asked for in their order. */
double fetching_wait(Fetching *fetching, int rank, int number, const FetchTimes *times);

#endif
