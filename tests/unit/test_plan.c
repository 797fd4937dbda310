/* plan: reads back what it prints, refuses what docs/PLAN.md refuses, and says what is wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "gen/base/random.h"
#include "tests/support/random_plans.h"
#include "tests/support/tiny_model.h"

static const char *printed(Region *region, const Plan *plan)
{
    Text text = text_new(region);
    plan_print(plan, &text);
    return text.at;
}

/* Each thing that random plans may have stands in at least 20% of them. */
Test(plan, random_plans_are_valid_and_read_back)
{
    enum { PLANS = 10000 };
    PlanShares shares = {0};
    for (uint64_t seed = 0; seed < PLANS; seed++) {
        Region    *region = region_new();
        Error      error  = {.status = 0};
        Model     *model  = tiny_model(region, (TinyShape){.layers = 1 + (int64_t)(seed % 6)});
        RandomPlan made   = random_plan(region, model, seed);
        cr_assert(plan_check(made.plan, model, made.batch, made.layout, &error), "seed %lu: %s",
                  (unsigned long)seed, error.text);
        const char *text = printed(region, made.plan);
        Plan       *read = plan_read(region, text, "printed", model->layers, &error);
        cr_assert(read, "seed %lu: %s\n%s", (unsigned long)seed, error.text, text);
        cr_assert_str_eq(printed(region, read), text, "seed %lu", (unsigned long)seed);
        plan_shares_count(&shares, made.features, 1);
        region_free(region);
    }
    cr_assert(plan_shares_print(&shares, 20, stderr));
}

/* Two ranks, two layers; chunk 2 is hybrid: the end of sequence 0 and the whole of sequence 1. */
static const char good[] =
    "{\"format\": \"pipewright-plan-1\", \"step\": 3, \"sequences\": [30, 5], \"ranks\": 2,"
    " \"pipelines\": [{\"stages\": [{\"ranks\": [0], \"layers\": [0, 0.5]},"
    " {\"ranks\": [1], \"layers\": [0.5, 2]}]}],"
    " \"chunks\": [{\"pipeline\": 0, \"segments\": [[0, 0, 10]]},"
    " {\"pipeline\": 0, \"segments\": [[0, 10, 10]], \"recompute\": [2, 3]},"
    " {\"pipeline\": 0, \"segments\": [[0, 20, 10], [1, 0, 5]]}],"
    " \"order\": [[\"F0\", \"F1\", \"F2\", \"B2\", \"W2\", \"B1\", \"B0\"],"
    " [\"F0\", \"F1\", \"F2\", \"B2\", \"R1\", \"B1\", \"B0\"]]}";

