/* ending: what follows the plan's operations: gradients return home and are added, squares of all
 * gradients go to everybody, clip, AdamW. */
#ifndef PIPEWRIGHT_ENDING_H
#define PIPEWRIGHT_ENDING_H

#include "gen/cost/bytes.h"

/* When the last rank is through, in seconds from the step's start; `ends` [nranks]: when each
 * rank's own operations are done. */
double ending_seconds(Region *region, const Plan *plan, const Pricing *pricing, const double *ends);

/* What follows the last operation at least, wherever it runs: squares of the rank that has fewest
 * gradients, clip, AdamW of the one that has most weights. */
double ending_least(Region *region, const Plan *plan, const Pricing *pricing);

#endif
