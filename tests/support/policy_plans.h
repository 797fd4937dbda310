/* policy_plans: what the shipped policies decide for small random batches, for tests of prove. */
#ifndef PIPEWRIGHT_TESTS_POLICY_PLANS_H
#define PIPEWRIGHT_TESTS_POLICY_PLANS_H

#include "tests/support/proof_cases.h"
#include "tests/support/random_plans.h"

/* The policy's plan of a skewed batch over so many ranks, one or two stages each, varied as
 * varied_plan does it. False, with `error`, where the policy makes none. */
bool policy_plan(Region *region, const ProofCase *on, const char *policy, int nranks, uint64_t seed,
                 RandomPlan *made, Error *error);

#endif