/* The good plan with one text replaced by another. */
static const char *changed(Region *region, const char *from, const char *to)
{
    const char *at = strstr(good, from);
    cr_assert(at, "%s", from);
    return region_format(region, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void expect(const char *from, const char *to, const char *message)
{
    Region *region = region_new();
    Error   error  = {.status = 0};
    Model  *model  = tiny_model(region, (TinyShape){.layers = 2});
    Plan   *plan   = plan_read(region, changed(region, from, to), "mine.json", 2, &error);
    if (plan)
        cr_expect_not(plan_check(plan, model, NULL, NULL, &error), "accepted: %s", to);
    cr_expect_eq(error.status, EXIT_INPUT);
    cr_expect(strstr(error.text, message), "%s\n   said: %s\n   not:  %s", to, error.text, message);
    region_free(region);
}

Test(plan, the_good_plan_is_good)
{
    Region *region = region_new();
    Error   error  = {.status = 0};
    Model  *model  = tiny_model(region, (TinyShape){.layers = 2});
    Plan   *plan   = plan_read(region, good, "good", 2, &error);
    cr_assert(plan, "%s", error.text);
    cr_expect(plan_check(plan, model, NULL, NULL, &error), "%s", error.text);
    region_free(region);
}

Test(plan, wrong_form_is_named)
{
    expect("pipewright-plan-1", "pipewright-plan-2", "format: found \"pipewright-plan-2\"");
    expect("\"step\": 3", "\"stop\": 3", "did you mean step");
    expect("\"step\": 3", "\"step\": 3, \"step\": 4", "duplicate");
    expect("\"step\": 3", "\"step\": -3", "step: found \"-3\"");
    expect("[30, 5]", "[30, 0]", "sequences[1]: found \"0\"");
    expect("\"ranks\": 2,", "\"ranks\": 0,", "ranks: found \"0\"");
    expect("{\"ranks\": [0]", "{\"ranks\": [2]", "pipelines[0].stages[0].ranks: found \"[2]\"");
    expect("[0, 0.5]", "[0, 0.25]", "pipelines[0].stages[0].layers: found \"0.25\"");
    expect("{\"pipeline\": 0, \"segments\": [[0, 0, 10]]}",
           "{\"pipeline\": 1, \"segments\": [[0, 0, 10]]}", "chunks[0].pipeline: found \"1\"");
    expect("[0, 20, 10]", "[0, 20, 11]", "chunks[2].segments[0]: found \"[0,20,11]\"");
    expect("[0, 20, 10]", "[2, 20, 10]", "chunks[2].segments[0]");
    expect("[2, 3]", "[2, 4]", "chunks[1].recompute[1]: found \"4\"");
    expect("[2, 3]", "[2]", "chunks[1].recompute: found \"[2]\"");
    expect("\"W2\"", "\"X2\"", "order[0][4]: found \"X2\"");
    expect("\"W2\"", "\"W3\"", "order[0][4]: found \"W3\"");
    expect("\"W2\"", "\"W2.1\"", "order[0][4]: found \"W2.1\"");
    expect("{\"format\"", "[{\"format\"", "mine.json:1");
}

/* In every object of the form. */
Test(plan, unknown_fields_are_named)
{
    expect("\"ranks\": 2,", "\"ranks\": 2, \"chunk\": [],",
           "chunk: found \"a field that this form");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"colour\": 1,", "colour");
    expect("{\"stages\"", "{\"stagse\": 1, \"stages\"", "pipelines[0].stagse");
    expect("{\"stages\"", "{\"stagse\": 1, \"stages\"", "did you mean stages?");
    expect("{\"ranks\": [1]", "{\"layer\": 1, \"ranks\": [1]", "pipelines[0].stages[1].layer");
    expect("\"recompute\"", "\"recomputation\"", "chunks[1].recomputation");
    expect("\"recompute\"", "\"levels\": [], \"recompute\"", "chunks[1].levels");
}

Test(plan, wrong_types_are_named)
{
    expect("\"pipewright-plan-1\"", "1", "format: found \"1\"");
    expect("\"step\": 3", "\"step\": \"3\"", "step: found \"3\"");
    expect("\"step\": 3", "\"step\": 3.0", "step: found \"3.0\"");
    expect("\"step\": 3", "\"step\": 3, \"policy\": 5", "policy: found \"5\"");
    expect("\"step\": 3", "\"step\": 3, \"options\": []", "options: found \"[]\"");
    expect("\"step\": 3", "\"step\": 3, \"tries\": 2", "tries: found \"2\"");
    expect("[30, 5]", "{\"a\": 30}", "sequences: found");
    expect("[30, 5]", "[30, \"5\"]", "sequences[1]: found \"5\"");
    expect("[30, 5]", "[30, 5000000000]", "sequences[1]: found \"5000000000\"");
    expect("\"ranks\": 2,", "\"ranks\": [0, 1],", "ranks: found \"[0,1]\"");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"homes\": {},", "homes: found \"{}\"");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"homes\": [[0]],", "homes: found \"[[0]]\"");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"homes\": [0, 0, 0, 0],", "homes[0]: found \"0\"");
    expect("[{\"stages\": [{\"ranks\": [0], \"layers\": [0, 0.5]},", "[5, {\"stages\": [",
           "pipelines[0]: found \"5\"");
    expect("{\"ranks\": [0], \"layers\": [0, 0.5]}", "[]", "pipelines[0].stages[0]: found \"[]\"");
    expect("{\"ranks\": [0]", "{\"ranks\": 0", "pipelines[0].stages[0].ranks: found \"0\"");
    expect("{\"ranks\": [0]", "{\"ranks\": []", "pipelines[0].stages[0].ranks: found \"[]\"");
    expect("[0, 0.5]", "[0]", "pipelines[0].stages[0].layers: found \"[0]\"");
    expect("[0, 0.5]", "[0, \"0.5\"]", "pipelines[0].stages[0].layers: found \"0.5\"");
    expect("[0, 0.5]", "[0, 1e300]", "pipelines[0].stages[0].layers");
    expect("{\"pipeline\": 0, \"segments\": [[0, 0, 10]]}", "7", "chunks[0]: found \"7\"");
    expect("{\"pipeline\": 0, \"segments\": [[0, 0, 10]]}", "{\"segments\": [[0, 0, 10]]}",
           "chunks[0].pipeline: found \"nothing\"");
    expect("[[0, 0, 10]]", "[]", "chunks[0].segments: found \"[]\"");
    expect("[0, 0, 10]", "[0, 0]", "chunks[0].segments[0]: found \"[0,0]\"");
    expect("[0, 0, 10]", "[0, 0.5, 10]", "chunks[0].segments[0]: found \"[0,0.5,10]\"");
    expect("[0, 0, 10]", "\"0, 0, 10\"", "chunks[0].segments[0]: found \"0, 0, 10\"");
    expect("[0, 0, 10]", "[0, 9223372036854775807, 9223372036854775807]", "chunks[0].segments[0]");
    expect("[2, 3]", "[2, 1.5]", "chunks[1].recompute[1]: found \"1.5\"");
    expect("[2, 3]", "\"lean\"", "chunks[1].recompute: found \"lean\"");
    expect("\"W2\"", "2", "order[0][4]: found \"2\"");
    expect("\"W2\"", "\"W\"", "order[0][4]: found \"W\"");
    expect("\"W2\"", "\"W2 \"", "order[0][4]: found \"W2 \"");
    expect("\"W2\"", "\"W99999999999999999999\"", "order[0][4]");
}

