/* ring_writer: files of programs, as runtime/ring.h reads them: whole ones, and live rings, in
 * which a program takes the place of one that the trainer has done with. */
#ifndef PIPEWRIGHT_RING_WRITER_H
#define PIPEWRIGHT_RING_WRITER_H

#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* An empty file for programs at `path`, for steps [first, ...). A live ring has a bound on its
 * bytes; a file that will be finished has RING_UNBOUNDED, and a slot for every step. */
#define RING_UNBOUNDED ((uint64_t)1 << 62)
bool ring_create(const char *path, int64_t slots, uint64_t data_bytes, int64_t first, Error *error);

typedef struct RingWriter RingWriter;
RingWriter               *ring_open(Region *region, const char *path, Error *error);
/* Appends the next step's program; waits while a live ring is full (needs `patient`). */
bool ring_append(RingWriter *ring, const void *program, uint64_t bytes, bool patient, Error *error);
/* No more will come: all are there, or `failure` says why not, for the trainer. Closes it. */
bool ring_finish(RingWriter *ring, const Error *failure, Error *error);

/* The same for a planner that ended, with a `status` of waitpid's, and may not have said so itself:
 * what it did say stays. */
void ring_abandon(const char *path, int status);

#endif
