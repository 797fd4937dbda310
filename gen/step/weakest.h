/* weakest: all ranks on the weakest machine that a transport may be. Each ordered pair of ranks is
 * one queue; an entry is done as soon as both sides have reached it and all earlier ones are done;
 * send and receive do not wait, `sent` and `wait` do. */
#ifndef PIPEWRIGHT_WEAKEST_H
#define PIPEWRIGHT_WEAKEST_H

#include "gen/step/step_passes.h"

/* Runs the program. A `sent` that holds up all ranks moves to the next border between operations at
 * which it holds up nobody, at the latest to where its bytes are written again, or the end. Writes
 * Program.order. Fails where ranks wait for each other all the same. */
bool run_weakest(Program *program, const Codelets *codelets, Error *error);

#endif
