/* learning_rate: the curve, and all numbers of a step that are not in its program. */
#ifndef PW_LEARNING_RATE_H
#define PW_LEARNING_RATE_H

#include "runtime/trainer.h"

typedef enum PwCurve { PW_CURVE_CONSTANT, PW_CURVE_COSINE, PW_CURVE_WSD } PwCurve;

double        pw_learning_rate(const PwJob *job, int64_t step);
PwStepNumbers pw_step_numbers(const PwJob *job, int64_t step, double weight);

#endif
