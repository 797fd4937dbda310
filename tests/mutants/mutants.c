/* mutants: damages programs in every way that mutate knows, and asks whether prove refuses each one
 * that the slow interpreter shows to be wrong.
 *   mutants [COUNT [SEED]]    COUNT wrong mutants of each kind (50); SEED of the first plan (1)
 * Every second program comes from a random plan, the others from the shipped policies in turn, over
 * 1, 2 and 4 ranks; one program gives at most one mutant of a kind. Prints a table by kind, and
 * where the wrong ones came from. Fails if prove missed one; if over a fifth of a kind did no harm,
 * which would say that the kind is too weak; if a kind has fewer than COUNT, or less than a
 * fiftieth of that from some policy; if any policy gave none over so many ranks; if some kind of
 * plan had less than a tenth of them. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/base/random.h"
#include "tests/mutants/mutate.h"
#include "tests/oracle/interpreter.h"
#include "tests/support/policy_plans.h"
#include "tests/support/shipped_policies.h"

enum { RUNS = 20, UNDAMAGED_RUNS = 2, MOST_PROGRAMS = 40000, LEAST_SHARE = 10 };

static const int policy_ranks[] = {1, 2, 4};
enum { RANKS = COUNT(policy_ranks) };

/* Mutants that the interpreter found wrong are refused or missed; the others are harmless. */
typedef struct Tally {
    int refused, harmless, missed;
    int random;         /* wrong ones from random plans  */
    int (*from)[RANKS]; /* [npolicies], and from policies */
} Tally;

typedef struct Census {
    Region    *region;
    char     **policies;
    int        npolicies, count;
    Tally     *tallies; /* [mutation_kinds_count] */
    PlanShares shares;  /* of the wrong mutants    */
    int        programs, broken;
} Census;

typedef struct Subject { /* a program to damage, and what it stands on */
    ProofCase  on;
    RandomPlan made;
    Program   *program;
    Oracle    *oracle;
    uint64_t   seed;
    int        policy, ranks; /* policy -1: a random plan; ranks: of policy_ranks */
} Subject;

static Subject subject_of(const Census *census, uint64_t seed)
{
    uint64_t turn = seed / 2, npolicies = (uint64_t)census->npolicies;
    return (Subject){.seed   = seed,
                     .policy = seed % 2 ? (int)(turn % npolicies) : -1,
                     .ranks  = (int)(turn / npolicies % RANKS)};
}

static bool make_plan(const Census *census, Region *region, Subject *subject, Error *error)
{
    uint64_t turn = subject->seed / 2;
    if (subject->policy >= 0)
        return policy_plan(region, &subject->on, census->policies[subject->policy],
                           policy_ranks[subject->ranks], turn, &subject->made, error);
    subject->made = random_plan(region, subject->on.model, turn);
    return true;
}

static bool prove_subject(const Subject *subject, const Program *program, Error *error)
{
    return prove(program, subject->on.codelets, subject->on.model, subject->made.layout,
                 subject->made.batch, error);
}

static bool make_subject(const Census *census, Region *region, Subject *subject, Error *error)
{
    uint64_t seed = subject->seed;
    subject->on   = proof_case(region, 2 + (int64_t)(seed / 2 % 3), seed / 2 % 2);
    if (!make_plan(census, region, subject, error))
        return false;
    subject->program = lowered(region, &subject->on, subject->made.plan, subject->made.batch,
                               subject->made.layout, (int)(seed % 3), error);
    if (!subject->program)
        return false;
    subject->oracle   = oracle_of(region, subject->on.codelets, subject->on.model,
                                  subject->made.layout, subject->made.batch);
    const char *wrong = interpret(subject->oracle, subject->program, UNDAMAGED_RUNS, seed);
    if (wrong)
        return error_fail(error, "undamaged: %s", wrong);
    return prove_subject(subject, subject->program, error);
}

static void count_wrong(Census *census, const Subject *subject, Tally *tally, bool proven)
{
    tally->refused += !proven;
    tally->missed += proven;
    if (subject->policy < 0)
        tally->random++;
    else
        tally->from[subject->policy][subject->ranks]++;
    plan_shares_count(&census->shares, subject->made.features, 1);
}

static void judge(Census *census, const Subject *subject, int kind)
{
    Region  *region = region_new();
    Error    error  = {0};
    uint64_t seed   = random_at(subject->seed, (uint64_t)kind);
    Program *damaged =
        mutant(region, subject->program, subject->on.codelets, subject->on.model, kind, seed);
    if (damaged) {
        const char *wrong  = interpret(subject->oracle, damaged, RUNS, seed);
        bool        proven = prove_subject(subject, damaged, &error);
        if (wrong)
            count_wrong(census, subject, &census->tallies[kind], proven);
        else
            census->tallies[kind].harmless++;
        if (wrong && proven)
            printf("missed: %s, plan %llu, %s\n", mutation_kinds[kind].name,
                   (unsigned long long)subject->seed, wrong);
    }
    region_free(region);
}

static int from_policy(const Tally *tally, int policy)
{
    int sum = 0;
    for (int i = 0; i < RANKS; i++)
        sum += tally->from[policy][i];
    return sum;
}

static bool has_count(const Census *census, const Tally *tally)
{
    return tally->refused + tally->missed >= census->count;
}

static bool lacks_policy(const Census *census, const Tally *tally, int policy)
{
    return from_policy(tally, policy) < (census->count + 49) / 50;
}

/* Whether a program of this policy (-1: a random plan) is to be damaged in this way. */
static bool wants(const Census *census, int kind, int policy)
{
    const Tally *tally = &census->tallies[kind];
    return !has_count(census, tally) || (policy >= 0 && lacks_policy(census, tally, policy));
}

