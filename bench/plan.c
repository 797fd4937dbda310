/* plan: what planning and lowering a step cost, pass by pass, as a step's chunks grow from 8 to
 * 512. Seconds are this thread's processor time, the least of three, so that a busy machine counts
 * little; decide's child is a process of its own and counted apart, by the wall. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gen/cost/simulate.h"
#include "gen/job/job_passes.h"
#include "gen/step/step_passes.h"
#include "tests/support/tiny_model.h"

enum { EXPAND, COMMUNICATE, OVERLAP, ALLOCATE, PROVE, SIMULATE, NPASSES };
enum { CONTEXT = 2048, SLICES = 4, REPEATS = 3 };
static const char *const names[NPASSES] = {"expand",   "communicate", "overlap",
                                           "allocate", "prove",       "simulate"};

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct World {
    Region   *region;
    Error     error;
    Job       job;
    Model    *model;
    Codelets *codelets;
    Cost     *cost;
    Layout   *layout;
} World;

static void fail(const World *world)
{
    fprintf(stderr, "%s\n", world->error.text);
    exit(1);
}

static void make_world(World *world, int nranks)
{
    *world       = (World){.region = region_new()};
    world->model = tiny_model(
        world->region,
        (TinyShape){.layers = 4, .hidden = 256, .heads = 4, .ffn = 704, .context = CONTEXT});
    world->codelets = differentiate(world->region, world->model, sizeof(float), &world->error);
    if (!world->codelets || !fuse(world->region, world->codelets, world->model, &world->error))
        fail(world);
    world->job              = (Job){.path           = "bench.lua",
                                    .folder         = ".",
                                    .model          = world->model,
                                    .nranks         = nranks,
                                    .nstages        = nranks,
                                    .memory         = (int64_t)1 << 40,
                                    .device         = "cpu",
                                    .policy         = "seq1f1b",
                                    .policy_options = "{\"slices\": 4}"};
    world->job.data.context = CONTEXT;
    world->cost = cost_profile(world->region, "cpu", world->codelets, world->model, &world->error);
    world->layout = world->cost ? place(world->region, &world->job, world->model, world->codelets,
                                        world->cost, NULL, &world->error)
                                : NULL;
    if (!world->layout)
        fail(world);
}

static Batch *make_batch(Region *region, int nsequences)
{
    Batch *batch = REGION_NEW(region, Batch);
    *batch       = (Batch){.context    = CONTEXT,
                           .nsequences = nsequences,
                           .sequences  = REGION_ARRAY(region, Sequence, nsequences)};
    for (int i = 0; i < nsequences; i++) {
        batch->sequences[i] = (Sequence){i, 0, CONTEXT, CONTEXT - 1};
        batch->tokens += CONTEXT;
        batch->weight += CONTEXT - 1;
    }
    return batch;
}

/* One lowering; seconds of each pass that are less than before stay. */
static void lower(World *world, Region *region, const Plan *plan, const Batch *batch,
                  double *seconds)
{
    Program *program = NULL;
    for (int pass = 0; pass < NPASSES; pass++) {
        double begin = now(CLOCK_THREAD_CPUTIME_ID);
        bool   good  = true;
        if (pass == EXPAND)
            good = (program = expand(region, plan, batch, world->model, world->codelets,
                                     world->layout, &world->error)) != NULL;
        else if (pass == COMMUNICATE)
            good = communicate(program, world->codelets, &world->error);
        else if (pass == OVERLAP)
            good = overlap(program, world->codelets, world->cost, 2, &world->error);
        else if (pass == ALLOCATE)
            good = allocate(program, world->codelets, &world->error);
        else if (pass == PROVE)
            good =
                prove(program, world->codelets, world->model, world->layout, batch, &world->error);
        else
            good = simulate(program, world->codelets, world->cost, &world->error);
        if (!good)
            fail(world);
        double took = now(CLOCK_THREAD_CPUTIME_ID) - begin;
        if (took < seconds[pass])
            seconds[pass] = took;
    }
}

static void measure(World *world, int nsequences)
{
    double seconds[NPASSES], sum = 0;
    Batch *batch = make_batch(world->region, nsequences);
    double begin = now(CLOCK_MONOTONIC);
    Plan  *plan  = decide(world->region, &world->job, world->model, world->codelets, world->layout,
                          world->cost, batch, 1.0, &world->error);
    double took  = now(CLOCK_MONOTONIC) - begin;
    if (!plan)
        fail(world);
    for (int pass = 0; pass < NPASSES; pass++)
        seconds[pass] = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        Region *region = region_new();
        lower(world, region, plan, batch, seconds);
        region_free(region);
    }
    printf("%6d %8.2f", plan->nchunks, 1e3 * took);
    for (int pass = 0; pass < NPASSES; pass++) {
        printf(" %11.2f", 1e3 * seconds[pass]);
        sum += seconds[pass];
    }
    printf(" %9.2f\n", 1e3 * sum);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    World world;
    make_world(&world, argc > 1 ? atoi(argv[1]) : 2);
    printf("milliseconds, %d ranks, 4 layers\nchunks   decide", world.job.nranks);
    for (int pass = 0; pass < NPASSES; pass++)
        printf(" %11s", names[pass]);
    printf("   lowering\n");
    for (int nsequences = 2; nsequences * SLICES <= 512; nsequences *= 2)
        measure(&world, nsequences);
    region_free(world.region);
    return 0;
}
