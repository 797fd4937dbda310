/* compile_evaluation: sequences -> forward-only programs over them, in their order, some thousands
 * of tokens each. A chunk is as long as the model's context, or, where that takes more memory than
 * the job may use, half as long, and so on: what trains in slices is evaluated in slices. */
#ifndef PIPEWRIGHT_COMPILE_EVALUATION_H
#define PIPEWRIGHT_COMPILE_EVALUATION_H

#include "gen/compile.h"

typedef struct EvaluationWalk {
    const Compilation *job;
    const Batch       *all;
    int                first;  /* sequence with which the next program begins                  */
    int64_t            number; /* of the next program                                          */
    int64_t            chunk;  /* tokens; only ever made shorter                                */
    int64_t            need;   /* bytes of the fullest rank that were too many; 0: none were    */
} EvaluationWalk;

/* The job's held-out sequences; NULL where there are none. */
Batch *evaluation_batch(const Compilation *job, Region *region);

/* `all` has at least one sequence. */
EvaluationWalk evaluation_begin(const Compilation *job, const Batch *all);
int64_t        evaluation_count(const EvaluationWalk *walk);  /* programs still to come         */
void           evaluation_skip(EvaluationWalk *walk);         /* the next program               */
void           evaluation_seek_longest(EvaluationWalk *walk); /* to the one with the longest
                                                                * document, from the next on     */

/* The next program, addressed, proven and priced. NULL: see the error; with walk->need: even the
 * shortest chunks take more than the layout's capacities. */
Program *evaluation_next(EvaluationWalk *walk, Region *region, Error *error);

#endif
