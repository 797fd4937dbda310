/* mutants: damages programs in every way that mutate knows, and asks whether prove refuses each one
 * that the slow interpreter shows to be wrong.
 *   mutants [COUNT [SEED]]    COUNT wrong mutants of each kind (20); SEED of the first plan (1)
 * Prints a table by kind; fails if prove missed one, or if over a fifth of a kind did no harm,
 * which would say that the kind is too weak. Programs come from random plans through all passes. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/base/random.h"
#include "tests/mutants/mutate.h"
#include "tests/oracle/interpreter.h"
#include "tests/support/proof_cases.h"
#include "tests/support/random_plans.h"

enum { RUNS = 20, PER_PROGRAM = 3, MOST_PROGRAMS = 20000 };

typedef struct Tally {
    int refused, harmless, missed;
} Tally;

typedef struct Subject { /* a program to damage, and what it stands on                          */
    ProofCase  on;
    RandomPlan random;
    Program   *program;
    Oracle    *oracle;
} Subject;

static bool make_subject(Region *region, uint64_t seed, Subject *subject, Error *error)
{
    subject->on      = proof_case(region, 2 + (int64_t)(seed % 3), seed % 2);
    subject->random  = random_plan(region, subject->on.model, seed);
    subject->program = lowered(region, &subject->on, subject->random.plan, subject->random.batch,
                               subject->random.layout, (int)(seed % 3), error);
    if (!subject->program)
        return false;
    subject->oracle   = oracle_of(region, subject->on.codelets, subject->on.model,
                                  subject->random.layout, subject->random.batch);
    const char *wrong = interpret(subject->oracle, subject->program, 2, seed);
    if (wrong)
        return error_fail(error, "undamaged: %s", wrong);
    return prove(subject->program, subject->on.codelets, subject->on.model, subject->random.layout,
                 subject->random.batch, error);
}

static void judge(const Subject *subject, int kind, uint64_t seed, Tally *tally)
{
    Region  *region = region_new();
    Error    error  = {0};
    Program *damaged =
        mutant(region, subject->program, subject->on.codelets, subject->on.model, kind, seed);
    if (damaged) {
        const char *wrong  = interpret(subject->oracle, damaged, RUNS, seed);
        bool        proven = prove(damaged, subject->on.codelets, subject->on.model,
                                   subject->random.layout, subject->random.batch, &error);
        if (!wrong)
            tally->harmless++;
        else if (!proven)
            tally->refused++;
        else
            printf("missed: %s, mutant %llu, %s\n", mutation_kinds[kind].name,
                   (unsigned long long)seed, wrong);
        tally->missed += wrong && proven;
    }
    region_free(region);
}

/* One program, damaged a few times by each kind that still lacks mutants. */
static bool damage_program(uint64_t seed, int count, Tally *tallies)
{
    Region *region  = region_new();
    Subject subject = {0};
    Error   error   = {0};
    bool    made    = make_subject(region, seed, &subject, &error);
    if (!made)
        printf("plan %llu: %s\n", (unsigned long long)seed, error.text);
    for (int kind = 0; made && kind < mutation_kinds_count; kind++)
        for (int i = 0; i < PER_PROGRAM; i++)
            if (tallies[kind].refused + tallies[kind].missed < count)
                judge(&subject, kind, random_at(seed, (uint64_t)(kind * PER_PROGRAM + i)),
                      &tallies[kind]);
    region_free(region);
    return made;
}

static bool enough(const Tally *tallies, int count)
{
    for (int kind = 0; kind < mutation_kinds_count; kind++)
        if (tallies[kind].refused + tallies[kind].missed < count)
            return false;
    return true;
}

static bool report(const Tally *tallies, int count)
{
    bool good = true;
    printf("%-26s %8s %8s %8s\n", "kind", "refused", "harmless", "missed");
    for (int kind = 0; kind < mutation_kinds_count; kind++) {
        Tally tally = tallies[kind];
        int   wrong = tally.refused + tally.missed;
        bool  weak  = 4 * tally.harmless > wrong;
        good        = good && !weak && !tally.missed && wrong >= count;
        printf("%-26s %8d %8d %8d%s\n", mutation_kinds[kind].name, tally.refused, tally.harmless,
               tally.missed,
               weak            ? "   too weak"
               : wrong < count ? "   too few"
                               : "");
    }
    return good;
}

int main(int argc, char **argv)
{
    int      count   = argc > 1 ? atoi(argv[1]) : 20;
    uint64_t first   = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    Tally   *tallies = calloc((size_t)mutation_kinds_count, sizeof *tallies);
    bool     good    = tallies != NULL;
    for (uint64_t seed = first; good && seed < first + MOST_PROGRAMS && !enough(tallies, count);
         seed++)
        damage_program(seed, count, tallies);
    good = good && report(tallies, count);
    free(tallies);
    return good ? 0 : 1;
}
