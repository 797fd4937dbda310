/* valid_plans: prove accepts what the passes make of any valid plan, with its batch and layout and
 * as a program from a file, without them.
 *   valid_plans [COUNT [SEED]]    COUNT random plans (300); SEED of the first (0)
 * Prints the share of each kind of plan, of which each must have come up in a fifth of them. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/proof_cases.h"
#include "tests/support/random_plans.h"

static bool is_proven(Region *region, uint64_t seed, unsigned *features, Error *error)
{
    ProofCase  on     = proof_case(region, 2 + (int64_t)(seed % 3), seed % 2);
    RandomPlan random = random_plan(region, on.model, seed);
    *features         = random.features;
    Program *program =
        lowered(region, &on, random.plan, random.batch, random.layout, (int)(seed % 4), error);
    return program && prove(program, on.codelets, on.model, random.layout, random.batch, error) &&
           prove(program, on.codelets, on.model, NULL, NULL, error);
}

int main(int argc, char **argv)
{
    int        count = argc > 1 ? atoi(argv[1]) : 300, refused = 0;
    uint64_t   first  = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    PlanShares shares = {0};
    for (int i = 0; i < count; i++) {
        Region  *region   = region_new();
        Error    error    = {0};
        uint64_t seed     = first + (uint64_t)i;
        unsigned features = 0;
        if (!is_proven(region, seed, &features, &error)) {
            printf("plan %llu: %s\n", (unsigned long long)seed, error.text);
            refused++;
        }
        plan_shares_count(&shares, features, 1);
        region_free(region);
    }
    printf("%d plans, %d refused; of the plans, with\n", shares.plans, refused);
    return plan_shares_print(&shares, 20, stdout) && refused == 0 ? 0 : 1;
}
