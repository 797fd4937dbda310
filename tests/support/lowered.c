/* lowered: see the header. */
#include "tests/support/lowered.h"

#include <criterion/criterion.h>

#include "gen/job/job_passes.h"
#include "tests/support/tiny_model.h"

Codelets *tiny_codelets(Region *region, const Model *model)
{
    Error     error    = {.status = 0};
    Codelets *codelets = differentiate(region, model, sizeof(float), &error);
    cr_assert(codelets && fuse(region, codelets, model, &error), "%s", error.text);
    return codelets;
}

Lowered lowered(Region *region, uint64_t seed, int ahead)
{
    Error   error = {.status = 0};
    Lowered made;
    made.model = tiny_model(
        region,
        (TinyShape){.layers = 2 + (int64_t)(seed % 5), .context = 4096, .tied = seed % 3 == 0});
    made.codelets = tiny_codelets(region, made.model);
    made.random   = random_plan(region, made.model, seed);
    made.program  = expand(region, made.random.plan, made.random.batch, made.model, made.codelets,
                           made.random.layout, &error);
    bool good     = made.program && communicate(made.program, made.codelets, &error) &&
                overlap(made.program, made.codelets, NULL, ahead, &error) &&
                allocate(made.program, made.codelets, &error);
    cr_assert(good, "seed %llu: %s", (unsigned long long)seed, error.text);
    return made;
}

static Batch *batch_of(Region *region, const Plan *plan)
{
    Batch *batch      = REGION_NEW(region, Batch);
    batch->sequences  = REGION_ARRAY(region, Sequence, plan->nsequences);
    batch->nsequences = plan->nsequences;
    for (int i = 0; i < plan->nsequences; i++) {
        int64_t length = plan->sequences[i];
        batch->sequences[i] =
            (Sequence){.document = i, .length = length, .weight = (double)length - 1};
        batch->tokens += length;
        batch->weight += (double)length - 1;
        batch->context = length > batch->context ? length : batch->context;
    }
    return batch;
}

Layout *layout_of_plan(Region *region, const Plan *plan, const Model *model)
{
    Layout         *layout   = REGION_NEW(region, Layout);
    const Pipeline *pipeline = plan->pipelines;
    int             last     = 2 * (int)model->layers + 2;
    layout->nranks           = plan->nranks;
    layout->nstages          = pipeline->nstages;
    layout->stages           = REGION_ARRAY(region, LayoutStage, pipeline->nstages);
    layout->homes            = REGION_ARRAY(region, int, last + 2);
    layout->ranks            = REGION_ARRAY(region, RankLayout, plan->nranks);
    for (int stage = 0; stage < pipeline->nstages; stage++) {
        const PlanStage *from = &pipeline->stages[stage];
        layout->stages[stage] = (LayoutStage){from->ranks[0], from->first, from->past};
        for (int half = from->first; half < from->past; half++)
            layout->homes[half + 2] = from->ranks[0];
    }
    layout->homes[0] = layout->homes[1] = pipeline->stages[0].ranks[0];
    layout->homes[last]                 = layout->homes[last + 1] =
        pipeline->stages[pipeline->nstages - 1].ranks[0];
    for (int rank = 0; rank < plan->nranks; rank++)
        layout->ranks[rank].capacity = INT64_MAX / 4;
    layout_place_statics(region, layout, model);
    return layout;
}

Program *expanded(Region *region, const Model *model, const Codelets *codelets, const char *text)
{
    Error error = {.status = 0};
    Plan *plan  = plan_read(region, text, "plan", model->layers, &error);
    cr_assert(plan, "%s", error.text);
    Program *program = expand(region, plan, batch_of(region, plan), model, codelets,
                              layout_of_plan(region, plan, model), &error);
    cr_assert(program, "%s", error.text);
    return program;
}

static Codelet toy(Region *region, const char *name, int noperands, Access first, Access second)
{
    Codelet codelet     = {.name = name, .noperands = noperands};
    codelet.operands    = REGION_ARRAY(region, CodeletOperand, 2);
    codelet.operands[0] = (CodeletOperand){
        .name = "x", .role = ROLE_VALUE, .access = first, .rows = ROWS_ONE, .weight = -1};
    codelet.operands[1] = (CodeletOperand){
        .name = "y", .role = ROLE_VALUE, .access = second, .rows = ROWS_ONE, .weight = -1};
    return codelet;
}

Codelets *toy_codelets(Region *region)
{
    Codelets *table = REGION_NEW(region, Codelets);
    table->items    = REGION_ARRAY(region, Codelet, 4);
    table->count    = 4;
    table->items[0] = toy(region, "make", 1, ACCESS_WRITE, ACCESS_READ);
    table->items[1] = toy(region, "use", 1, ACCESS_READ, ACCESS_READ);
    table->items[2] = toy(region, "pass", 2, ACCESS_READ, ACCESS_WRITE);
    table->items[3] = toy(region, "sum", 2, ACCESS_READ, ACCESS_ADD);
    return table;
}

Program *toy_program(Region *region, const Codelets *codelets, const char *listing)
{
    Error    error   = {.status = 0};
    Program *program = program_read(region, listing, "listing", codelets, &error);
    cr_assert(program, "%s", error.text);
    return program;
}

const char *calls_of(Region *region, const Program *program, const Codelets *codelets, int rank)
{
    Text text = text_new(region);
    for (int i = 0; i < program->ranks[rank].ninstructions; i++) {
        const Instruction *at = &program->ranks[rank].instructions[i];
        if (at->kind == PW_CALL)
            text_add(&text, "%s ", codelets->items[at->codelet].name);
    }
    return text.at;
}

const char *listing_of(Region *region, const Program *program, const Codelets *codelets)
{
    Text text = text_new(region);
    program_print(program, codelets, &text);
    return text.at;
}
