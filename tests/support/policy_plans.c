/* policy_plans: see policy_plans.h. */
#include "tests/support/policy_plans.h"

#include "gen/base/random.h"
#include "gen/job/job_passes.h"

enum { CONTEXT = 32, LONG = 2, SEQUENCES = 6 };

/* Long sequences, which policies may cut, and short ones, some of which fit behind their ends. */
static Batch *skewed_batch(Region *region, uint64_t *state)
{
    Batch *batch = REGION_NEW(region, Batch);
    *batch       = (Batch){.context    = CONTEXT,
                           .nsequences = SEQUENCES,
                           .sequences  = REGION_ARRAY(region, Sequence, SEQUENCES)};
    for (int i = 0; i < SEQUENCES; i++) {
        int64_t length      = i < LONG ? CONTEXT - random_below(state, CONTEXT / 3)
                                       : 1 + random_below(state, CONTEXT / 4);
        batch->sequences[i] = (Sequence){i, 0, length, (double)(length - 1)};
        batch->tokens += length;
        batch->weight += (double)(length - 1);
    }
    return batch;
}

bool policy_plan(Region *region, const ProofCase *on, const char *policy, int nranks, uint64_t seed,
                 RandomPlan *made, Error *error)
{
    uint64_t state  = random_at(seed, 0x706f6c6963);
    int      per    = 1 + (int)random_below(&state, 2);
    int      halves = 2 * (int)on->model->layers;
    Job      job    = {.path         = "policy_plans",
                       .folder       = ".",
                       .model        = on->model,
                       .data.context = CONTEXT,
                       .nranks       = nranks,
                       .nstages      = nranks * per <= halves ? nranks * per : nranks,
                       .memory       = (int64_t)1 << 40,
                       .device       = "cpu",
                       .policy       = policy};
    Batch   *batch  = skewed_batch(region, &state);
    Cost    *cost   = cost_profile(region, job.device, on->codelets, on->model, error);
    Layout  *layout = cost ? place(region, &job, on->model, on->codelets, cost, NULL, error) : NULL;
    if (!layout)
        return false;
    Plan *plan = decide(region, &job, on->model, on->codelets, layout, cost, batch, 1.0, error);
    if (plan)
        *made = varied_plan(region, on->model, plan, batch, layout, seed);
    return plan != NULL;
}
