/* lowered: programs for tests: random plans through the lowering passes, and codelets that do
 * nothing but make, use and pass on, for listings by hand. */
#ifndef PIPEWRIGHT_LOWERED_H
#define PIPEWRIGHT_LOWERED_H

#include "gen/step/step_passes.h"
#include "tests/support/random_plans.h"

typedef struct Lowered {
    Model     *model;
    Codelets  *codelets;
    RandomPlan random;
    Program   *program; /* with messages and addresses */
} Lowered;

/* The random plan of that seed on a tiny model of 2 to 6 layers, tied or not; a failure of a pass
 * ends the test with its message. */
Lowered lowered(Region *region, uint64_t seed, int ahead);

/* The plan's text on a tiny model, expanded, without messages. */
Program *expanded(Region *region, const Model *model, const Codelets *codelets, const char *plan);
/* The layout whose homes are where the plan's first pipeline runs. */
Layout *layout_of_plan(Region *region, const Plan *plan, const Model *model);
/* A model's codelet table. */
Codelets *tiny_codelets(Region *region, const Model *model);

/* make: writes x; use: reads x; pass: reads x, writes y; sum: reads x, adds to y. */
Codelets *toy_codelets(Region *region);
/* The listing on toy codelets; the test ends where it cannot be read. */
Program *toy_program(Region *region, const Codelets *codelets, const char *listing);

/* The names of the codelets that the rank calls, in order, with a space behind each. */
const char *calls_of(Region *region, const Program *program, const Codelets *codelets, int rank);
const char *listing_of(Region *region, const Program *program, const Codelets *codelets);

#endif
