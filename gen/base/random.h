/* random: numbers that depend on their seed and place alone (splitmix64), never on earlier
 * calls. */
#ifndef PIPEWRIGHT_RANDOM_H
#define PIPEWRIGHT_RANDOM_H

#include <stdint.h>

/* A generator for loops: `state` is any seed. */
uint64_t random_next(uint64_t *state);
int64_t  random_below(uint64_t *state, int64_t limit); /* [0, limit), without bias */
double   random_unit(uint64_t *state);                 /* [0, 1) */

/* One number from a seed and an index. */
uint64_t random_at(uint64_t seed, uint64_t index);

#endif
