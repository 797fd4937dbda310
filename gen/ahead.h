/* ahead: the planner process. Beside the trainer, at low priority, one single-threaded process
 * compiles the coming steps and appends their programs to the ring, as far ahead as it has slots.
 * It keeps nothing from step to step but the sampler's place: each policy runs in a fresh child. */
#ifndef PIPEWRIGHT_AHEAD_H
#define PIPEWRIGHT_AHEAD_H

#include <sys/types.h>

#include "gen/compile.h"

/* Compiles steps [first, steps) into the ring, the whole life of a process that `parent` forked for
 * it and that ends with `parent`. Returns an exit status. */
int ahead_run(Compilation *job, const char *ring_path, int64_t first, int64_t steps, pid_t parent);

#endif
