/* peak: the memory that a plan needs, found without lowering it. */
#ifndef PIPEWRIGHT_PEAK_H
#define PIPEWRIGHT_PEAK_H

#include "gen/cost/bytes.h"

/* [nranks] bytes that the plan needs, static part included, close to what allocate will count. */
int64_t *predict_peak(Region *region, const Plan *plan, const Pricing *pricing);

#endif
