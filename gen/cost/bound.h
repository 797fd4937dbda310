/* bound: what no order of a plan's chunks on its stages can beat. */
#ifndef PIPEWRIGHT_BOUND_H
#define PIPEWRIGHT_BOUND_H

#include "gen/forms/plan.h"

/* A lower bound in seconds, whatever the order rebuilds. */
double bound_of_plan(Region *region, const Plan *plan, const PlanCosts *costs);

#endif
