/* random_plans: random valid plans, with their batch and layout, for the properties of every pass.
 * A plan depends on the model and the seed alone. Whatever docs/PLAN.md allows with one rank a
 * stage and resident weights comes up: several chains, hybrid chunks, all levels mixed, W and R
 * apart, several stages a rank, several pipelines, borders inside layers, homes elsewhere. */
#ifndef PIPEWRIGHT_RANDOM_PLANS_H
#define PIPEWRIGHT_RANDOM_PLANS_H

#include "gen/forms/plan.h"

/* What a plan has, as bits. */
enum {
    PLAN_CHAINS    = 1,  /* two or more chains of three or more chunks     */
    PLAN_HYBRID    = 2,  /* a chunk with a part of a chain and another segment */
    PLAN_MIXED     = 4,  /* two levels or more                             */
    PLAN_APART     = 8,  /* W stands in it, and R                          */
    PLAN_STAGES    = 16, /* a rank with several stages                     */
    PLAN_PIPELINES = 32, /* more than one pipeline                         */
    PLAN_FEATURES  = 6,
};
extern const char *const plan_feature_names[PLAN_FEATURES];

typedef struct RandomPlan {
    Plan    *plan;
    Batch   *batch;
    Layout  *layout; /* statics placed */
    unsigned features;
} RandomPlan;

/* For a batch of up to five short sequences and a layout of up to four ranks, both random too; the
 * capacity is 1 TiB a rank. */
RandomPlan random_plan(Region *region, const Model *model, uint64_t seed);
/* For a given batch and layout. */
RandomPlan random_plan_of(Region *region, const Model *model, Batch *batch, Layout *layout,
                          uint64_t seed);

#endif
