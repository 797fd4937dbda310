/* predict: what a plan costs, by the rule of docs/PLAN.md, without lowering it.
 * costs_of_plan fills in what `--with-costs` prints; everything else follows from that alone, so
 * that any program that reads the JSON finds the same. */
#ifndef PIPEWRIGHT_PREDICT_H
#define PIPEWRIGHT_PREDICT_H

#include "gen/cost/bytes.h"

/* The plan must have passed plan_check. */
PlanCosts *costs_of_plan(Region *region, const Plan *plan, const Pricing *pricing);

/* When each operation of each rank's order begins and ends, in seconds from the step's start. */
typedef struct Timeline {
    double **start, **end; /* [nranks][order.count] */
    double   seconds;      /* the last end, and the step's end */
} Timeline;

Timeline predict_timeline(Region *region, const Plan *plan, const PlanCosts *costs);

/* Seconds, bound and bubble; the bubble is the share of the ranks' time, up to the last end, in
 * which they wait. `peak_bytes` is left NULL: allocate counts it. */
Prediction predict(Region *region, const Plan *plan, const PlanCosts *costs);

/* Fills in plan->predicted, and plan->costs where `with_costs`. */
void plan_predict(Region *region, Plan *plan, const Pricing *pricing, bool with_costs);

/* [nranks] bytes that the plan needs, static part included, close to what allocate will count. */
int64_t *predict_peak(Region *region, const Plan *plan, const Pricing *pricing);

/* A lower bound: with these chunks on these stages no order ends sooner, whatever it rebuilds. */
double bound_of_plan(Region *region, const Plan *plan, const PlanCosts *costs);

/* Which operations stand in the plan's orders, by (chunk, stage). */
typedef struct PlanIndex {
    int  *base; /* [nchunks] the place of the chunk's stage 0 */
    int   nplaces;
    bool *splits, *rebuilds; /* [nplaces] W, R stands */
} PlanIndex;
PlanIndex plan_index(Region *region, const Plan *plan);

/* Seconds of one operation. */
double seconds_of_operation(const Plan *plan, const PlanCosts *costs, const PlanIndex *index,
                            const PlanOperation *operation);

#endif
