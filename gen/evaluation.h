/* evaluation: forward-only programs over given sequences, in a finished ring: over the held-out
 * documents for an artifact, over any documents for `evaluate --data`. */
#ifndef PIPEWRIGHT_EVALUATION_H
#define PIPEWRIGHT_EVALUATION_H

#include "gen/compile.h"

/* The program with the longest held-out document takes `peak` bytes on the fullest rank, 0 where
 * nothing is held out. False: that is more than the job's memory, the error says what does. */
bool evaluation_fits(const Compilation *job, int64_t *peak, Error *error);

/* `all` has at least one sequence; a program takes some thousands of tokens of them. */
bool evaluation_write(const Compilation *job, const Batch *all, const char *path, Error *error);

#endif
