/* prove accepts forward-only programs, says where a program is wrong, and refuses each of the hangs
 * and wrong sums in tests/known_bugs. tests/properties/valid_plans.c asks whether it refuses too
 * much, tests/mutants whether it misses anything. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/base/file.h"
#include "tests/support/proof_cases.h"
#include "tests/support/random_plans.h"

Test(prove, accepts_forward_only_programs)
{
    for (int64_t seed = 0; seed < 40; seed++) {
        Region    *region   = region_new();
        Error      error    = {0};
        ProofCase  on       = proof_case(region, 2, seed % 2);
        RandomPlan random   = random_plan(region, on.model, (uint64_t)seed);
        Program   *evaluate = expand_evaluate(region, random.batch, 1 + seed % 9, on.model,
                                              on.codelets, random.layout, &error);
        Program   *generate = expand_generate(region, 3 + seed % 5, 1 + seed % 4, on.model,
                                              on.codelets, random.layout, &error);
        Program   *both[]   = {evaluate, generate};
        for (int i = 0; i < 2; i++) {
            cr_assert(both[i] && communicate(both[i], on.codelets, &error) &&
                          allocate(both[i], on.codelets, &error),
                      "%s", error.text);
            cr_assert(prove(both[i], on.codelets, on.model, random.layout, i ? NULL : random.batch,
                            &error),
                      "plan %lld, %s: %s", (long long)seed, i ? "generate" : "evaluate",
                      error.text);
        }
        region_free(region);
    }
}

/* A program of this batch is not one of another batch, nor of a smaller machine. */
Test(prove, holds_a_program_to_its_batch_and_layout)
{
    Region    *region  = region_new();
    Error      error   = {0};
    ProofCase  on      = proof_case(region, 2, false);
    RandomPlan random  = random_plan(region, on.model, 1);
    Program   *program = lowered(region, &on, random.plan, random.batch, random.layout, 0, &error);
    cr_assert(program, "%s", error.text);
    random.batch->sequences[0].document++;
    cr_assert(!prove(program, on.codelets, on.model, random.layout, random.batch, &error));
    cr_assert(strstr(error.text, "expected document"), "%s", error.text);
    random.batch->sequences[0].document--;
    random.layout->ranks[0].capacity = program->ranks[0].peak - 1;
    cr_assert(!prove(program, on.codelets, on.model, random.layout, random.batch, &error));
    cr_assert(strstr(error.text, "at most the capacity"), "%s", error.text);
    region_free(region);
}

/* The text behind "# WORD: " in a listing's head. */
static const char *head_line(Region *region, const char *text, const char *word)
{
    const char *at = strstr(text, region_format(region, "# %s: ", word));
    cr_assert(at, "a head without %s", word);
    at += strlen(word) + 4;
    return region_format(region, "%.*s", (int)strcspn(at, "\n"), at);
}

Test(prove, refuses_known_bugs)
{
    Region     *region = region_new();
    Error       error  = {0};
    ProofCase   on     = proof_case(region, 2, false);
    int         count;
    const char *folder = SOURCE_FOLDER "/tests/known_bugs";
    char      **names  = file_names(region, folder, &count, &error);
    cr_assert(names && count >= 8, "%s", error.text);
    for (int i = 0; i < count; i++) {
        char *text = file_read(region, path_join(region, folder, names[i]), 1 << 24, NULL, &error);
        cr_assert(text, "%s", error.text);
        const char *place = head_line(region, text, "refused"), *found;
        found             = head_line(region, text, "found");
        Program *program  = program_read(region, text, names[i], on.codelets, &error);
        cr_assert(program, "%s", error.text);
        cr_assert(!prove(program, on.codelets, on.model, NULL, NULL, &error), "%s: proven",
                  names[i]);
        cr_expect(strncmp(error.text, place, strlen(place)) == 0 && strstr(error.text, found),
                  "%s: %s, expected %s: %s", names[i], error.text, place, found);
    }
    region_free(region);
}
