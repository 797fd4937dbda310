/* gantt: a plan as a picture: a row a rank, time to the right, as the cost model predicts it. */
#ifndef PIPEWRIGHT_GANTT_H
#define PIPEWRIGHT_GANTT_H

#include "gen/base/text.h"
#include "gen/forms/plan.h"

/* A whole SVG file. plan->predicted is filled in (plan_predict). */
void gantt_print(const Plan *plan, const PlanCosts *costs, Text *out);

#endif
