/* proof_cases: what tests of prove stand on: a model whose rows are short, its codelets with little
 * scratch, so that listings stay readable and kernels' room does not matter. */
#ifndef PIPEWRIGHT_PROOF_CASES_H
#define PIPEWRIGHT_PROOF_CASES_H

#include "gen/step/step_passes.h"

typedef struct ProofCase {
    Model    *model;
    Codelets *codelets;
} ProofCase;

ProofCase proof_case(Region *region, int64_t layers, bool tied);

/* expand, communicate, overlap, allocate; NULL and `error` where one of them refuses. */
Program *lowered(Region *region, const ProofCase *on, const Plan *plan, const Batch *batch,
                 const Layout *layout, int ahead, Error *error);

#endif
