/* compile_remedies: what would make a step or an evaluation fit that does not, each tried. */
#ifndef PIPEWRIGHT_COMPILE_REMEDIES_H
#define PIPEWRIGHT_COMPILE_REMEDIES_H

#include "gen/compile.h"

/* Adds to the error which fields of the job to change: the least cluster.memory that does, and what
 * else does or does not, with what it takes. `step` is one that compile_lower found too large. */
void remedies_add(const Compilation *job, const Step *step, Error *error);
/* The same where evaluation is what does not fit: only the capacity. */
void remedies_of_evaluation(const Compilation *job, Error *error);

#endif