Test(plan, what_comes_later_is_not_yet)
{
    expect("{\"ranks\": [0]", "{\"ranks\": [0, 1]", "not yet: pipelines[0].stages[0].ranks");
    expect("{\"ranks\": [0]", "{\"attention\": \"ring\", \"ranks\": [0]",
           "not yet: pipelines[0].stages[0].attention");
    expect("{\"ranks\": [1]", "{\"deal\": \"zigzag\", \"ranks\": [1]",
           "not yet: pipelines[0].stages[1].deal");
    expect("\"W2\"", "\"H2\"", "not yet: order[0][4]");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"lend\": [],", "not yet: lend");
    expect("\"ranks\": 2,", "\"ranks\": 2, \"homes\": [[0], [0, 1], [0], [0]],",
           "not yet: homes[1]");
    expect("{\"stages\"", "{\"weights\": \"streamed\", \"stages\"",
           "not yet: pipelines[0].weights");
    expect("{\"stages\"", "{\"weights\": \"sharded\", \"stages\"",
           "not yet: pipelines[0].weights \"sharded\"");
    expect("{\"stages\"", "{\"route\": \"ring\", \"stages\"", "not yet: pipelines[0].route");
    expect("{\"stages\"", "{\"vocabulary\": \"split\", \"stages\"",
           "not yet: pipelines[0].vocabulary");
}

Test(plan, wrong_plans_are_refused_with_the_reason)
{
    expect("[0.5, 2]", "[1, 2]", "stage 1 begins at layer 1, the stages before it end at 0.5");
    expect("[0.5, 2]", "[0.5, 1]", "pipeline 0 ends at layer 1, the model has 2");
    expect("[0, 0, 10]", "[0, 0, 9]", "tokens 9 to 10 of sequence 0 are in no chunk");
    expect("[0, 10, 10]", "[0, 9, 11]", "token 9 of sequence 0 is in chunk 0 and in chunk 1");
    expect("[1, 0, 5]", "[1, 0, 4]", "tokens 4 to 5 of sequence 1 are in no chunk");
    expect("[[0, 0, 10]]", "[[0, 0, 5], [0, 5, 5]]", "chunk 0 has two segments of sequence 0");
    expect("[2, 3]", "[3, 0]", "chunk 1: recompute 3 (keep nothing) in layer 0");
    expect("[\"F0\", \"F1\", \"F2\", \"B2\", \"W2\"", "[\"F0\", \"F1\", \"B2\", \"W2\"",
           "rank 0: F2 is missing");
    expect("\"W2\", \"B1\", \"B0\"", "\"W2\", \"B1\"", "rank 0: B0 is missing");
    expect("\"B2\", \"W2\"", "\"W2\", \"B2\"", "rank 0: W2 stands before its B");
    expect("\"R1\", \"B1\"", "\"B1\", \"R1\"", "rank 1: R1 must stand between its F and its B");
    expect("\"W2\"", "\"W2\", \"W2\"", "rank 0: W2 stands twice, at 4 and at 5");
    expect("[\"F0\", \"F1\"", "[\"F1\", \"F0\"", "F1 stands before F0");
    expect("\"R1\", \"B1\", \"B0\"", "\"R1\", \"B0\", \"B1\"", "B0 stands before B1");
}