static bool wants_any(const Census *census, int policy)
{
    for (int kind = 0; kind < mutation_kinds_count; kind++)
        if (wants(census, kind, policy))
            return true;
    return false;
}

static bool is_complete(const Census *census)
{
    for (int policy = -1; policy < census->npolicies; policy++)
        if (wants_any(census, policy))
            return false;
    return true;
}

/* One program, damaged once by each kind that still lacks mutants. */
static void damage_program(Census *census, uint64_t seed)
{
    Region *region  = region_new();
    Subject subject = subject_of(census, seed);
    Error   error   = {0};
    bool    wanted  = wants_any(census, subject.policy);
    bool    made    = wanted && make_subject(census, region, &subject, &error);
    if (wanted && !made)
        printf("plan %llu: %s\n", (unsigned long long)seed, error.text);
    census->programs += wanted;
    census->broken += wanted && !made;
    for (int kind = 0; made && kind < mutation_kinds_count; kind++)
        if (wants(census, kind, subject.policy))
            judge(census, &subject, kind);
    region_free(region);
}

/* What is wrong with a kind, or "". */
static const char *verdict(const Census *census, int kind)
{
    const Tally *tally = &census->tallies[kind];
    if (tally->missed)
        return "   missed";
    if (4 * tally->harmless > tally->refused)
        return "   too weak";
    if (!has_count(census, tally))
        return "   too few";
    for (int policy = 0; policy < census->npolicies; policy++)
        if (lacks_policy(census, tally, policy))
            return region_format(census->region, "   too few of %s", census->policies[policy]);
    return "";
}

static bool report_kinds(const Census *census)
{
    bool good = true;
    printf("%-26s %8s %8s %8s\n", "kind", "refused", "harmless", "missed");
    for (int kind = 0; kind < mutation_kinds_count; kind++) {
        const Tally *tally = &census->tallies[kind];
        const char  *wrong = verdict(census, kind);
        printf("%-26s %8d %8d %8d%s\n", mutation_kinds[kind].name, tally->refused, tally->harmless,
               tally->missed, wrong);
        good = good && !*wrong;
    }
    return good;
}

/* What came from where: [0] random plans, then the policies, then, of the policies', over how many
 * ranks. */
static int column_of(const Census *census, const Tally *tally, int column)
{
    int sum = 0;
    if (column == 0)
        return tally->random;
    if (column <= census->npolicies)
        return from_policy(tally, column - 1);
    for (int policy = 0; policy < census->npolicies; policy++)
        sum += tally->from[policy][column - 1 - census->npolicies];
    return sum;
}

static const char *column_name(const Census *census, int column)
{
    if (column == 0)
        return "random";
    if (column <= census->npolicies)
        return census->policies[column - 1];
    int ranks = policy_ranks[column - 1 - census->npolicies];
    return region_format(census->region, "%d rank%s", ranks, ranks == 1 ? "" : "s");
}

static void report_origins(const Census *census)
{
    int  columns = 1 + census->npolicies + RANKS;
    int *sums    = REGION_ARRAY(census->region, int, columns);
    printf("\n%-25s", "wrong ones from");
    for (int column = 0; column < columns; column++)
        printf(" %9s", column_name(census, column));
    for (int kind = 0; kind < mutation_kinds_count; kind++) {
        printf("\n%-25s", mutation_kinds[kind].name);
        for (int column = 0; column < columns; column++) {
            int found = column_of(census, &census->tallies[kind], column);
            printf(" %9d", found);
            sums[column] += found;
        }
    }
    printf("\n%-25s", "share of all");
    for (int column = 0; column < columns; column++)
        printf(" %8.1f%%", 100.0 * sums[column] / census->shares.plans);
    printf("\n");
}

/* Whether every policy gave some over every number of ranks. */
static bool is_all_over(const Census *census)
{
    bool good = true;
    for (int policy = 0; policy < census->npolicies; policy++)
        for (int i = 0; i < RANKS; i++) {
            int sum = 0;
            for (int kind = 0; kind < mutation_kinds_count; kind++)
                sum += census->tallies[kind].from[policy][i];
            if (sum == 0)
                printf("none from %s over %d ranks\n", census->policies[policy], policy_ranks[i]);
            good = good && sum > 0;
        }
    return good;
}

static bool report(const Census *census)
{
    bool good = report_kinds(census);
    report_origins(census);
    good = is_all_over(census) && good;
    printf("\n%d wrong mutants of %d programs; of the mutants, from plans with\n",
           census->shares.plans, census->programs);
    return plan_shares_print(&census->shares, LEAST_SHARE, stdout) && good && !census->broken;
}

int main(int argc, char **argv)
{
    Region  *region = region_new();
    Census   census = {.region   = region,
                       .policies = shipped_policies(region),
                       .count    = argc > 1 ? atoi(argv[1]) : 50,
                       .tallies  = REGION_ARRAY(region, Tally, mutation_kinds_count)};
    uint64_t first  = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    while (census.policies[census.npolicies])
        census.npolicies++;
    if (census.npolicies == 0)
        bug("no policy in lua/policies");
    for (int kind = 0; kind < mutation_kinds_count; kind++)
        census.tallies[kind].from =
            region_alloc(region, sizeof(int[RANKS]) * (size_t)census.npolicies);
    for (uint64_t seed = first; seed < first + MOST_PROGRAMS && !is_complete(&census); seed++)
        damage_program(&census, seed);
    bool good = report(&census);
    region_free(region);
    return good ? 0 : 1;
}
