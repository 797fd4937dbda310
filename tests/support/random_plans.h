/* random_plans: random valid plans, with their batch and layout, for the properties of every pass.
 * A plan depends on the model and the seed alone. Whatever docs/PLAN.md allows with one rank a
 * stage and resident weights comes up: several chains, hybrid chunks, all levels mixed, W and R
 * apart, several stages a rank, several pipelines, borders inside layers, homes elsewhere. */
#ifndef PIPEWRIGHT_RANDOM_PLANS_H
#define PIPEWRIGHT_RANDOM_PLANS_H

#include <stdio.h>

#include "gen/forms/plan.h"

/* What a plan has, as bits. */
enum {
    PLAN_CHAINS    = 1,  /* two or more chains of three or more chunks     */
    PLAN_HYBRID    = 2,  /* a chunk with a part of a chain and another segment */
    PLAN_MIXED     = 4,  /* two levels or more                             */
    PLAN_SPLIT     = 8,  /* W stands in it                                 */
    PLAN_APART     = 16, /* W stands in it, and R                          */
    PLAN_STAGES    = 32, /* a rank with several stages                     */
    PLAN_PIPELINES = 64, /* more than one pipeline                         */
    PLAN_FEATURES  = 7,
};

/* How many of the plans that were counted have each of them. */
typedef struct PlanShares {
    int plans, with[PLAN_FEATURES];
} PlanShares;
void plan_shares_count(PlanShares *shares, unsigned features, int plans);
/* Prints them; false where one is under `least` of a hundred. */
bool plan_shares_print(const PlanShares *shares, int least, FILE *to);

typedef struct RandomPlan {
    Plan    *plan;
    Batch   *batch;
    Layout  *layout; /* statics placed */
    unsigned features;
} RandomPlan;

/* For a batch of up to five short sequences and a layout of up to four ranks, both random too; the
 * capacity is 1 TiB a rank. */
RandomPlan random_plan(Region *region, const Model *model, uint64_t seed);
/* The same for a given batch and layout. */
RandomPlan random_plan_of(Region *region, const Model *model, Batch *batch, Layout *layout,
                          uint64_t seed);
/* What a policy made, with other levels in two of three, and W apart in half of them. */
RandomPlan varied_plan(Region *region, const Model *model, Plan *plan, Batch *batch, Layout *layout,
                       uint64_t seed);

#endif
