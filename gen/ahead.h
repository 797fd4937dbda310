/* ahead: the planner process. Beside the trainer, at low priority, one single-threaded process
 * compiles the coming steps and appends their programs to the ring, as far ahead as it has slots.
 * It keeps nothing from step to step but the sampler's place: each policy runs in a fresh child. */
#ifndef PIPEWRIGHT_AHEAD_H
#define PIPEWRIGHT_AHEAD_H

#include <sys/types.h>

#include "gen/compile.h"

/* An empty file for programs at `path`, for steps [first, ...). A live ring has a bound on its
 * bytes; a file that will be finished has RING_UNBOUNDED, and a slot for every step. */
#define RING_UNBOUNDED ((uint64_t)1 << 62)
bool ring_create(const char *path, int64_t slots, uint64_t data_bytes, int64_t first, Error *error);

typedef struct RingWriter RingWriter;
RingWriter               *ring_open(Region *region, const char *path, Error *error);
/* Appends the next step's program; waits while a live ring is full (needs `patient`). */
bool ring_append(RingWriter *ring, const void *program, uint64_t bytes, bool patient, Error *error);
/* No more will come: state 1 finished, -1 failed, with a message for the trainer. Closes it. */
bool ring_finish(RingWriter *ring, int state, const char *message, Error *error);

/* The same for a planner that was killed and can no longer say so itself. */
void ring_abandon(const char *path, int signal_number);

/* Compiles steps [first, steps) into the ring, the whole life of a process that `parent` forked for
 * it and that ends with `parent`. Returns an exit status. */
int ahead_run(Compilation *job, const char *ring_path, int64_t first, int64_t steps, pid_t parent);

#endif
