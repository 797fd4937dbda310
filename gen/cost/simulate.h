/* simulate: a program's run by the cost table; `simulate` itself is a pass of
 * gen/step/step_passes.h. */
#ifndef PIPEWRIGHT_SIMULATE_H
#define PIPEWRIGHT_SIMULATE_H

#include "gen/cost/seconds.h"
#include "gen/forms/program.h"

/* Fills in Instruction.predicted and Program.predicted_seconds. */
bool simulate(Program *program, const Codelets *codelets, const Cost *cost, Error *error);

/* The run of a program none of whose `sent`s wait: when each instruction begins, begin
 * [nranks][ninstructions], and when each message that a rank sends is done, done
 * [nranks][message]. */
bool simulate_freely(Program *program, const Codelets *codelets, const Cost *cost, double **begin,
                     double **done, Error *error);

#endif
