/* plan_file: plans of several steps in one file, asked for in any order. */
#include <string.h>

#include "gen/forms/plan_file.h"
#include "tests/support/own_folder.h"

TestSuite(plan_file, .init = open_folder, .fini = close_folder);

enum { LAYERS = 2 };

static const char plan[] =
    "{\"format\": \"pipewright-plan-1\", \"step\": %d, \"sequences\": [30], \"ranks\": 1,"
    " \"pipelines\": [{\"stages\": [{\"ranks\": [0], \"layers\": [0, 2]}]}],"
    " \"chunks\": [{\"pipeline\": 0, \"segments\": [[0, 0, 30]]}],"
    " \"order\": [[\"F0\", \"B0\"]]}\n\n";

/* The plans of these steps, in this order, with something behind them. */
static PlanFile *file_of(const int *steps, int nsteps, const char *behind)
{
    Error       error = {0};
    Text        text  = text_new(region);
    const char *path  = path_join(region, folder, "plans.json");
    for (int i = 0; i < nsteps; i++)
        text_add(&text, plan, steps[i]);
    text_add(&text, "%s", behind);
    cr_assert(file_write(path, text.at, text.length, &error));
    PlanFile *file = plan_file_open(region, path, &error);
    cr_assert(file, "%s", error.text);
    return file;
}

static void expect_found(PlanFile *file, int64_t step)
{
    Error error = {0};
    Plan *found = plan_file_step(file, region, step, LAYERS, &error);
    cr_assert(found, "%s", error.text);
    cr_expect_eq(found->step, step);
}

static void expect_refused(PlanFile *file, int64_t step, const char *message)
{
    Error error = {0};
    cr_expect_null(plan_file_step(file, region, step, LAYERS, &error));
    cr_expect(strstr(error.text, message), "%s", error.text);
}

Test(plan_file, steps_are_found_in_any_order)
{
    static const int steps[] = {0, 1, 5, 2}, asked[] = {0, 1, 2, 5, 5, 0, 2};
    PlanFile        *file = file_of(steps, COUNT(steps), "");
    for (int i = 0; i < COUNT(asked); i++) {
        expect_found(file, asked[i]);
        expect_refused(file, 3, "found no plan of step 3");
        expect_found(file, asked[i]);
    }
}

Test(plan_file, what_is_no_plan_is_an_error_when_it_is_reached)
{
    static const int steps[] = {0, 1};
    PlanFile        *file    = file_of(steps, COUNT(steps), "{\"step\": 2, ");
    expect_found(file, 1);
    expect_refused(file, 2, "at byte");
    expect_found(file, 1);
}

static void expect_too_few(PlanFile *file, int64_t first, int64_t past, const char *message)
{
    Error error = {0};
    cr_expect_not(plan_file_has(file, first, past, &error));
    cr_expect(strstr(error.text, message), "%s", error.text);
}

Test(plan_file, says_how_many_of_the_steps_have_plans)
{
    static const int steps[] = {3, 2, 5, 1};
    Error            error   = {0};
    PlanFile        *file    = file_of(steps, COUNT(steps), "");
    cr_expect(plan_file_has(file, 1, 4, &error) && plan_file_has(file, 9, 9, &error), "%s",
              error.text);
    expect_too_few(file, 1, 7,
                   "found plans of 4 of the steps 1 to 6, expected 6, one of each; the "
                   "first that is missing is step 4's");
    expect_too_few(file, 0, 3, "found plans of 2 of the steps 0 to 2, expected 3");
    expect_found(file, 5);
    static const int twice[] = {3, 0, 0, 3, 0};
    expect_too_few(file_of(twice, COUNT(twice), ""), 0, 3,
                   "found plans of 1 of the steps 0 to 2, expected 3, one of each; the first that "
                   "is missing is step 1's");
    expect_too_few(file_of(steps, COUNT(steps), "no plan"), 1, 5, "at byte");
}

Test(plan_file, a_missing_file_is_named)
{
    Error error = {0};
    cr_expect_null(plan_file_open(region, path_join(region, folder, "no.json"), &error));
    cr_expect(strstr(error.text, "no.json"), "%s", error.text);
}
