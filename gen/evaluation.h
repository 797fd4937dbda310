/* evaluation: forward-only programs over given sequences, in a finished ring: over the held-out
 * documents for an artifact, over any documents for `evaluate --data`. */
#ifndef PIPEWRIGHT_EVALUATION_H
#define PIPEWRIGHT_EVALUATION_H

#include "gen/compile.h"

/* `all` has at least one sequence; a program takes some thousands of tokens of them. */
bool evaluation_write(const Compilation *job, const Batch *all, const char *path, Error *error);

#endif
