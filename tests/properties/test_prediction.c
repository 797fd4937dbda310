/* prediction: the lowered program, simulated message by message, takes what the plan's rule says
 * within 2%: for every shipped policy, and for random plans of some hundred tokens and more. In a
 * step of a few dozen tokens, most of which goes by in messages, a plan in fifty may miss it. */
#include <criterion/criterion.h>
#include <math.h>

#include "gen/base/random.h"
#include "gen/cost/predict.h"
#include "gen/cost/simulate.h"
#include "gen/job/job_passes.h"
#include "gen/step/step_passes.h"
#include "tests/support/random_plans.h"
#include "tests/support/shipped_policies.h"
#include "tests/support/tiny_model.h"

enum { AHEAD = 2, PLANS = 150, BATCHES = 3 };
static const double NEAR = 0.02;

/* What a plan is lowered with. */
typedef struct World {
    Region   *region;
    Error     error;
    Job       job;
    Model    *model;
    Codelets *codelets;
    Cost     *cost;
} World;

static void make_world(World *world, TinyShape shape)
{
    *world          = (World){.region = region_new()};
    world->model    = tiny_model(world->region, shape);
    world->codelets = differentiate(world->region, world->model, sizeof(float), &world->error);
    cr_assert(world->codelets && fuse(world->region, world->codelets, world->model, &world->error),
              "%s", world->error.text);
    world->cost = cost_profile(world->region, "cpu", world->codelets, world->model, &world->error);
    cr_assert(world->cost, "%s", world->error.text);
}

/* How far the simulated program is from the plan's prediction, as a share; the program is
 * proven. */
static double difference(World *world, Plan *plan, const Batch *batch, const Layout *layout)
{
    Pricing  pricing;
    Program *program =
        expand(world->region, plan, batch, world->model, world->codelets, layout, &world->error);
    cr_assert(program && communicate(program, world->codelets, &world->error) &&
                  overlap(program, world->codelets, world->cost, AHEAD, &world->error) &&
                  allocate(program, world->codelets, &world->error) &&
                  prove(program, world->codelets, world->model, layout, batch, &world->error) &&
                  simulate(program, world->codelets, world->cost, &world->error) &&
                  pricing_make(world->region, world->model, world->codelets, layout, world->cost,
                               &pricing, &world->error),
              "%s", world->error.text);
    plan_predict(world->region, plan, &pricing, false);
    return program->predicted_seconds / plan->predicted.seconds - 1;
}

/* The same plan of so many times as many tokens. */
static void stretch(RandomPlan *made, int64_t times)
{
    for (int i = 0; i < made->plan->nsequences; i++) {
        made->plan->sequences[i] *= times;
        made->batch->sequences[i].length *= times;
        made->batch->sequences[i].weight = (double)made->batch->sequences[i].length - 1;
    }
    made->batch->tokens *= times;
    made->batch->weight = (double)(made->batch->tokens - made->plan->nsequences);
    for (int k = 0; k < made->plan->nchunks; k++) {
        Chunk *chunk = &made->plan->chunks[k];
        chunk->tokens *= times;
        for (int i = 0; i < chunk->nsegments; i++) {
            chunk->segments[i].start *= times;
            chunk->segments[i].length *= times;
        }
    }
}

/* Of so many times as many tokens: how many random plans take another time than the rule says. */
static int misses(int64_t times)
{
    int count = 0;
    for (uint64_t seed = 0; seed < PLANS; seed++) {
        World world;
        make_world(&world, (TinyShape){.layers  = 2 + (int64_t)(seed % 5),
                                       .hidden  = 128,
                                       .ffn     = 384,
                                       .context = 4096,
                                       .tied    = seed % 3 == 0});
        RandomPlan made = random_plan(world.region, world.model, seed);
        stretch(&made, times);
        double found = difference(&world, made.plan, made.batch, made.layout);
        if (fabs(found) > NEAR)
            cr_log_info("%d times seed %d: %.2f%%", (int)times, (int)seed, 100 * found);
        count += fabs(found) > NEAR;
        region_free(world.region);
    }
    return count;
}

Test(prediction, random_plans_take_what_the_rule_says)
{
    cr_expect_leq(misses(1), PLANS / 50);
    cr_expect_eq(misses(10), 0);
    cr_expect_eq(misses(100), 0);
}

/* Few sequences as long as the context, many short ones. */
static Batch *skewed_batch(const World *world, uint64_t seed)
{
    enum { SEQUENCES = 24 };
    Batch   *batch = REGION_NEW(world->region, Batch);
    uint64_t state = seed;
    *batch         = (Batch){.context    = world->model->context,
                             .nsequences = SEQUENCES,
                             .sequences  = REGION_ARRAY(world->region, Sequence, SEQUENCES)};
    for (int i = 0; i < SEQUENCES; i++) {
        int64_t length =
            i % 8 == 0 ? batch->context : 1 + random_below(&state, batch->context / (1 + i % 8));
        batch->sequences[i] = (Sequence){i, 0, length, (double)(length - 1)};
        batch->tokens += length;
        batch->weight += (double)(length - 1);
    }
    return batch;
}

static void judge_policy(World *world, const char *policy, int nranks, int nstages)
{
    world->job              = (Job){.path    = "test.lua",
                                    .folder  = ".",
                                    .model   = world->model,
                                    .nranks  = nranks,
                                    .nstages = nstages,
                                    .memory  = (int64_t)1 << 32,
                                    .device  = "cpu",
                                    .policy  = policy};
    world->job.data.context = world->model->context;
    Layout *layout = place(world->region, &world->job, world->model, world->codelets, world->cost,
                           NULL, &world->error);
    cr_assert(layout, "%s", world->error.text);
    for (uint64_t seed = 1; seed <= BATCHES; seed++) {
        Batch *batch = skewed_batch(world, seed);
        Plan  *plan  = decide(world->region, &world->job, world->model, world->codelets, layout,
                              world->cost, batch, 1.0, &world->error);
        cr_assert(plan, "%s: %s", policy, world->error.text);
        double found = difference(world, plan, batch, layout);
        cr_expect_leq(fabs(found), NEAR, "%s on %d ranks, %d stages, batch %d: %.2f%%", policy,
                      nranks, nstages, (int)seed, 100 * found);
    }
}

Test(prediction, shipped_policies_take_what_the_rule_says)
{
    static const int shapes[][2] = {{1, 1}, {1, 2}, {2, 2}, {2, 4}, {4, 4}};
    for (int i = 0; i < COUNT(shapes); i++) {
        World world;
        make_world(
            &world,
            (TinyShape){
                .layers = 4, .hidden = 128, .ffn = 384, .context = 2048, .tied = i % 2 == 0});
        char **names = shipped_policies(world.region);
        for (int n = 0; names[n]; n++)
            judge_policy(&world, names[n], shapes[i][0], shapes[i][1]);
        region_free(world.region);
    }
}
