/* timeline: when each operation of a plan begins and ends, from the plan and its costs alone, so
 * that any program that reads them as JSON finds the same. */
#ifndef PIPEWRIGHT_TIMELINE_H
#define PIPEWRIGHT_TIMELINE_H

#include "gen/cost/fetching.h"

/* In seconds from the step's start. */
typedef struct Timeline {
    double **start, **end; /* [nranks][order.count]                                            */
    double   seconds;      /* the last of the ends; what follows it, PlanCosts.end, comes on top */
} Timeline;

/* The plan must have passed plan_check. `fetching` NULL: as the rule says; else with the waiting
 * for weights, which it leaves to PlanCosts.end. */
Timeline timeline_of_plan(Region *region, const Plan *plan, const PlanCosts *costs,
                          Fetching *fetching);

#endif
