/* gaps: which bytes of a rank's arena are taken when; finds the lowest that are free for a life. */
#ifndef PIPEWRIGHT_GAPS_H
#define PIPEWRIGHT_GAPS_H

#include <stdint.h>

#include "gen/base/region.h"

typedef struct Gaps Gaps;

/* `operation` [ninstructions]: rising from 0; it stays the caller's. */
Gaps *gaps_new(Region *region, const int *operation, int ninstructions);
void  gaps_clear(Gaps *gaps);

/* The lowest place at or above `least` where so many bytes are free from instruction `first` to
 * `last`, both included. */
int64_t gaps_lowest(Gaps *gaps, int64_t least, int64_t bytes, int first, int last);

/* Bytes [start, past) are taken from `first` to `last`. */
void gaps_take(Gaps *gaps, int64_t start, int64_t past, int first, int last);

/* From now on all that is asked and taken, until `clear`, lives within one operation. */
void gaps_settle(Gaps *gaps);

#endif
