/* simulate: messages go beside the work, one after the other in their queue; and a program takes
 * what its plan was predicted to take. */
#include <criterion/criterion.h>
#include <math.h>

#include "gen/cost/predict.h"
#include "gen/cost/simulate.h"
#include "gen/job/job_passes.h"
#include "tests/support/lowered.h"
#include "tests/support/tiny_model.h"

/* make takes 1 s, use 2 s, a message 0.5 s and 0.01 s a byte. */
static const char cost_text[] =
    "{\"format\": \"pipewright-cost-1\", \"name\": \"toy\", \"device\": \"cpu\", \"latency\": 0.5,"
    " \"seconds_per_byte\": 0.01, \"probe\": 0, \"codelets\": {"
    "\"make\": {\"points\": [[1, 1.0], [2, 1.0]]}, \"use\": {\"points\": [[1, 2.0], [2, 2.0]]}}}";

static double seconds_of(const char *listing, int ahead)
{
    Region   *region    = region_new();
    Error     error     = {.status = 0};
    Codelets *toys      = toy_codelets(region);
    Program  *program   = toy_program(region, toys, listing);
    Cost     *cost      = cost_read(region, cost_text, "cost", &error);
    bool      simulated = cost && communicate(program, toys, &error) &&
                     overlap(program, toys, NULL, ahead, &error) &&
                     simulate(program, toys, cost, &error);
    cr_assert(simulated, "%s", error.text);
    double seconds = program->predicted_seconds;
    region_free(region);
    return seconds;
}

#define A_AND_B(rank) "rank " rank ":\n buffer A [50][1]\n buffer B [50][1]\n"

/* Made at 1; 0.5 s and 50 bytes later there; used for 2 s. */
Test(simulate, a_message_takes_its_time)
{
    static const char listing[] = A_AND_B("0") " mark F0\n call make\n writes x=A\n" A_AND_B(
        "1") " mark F0\n call use\n reads x=A\n";
    cr_expect_float_eq(seconds_of(listing, 0), 1 + 1 + 2, 1e-12);
}

/* B is made at 2. Posted when it is needed, at 4, it comes at 5; posted early, it has come by
 * then. */
Test(simulate, messages_go_beside_the_work)
{
    static const char listing[] =
        A_AND_B("0") " mark F0\n call make\n writes x=A\n call make\n writes x=B\n" A_AND_B(
            "1") " mark F0\n call use\n reads x=A\n mark F1\n call use\n reads x=B\n";
    cr_expect_float_eq(seconds_of(listing, 0), 2 + 2 + 1 + 2, 1e-12);
    cr_expect_float_eq(seconds_of(listing, 1), 2 + 2 + 2, 1e-12);
}

Test(simulate, a_codelet_without_cost_is_named)
{
    Region   *region = region_new();
    Error     error  = {.status = 0};
    Codelets *toys   = toy_codelets(region);
    Program  *program =
        toy_program(region, toys,
                    "rank 0:\n buffer A [1][1]\n buffer B [1][1]\n call pass\n reads x=A\n"
                    " writes y=B\norder 0:0\n");
    Cost *cost = cost_read(region, cost_text, "cost", &error);
    cr_assert(cost, "%s", error.text);
    cr_expect_not(simulate(program, toys, cost, &error));
    cr_expect_eq(error.status, EXIT_INPUT);
    region_free(region);
}

/* 1F1B over `stages` ranks: `chains` sequences of 4 slices each, backward in reverse along each. */
static const char *chained_plan(Region *region, int layers, int stages, int chains)
{
    enum { SLICES = 4, TOKENS = 64 };
    Text text   = text_new(region);
    int  chunks = SLICES * chains;
    text_add(&text, "{\"format\":\"pipewright-plan-1\",\"step\":0,\"sequences\":[");
    for (int i = 0; i < chains; i++)
        text_add(&text, "%s%d", i ? "," : "", SLICES * TOKENS);
    text_add(&text, "],\"ranks\":%d,\"pipelines\":[{\"stages\":[", stages);
    for (int s = 0; s < stages; s++)
        text_add(&text, "%s{\"ranks\":[%d],\"layers\":[%d,%d]}", s ? "," : "", s,
                 layers * s / stages, layers * (s + 1) / stages);
    text_add(&text, "]}],\"chunks\":[");
    for (int k = 0; k < chunks; k++)
        text_add(&text, "%s{\"pipeline\":0,\"segments\":[[%d,%d,%d]]}", k ? "," : "", k / SLICES,
                 k % SLICES * TOKENS, TOKENS);
    text_add(&text, "],\"order\":[");
    for (int s = 0; s < stages; s++) {
        int warm = SLICES + stages - s - 1;
        text_add(&text, "%s[", s ? "," : "");
        for (int f = 0, b = 0; b < chunks;) {
            const char *comma = f + b ? "," : "";
            if (f < chunks && f < b + warm) {
                text_add(&text, "%s\"F%d\"", comma, f++);
            } else {
                text_add(&text, "%s\"B%d\"", comma, b / SLICES * SLICES + SLICES - 1 - b % SLICES);
                b++;
            }
        }
        text_add(&text, "]");
    }
    text_add(&text, "]}");
    return text.at;
}

static void expect_predicted(int stages)
{
    Region   *region = region_new();
    Error     error  = {.status = 0};
    TinyShape shape  = {
         .layers = 4, .hidden = 256, .heads = 4, .kv_heads = 4, .ffn = 704, .vocabulary = 257};
    Model      *model    = tiny_model(region, shape);
    Codelets   *codelets = tiny_codelets(region, model);
    const char *text     = chained_plan(region, 4, stages, 4);
    Program    *program  = expanded(region, model, codelets, text);
    Plan       *plan     = plan_read(region, text, "plan", model->layers, &error);
    Layout     *layout   = layout_of_plan(region, plan, model);
    Cost       *cost     = cost_profile(region, "cpu", codelets, model, &error);
    Pricing     pricing;
    bool        good = cost && communicate(program, codelets, &error) &&
                overlap(program, codelets, cost, 2, &error) &&
                simulate(program, codelets, cost, &error) &&
                pricing_make(region, model, codelets, layout, cost, &pricing, &error);
    cr_assert(good, "%s", error.text);
    plan_predict(region, plan, &pricing, false);
    double ratio = program->predicted_seconds / plan->predicted.seconds;
    cr_expect(fabs(ratio - 1) < 0.02, "%d stages: simulated %g, predicted %g", stages,
              program->predicted_seconds, plan->predicted.seconds);
    region_free(region);
}

Test(simulate, the_program_takes_what_the_plan_says)
{
    expect_predicted(1);
    expect_predicted(2);
    expect_predicted(4);
}
