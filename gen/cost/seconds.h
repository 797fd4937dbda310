/* seconds: what one codelet call or one message takes, by a cost table. */
#ifndef PIPEWRIGHT_SECONDS_H
#define PIPEWRIGHT_SECONDS_H

#include "gen/forms/cost.h"

/* A segment of a call as attention sees it. */
typedef struct CostSegment {
    int64_t tokens, context;
} CostSegment;

/* The codelet's entry, or NULL where the table has none. */
const CodeletCost *cost_entry(const Cost *cost, const char *codelet);

/* Every codelet that a program may call has an entry. */
bool cost_covers(const Cost *cost, const Codelets *codelets, Error *error);

/* `tokens`: rows of the call; of an update its elements. `segments` matter where the entry is a
 * table by (length, context). */
double seconds_of_entry(const CodeletCost *entry, int64_t tokens, const CostSegment *segments,
                        int nsegments);
double seconds_of_call(const Cost *cost, const char *codelet, int64_t tokens,
                       const CostSegment *segments, int nsegments);
double seconds_of_message(const Cost *cost, int64_t bytes);

#endif
