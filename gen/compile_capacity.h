/* compile_capacity: how much memory a job needs. Nothing is estimated: steps and evaluation are
 * lowered under a capacity, as they would be to be run. Takes some seconds. */
#ifndef PIPEWRIGHT_COMPILE_CAPACITY_H
#define PIPEWRIGHT_COMPILE_CAPACITY_H

#include "gen/compile.h"

typedef struct Capacity {
    int64_t bytes; /* cluster.memory: does for all that was tried, one less does not; -1: none
                         * was found                                                           */
    int64_t steps; /* of the job that were tried: all, or some spread evenly              */
    int64_t evaluations, all_evaluations; /* programs of evaluation that were tried: that with
                                           * the longest document, and some; and how many there
                                           * are, 0 where nothing is held out                  */
} Capacity;

/* Above the job's own, which does not do: for step `number`, or, if that is -1, for evaluation. */
Capacity capacity_find(const Compilation *job, int64_t number);

/* Lowers a step with this batch: what the fullest rank takes, and whether that is within the
 * layout's capacities. -1: it cannot be lowered at all. */
int64_t capacity_try(const Compilation *job, const Batch *batch, bool *fits);

#endif
