/* predict: what a plan costs, by the rule of docs/PLAN.md, without lowering it.
 * costs_of_plan fills in what `--with-costs` prints; everything else follows from that alone, so
 * that any program that reads the JSON finds the same. */
#ifndef PIPEWRIGHT_PREDICT_H
#define PIPEWRIGHT_PREDICT_H

#include "gen/cost/bytes.h"

/* The plan must have passed plan_check. */
PlanCosts *costs_of_plan(Region *region, const Plan *plan, const Pricing *pricing);

/* Seconds, bound and bubble; the bubble is the share of the ranks' time, up to the last end, in
 * which they wait. `peak_bytes` is left NULL: allocate counts it. */
Prediction predict(Region *region, const Plan *plan, const PlanCosts *costs);

/* Fills in plan->predicted, and plan->costs where `with_costs`. */
void plan_predict(Region *region, Plan *plan, const Pricing *pricing, bool with_costs);

#endif
