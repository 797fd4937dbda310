/* fuzz_plan: any text as plan.json for a model of six layers. A plan that is read prints and reads
 * back the same. One that also passes plan_check, for the batch that it names itself, must go
 * through all passes: behind that door none may fail on the plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/cost/predict.h"
#include "tests/support/proof_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { LAYERS = 6, MOST_RANKS = 8, MOST_CHUNKS = 24, MOST_TOKENS = 2000 };

static void never(const char *what, const Error *error)
{
    fprintf(stderr, "%s: %s\n", what, error->text);
    abort();
}

/* The batch that the plan is for; NULL: too large for a quick test. */
static Batch *batch_of(Region *region, const Plan *plan)
{
    Batch *batch = REGION_NEW(region, Batch);
    *batch       = (Batch){.step       = plan->step,
                           .nsequences = plan->nsequences,
                           .sequences  = REGION_ARRAY(region, Sequence, plan->nsequences)};
    for (int i = 0; i < plan->nsequences; i++) {
        int64_t length      = plan->sequences[i];
        batch->sequences[i] = (Sequence){i, 0, length, (double)(length - 1)};
        batch->tokens += length;
        batch->weight += (double)(length - 1);
        batch->context = length > batch->context ? length : batch->context;
        if (length > MOST_TOKENS || batch->tokens > MOST_TOKENS)
            return NULL;
    }
    return plan->nranks <= MOST_RANKS && plan->nchunks <= MOST_CHUNKS ? batch : NULL;
}

/* Homes go round the ranks, or are the plan's. */
static Layout *layout_of(Region *region, const Plan *plan, const Model *model)
{
    Layout *layout  = REGION_NEW(region, Layout);
    layout->nranks  = plan->nranks;
    layout->homes   = REGION_ARRAY(region, int, 2 * (LAYERS + 2));
    layout->ranks   = REGION_ARRAY(region, RankLayout, plan->nranks);
    layout->nstages = plan->nranks;
    layout->stages  = REGION_ARRAY(region, LayoutStage, plan->nranks);
    for (int i = 0; i < 2 * (LAYERS + 2); i++)
        layout->homes[i] = plan->homes ? plan->homes[i] : i / 2 % plan->nranks;
    for (int r = 0; r < plan->nranks; r++)
        layout->ranks[r].capacity = (int64_t)1 << 40;
    layout_place_statics(region, layout, model);
    return layout;
}

static void lower(Region *region, const ProofCase *on, const Plan *plan, const Batch *batch,
                  const Layout *layout)
{
    Error    error   = {0};
    Program *program = lowered(region, on, plan, batch, layout, 2, &error);
    if (!program)
        never("checked, but not lowered", &error);
    if (!prove(program, on->codelets, on->model, layout, batch, &error))
        never("checked, but not proven", &error);
}

static void read_back(Region *region, const Plan *plan)
{
    Error error = {0};
    Text  once = text_new(region), twice = text_new(region);
    plan_print(plan, &once);
    const Plan *again = plan_read(region, once.at, "printed", LAYERS, &error);
    if (!again)
        never("printed, but not read", &error);
    plan_print(again, &twice);
    if (strcmp(once.at, twice.at) != 0)
        abort();
}

/* Made once: it takes longer than a plan. */
static const ProofCase *the_case(bool tied)
{
    static ProofCase cases[2];
    static Region   *owner;
    if (!owner)
        owner = region_new();
    if (!cases[tied].model)
        cases[tied] = proof_case(owner, LAYERS, tied);
    return &cases[tied];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    Region          *region = region_new();
    const ProofCase *on     = the_case(count % 2);
    char            *text   = region_alloc(region, count + 1);
    Error            error  = {0};
    memcpy(text, bytes, count);
    const Plan *plan = plan_read(region, text, "fuzz", LAYERS, &error);
    if (plan) {
        read_back(region, plan);
        const Batch  *batch  = batch_of(region, plan);
        const Layout *layout = batch ? layout_of(region, plan, on->model) : NULL;
        if (batch && plan_check(plan, on->model, batch, layout, &error))
            lower(region, on, plan, batch, layout);
    }
    region_free(region);
    return 0;
}