Test(plan, crossing_chains_are_refused_with_the_cycle)
{
    static const char crossing[] =
        "{\"format\": \"pipewright-plan-1\", \"step\": 0, \"sequences\": [4, 4], \"ranks\": 1,"
        " \"pipelines\": [{\"stages\": [{\"ranks\": [0], \"layers\": [0, 1]}]}],"
        " \"chunks\": [{\"pipeline\": 0, \"segments\": [[0, 0, 2], [1, 2, 2]]},"
        " {\"pipeline\": 0, \"segments\": [[1, 0, 2], [0, 2, 2]]}],"
        " \"order\": [[\"F0\", \"F1\", \"B1\", \"B0\"]]}";
    Region *region = region_new();
    Error   error  = {.status = 0};
    Model  *model  = tiny_model(region, (TinyShape){.layers = 1});
    Plan   *plan   = plan_read(region, crossing, "crossing", 1, &error);
    cr_assert(plan, "%s", error.text);
    cr_expect_not(plan_check(plan, model, NULL, NULL, &error));
    cr_expect(strstr(error.text, "chains cross: chunk 0 needs chunk 1 (sequence 1), which needs "
                                 "chunk 0 (sequence 0)"),
              "%s", error.text);
    region_free(region);
}

/* Each rank's order is complete and right for itself; together they never end. */
Test(plan, ranks_that_wait_for_each_other_are_named)
{
    static const char stuck[] =
        "{\"format\": \"pipewright-plan-1\", \"step\": 0, \"sequences\": [4, 4], \"ranks\": 2,"
        " \"pipelines\": [{\"stages\": [{\"ranks\": [0], \"layers\": [0, 1]},"
        " {\"ranks\": [1], \"layers\": [1, 1]}]}],"
        " \"chunks\": [{\"pipeline\": 0, \"segments\": [[0, 0, 4]]},"
        " {\"pipeline\": 0, \"segments\": [[1, 0, 4]]}],"
        " \"order\": [[\"F0\", \"B0\", \"F1\", \"B1\"], [\"F1\", \"B1\", \"F0\", \"B0\"]]}";
    Region *region = region_new();
    Error   error  = {.status = 0};
    Model  *model  = tiny_model(region, (TinyShape){.layers = 1});
    Plan   *plan   = plan_read(region, stuck, "stuck", 1, &error);
    cr_assert(plan, "%s", error.text);
    cr_expect_not(plan_check(plan, model, NULL, NULL, &error));
    cr_expect(strstr(error.text, "rank 0 stands at B0 (1), which needs B0 of rank 1"), "%s",
              error.text);
    cr_expect(strstr(error.text, "rank 1 stands at F1 (0), which needs F1 of rank 0"), "%s",
              error.text);
    region_free(region);
}

/* Whether one of two operations needs the other, by the plain rule. */
static bool need_each_other(const Plan *plan, const PlanOperation *a, const PlanOperation *b)
{
    if (a->stage != b->stage)
        return false;
    if (a->chunk == b->chunk)
        return !(strchr("RW", a->letter) && strchr("RW", b->letter));
    if (a->letter != b->letter || !strchr("FB", a->letter))
        return false;
    for (int i = 0; i < plan->chunks[a->chunk].nsegments; i++)
        for (int j = 0; j < plan->chunks[b->chunk].nsegments; j++)
            if (plan->chunks[a->chunk].segments[i].sequence ==
                plan->chunks[b->chunk].segments[j].sequence)
                return true;
    return false;
}

Test(plan, swapped_neighbours_of_one_chain_are_refused)
{
    int refused = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        Region    *region = region_new();
        Error      error  = {.status = 0};
        Model     *model  = tiny_model(region, (TinyShape){.layers = 3});
        RandomPlan made   = random_plan(region, model, seed);
        uint64_t   state  = seed;
        Order     *order  = &made.plan->order[random_below(&state, made.plan->nranks)];
        if (order->count >= 2) {
            PlanOperation *at   = &order->operations[random_below(&state, order->count - 1)];
            PlanOperation  kept = at[0];
            at[0]               = at[1];
            at[1]               = kept;
            if (need_each_other(made.plan, &at[0], &at[1])) {
                refused++;
                cr_assert_not(plan_check(made.plan, model, made.batch, made.layout, &error),
                              "seed %lu", (unsigned long)seed);
            }
        }
        region_free(region);
    }
    cr_expect_geq(refused, 200, "%d", refused);
}
