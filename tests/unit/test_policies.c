/* policies: each shipped one makes plans that fit; a user's file has the same standing; a wrong
 * policy gets an error with its line. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/random.h"
#include "gen/cost/peak.h"
#include "gen/cost/predict.h"
#include "gen/job/job_passes.h"
#include "gen/step/step_passes.h"
#include "tests/support/tiny_model.h"

/* Everything that decide needs, made once a test. */
typedef struct World {
    Region   *region;
    Error     error;
    Job       job;
    Model    *model;
    Codelets *codelets;
    Cost     *cost;
    Layout   *layout;
    Batch    *batch;
} World;

/* A skewed batch: few sequences as long as the context, many short ones. */
static Batch *make_batch(World *world, int nsequences, uint64_t seed)
{
    Batch *batch      = REGION_NEW(world->region, Batch);
    batch->step       = (int64_t)seed;
    batch->context    = world->model->context;
    batch->nsequences = nsequences;
    batch->sequences  = REGION_ARRAY(world->region, Sequence, nsequences);
    uint64_t state    = seed;
    for (int i = 0; i < nsequences; i++) {
        int64_t length = random_below(&state, 4) == 0
                             ? 1 + random_below(&state, batch->context)
                             : 1 + random_below(&state, batch->context / 8);
        if (i % 8 == 0)
            length = batch->context;
        batch->sequences[i] = (Sequence){i, 0, length, (double)(length - 1)};
        batch->tokens += length;
        batch->weight += (double)(length - 1);
    }
    return batch;
}

static World *new_world(int nranks, int nstages, int64_t memory)
{
    World *world    = calloc(1, sizeof *world);
    world->region   = region_new();
    world->model    = tiny_model(world->region, (TinyShape){.layers = 4});
    world->codelets = differentiate(world->region, world->model, 4, &world->error);
    cr_assert(world->codelets && fuse(world->region, world->codelets, world->model, &world->error),
              "%s", world->error.text);
    world->cost = cost_profile(world->region, "cpu", world->codelets, world->model, &world->error);
    cr_assert(world->cost, "%s", world->error.text);
    world->job              = (Job){.path    = "test.lua",
                                    .folder  = ".",
                                    .model   = world->model,
                                    .nranks  = nranks,
                                    .nstages = nstages,
                                    .memory  = memory,
                                    .device  = "cpu"};
    world->job.data.context = world->model->context;
    world->layout = place(world->region, &world->job, world->model, world->codelets, world->cost,
                          NULL, &world->error);
    cr_assert(world->layout, "%s", world->error.text);
    world->batch = make_batch(world, 24, 7);
    return world;
}

static void free_world(World *world)
{
    region_free(world->region);
    free(world);
}

static Plan *decided(World *world, const char *policy, const char *options)
{
    world->job.policy         = policy;
    world->job.policy_options = options;
    return decide(world->region, &world->job, world->model, world->codelets, world->layout,
                  world->cost, world->batch, 1.0, &world->error);
}

static const char *printed(World *world, const Plan *plan)
{
    Text text = text_new(world->region);
    plan_print(plan, &text);
    return text.at;
}

static char **shipped(Region *region, int *count)
{
    Error  error;
    char **names =
        file_names(region, path_join(region, data_folder(), "lua/policies"), count, &error);
    cr_assert(names && *count > 0);
    return names;
}

static const char *bare(Region *region, const char *name)
{
    return region_format(region, "%.*s", (int)strcspn(name, "."), name);
}

Test(policies, every_shipped_one_plans_for_any_number_of_stages)
{
    static const int shapes[][2] = {{1, 1}, {1, 2}, {2, 2}, {2, 4}, {3, 3}, {4, 4}, {4, 8}};
    for (int i = 0; i < COUNT(shapes); i++) {
        World *world = new_world(shapes[i][0], shapes[i][1], (int64_t)1 << 30);
        int    count;
        char **names = shipped(world->region, &count);
        for (int n = 0; n < count; n++) {
            Plan *plan = decided(world, bare(world->region, names[n]), NULL);
            cr_assert(plan, "%s, %d ranks, %d stages: %s", names[n], shapes[i][0], shapes[i][1],
                      world->error.text);
            cr_expect_gt(plan->predicted.seconds, 0);
            cr_expect_leq(plan->predicted.bound, plan->predicted.seconds * (1 + 1e-12), "%s",
                          names[n]);
            cr_expect_geq(plan->predicted.bubble, -1e-12);
        }
        free_world(world);
    }
}

Test(policies, a_copy_under_another_name_makes_the_same_plan)
{
    World *world    = new_world(2, 2, (int64_t)1 << 30);
    char   folder[] = "/tmp/policies.XXXXXX";
    cr_assert(mkdtemp(folder));
    int    count;
    char **names = shipped(world->region, &count);
    for (int n = 0; n < count; n++) {
        const char *from = path_join(
            world->region, path_join(world->region, data_folder(), "lua/policies"), names[n]);
        const char *to = path_join(world->region, folder, "mine.lua");
        cr_assert(file_copy(from, to, &world->error), "%s", world->error.text);
        Plan *plan  = decided(world, bare(world->region, names[n]), NULL);
        Plan *again = decided(world, to, NULL);
        cr_assert(plan && again, "%s: %s", names[n], world->error.text);
        cr_expect_str_eq(printed(world, plan), printed(world, again), "%s", names[n]);
    }
    cr_expect(file_remove_tree(folder, &world->error));
    free_world(world);
}

Test(policies, the_same_batch_gives_the_same_plan)
{
    World *world = new_world(4, 4, (int64_t)1 << 30);
    Plan  *first = decided(world, "seq1f1b", "{\"slices\": 8, \"balance\": \"time\"}");
    cr_assert(first, "%s", world->error.text);
    const char *text = printed(world, first);
    for (int i = 0; i < 19; i++)
        cr_expect_str_eq(
            printed(world, decided(world, "seq1f1b", "{\"slices\": 8, \"balance\": \"time\"}")),
            text);
    free_world(world);
}

/* Little memory makes the policy give up more, until it fits by the byte count. */
Test(policies, recompute_is_as_little_as_fits)
{
    World  *world = new_world(2, 2, (int64_t)1 << 30);
    Pricing pricing;
    cr_assert(pricing_make(world->region, world->model, world->codelets, world->layout, world->cost,
                           &pricing, &world->error));
    double   seconds = 0;
    int      levels  = -1;
    Plan    *rich    = decided(world, "seq1f1b", NULL);
    int64_t *peak    = predict_peak(world->region, rich, &pricing);
    int64_t  base    = world->layout->ranks[0].static_bytes;
    for (int tenths = 10; tenths >= 8; tenths--) { /* the products' room does not shrink with it */
        for (int r = 0; r < 2; r++)
            world->layout->ranks[r].capacity = base + (peak[r] - base) * tenths / 10;
        Plan *plan = decided(world, "seq1f1b", NULL);
        cr_assert(plan, "%s", world->error.text);
        int      sum   = 0;
        int64_t *found = predict_peak(world->region, plan, &pricing);
        for (int k = 0; k < plan->nchunks; k++)
            for (int l = 0; l < plan->layers; l++)
                sum += plan->chunks[k].recompute[l];
        cr_expect_geq(sum, levels, "%d tenths: %d", tenths, sum);
        cr_expect_geq(plan->predicted.seconds, seconds);
        for (int r = 0; r < 2; r++)
            cr_expect_leq(found[r], world->layout->ranks[r].capacity, "%d tenths", tenths);
        cr_expect(tenths == 10 ? sum == 0 : sum > 0);
        levels  = sum;
        seconds = plan->predicted.seconds;
    }
    free_world(world);
}

/* Slices of equal time: the first is longer than the last, and their seconds are close. */
Test(policies, slices_of_equal_time_are_even)
{
    World *world = new_world(2, 2, (int64_t)1 << 30);
    world->batch = make_batch(world, 1, 1);
    Plan *plan   = decided(world, "seq1f1b", "{\"balance\": \"time\"}");
    cr_assert(plan, "%s", world->error.text);
    cr_assert_eq(plan->nchunks, 4);
    cr_expect_gt(plan->chunks[0].tokens, plan->chunks[3].tokens);
    Plan *tokens = decided(world, "seq1f1b", NULL);
    cr_assert(tokens, "%s", world->error.text);
    cr_expect_eq(tokens->chunks[0].tokens, tokens->chunks[3].tokens);
    free_world(world);
}

/* Halving asks for the seconds of tens of thousands of chunks, each beside all lengths of the
 * batch: what one question takes is given back before the next. */
Test(policies, slices_of_equal_time_of_a_large_batch)
{
    World *world          = new_world(4, 4, (int64_t)1 << 30);
    world->model->context = 32 << 10;
    world->batch          = make_batch(world, 1024, 1);
    for (int i = 0; i < world->batch->nsequences; i++)
        world->batch->sequences[i].length = world->batch->context;
    cr_expect(decided(world, "seq1f1b", "{\"balance\": \"time\"}"), "%s", world->error.text);
    free_world(world);
}

Test(policies, zero_bubble_waits_less_than_1f1b)
{
    World *world = new_world(4, 4, (int64_t)1 << 30);
    Plan  *plain = decided(world, "1f1b", NULL);
    Plan  *split = decided(world, "zb1p", NULL);
    cr_assert(plain && split, "%s", world->error.text);
    cr_expect_lt(split->predicted.seconds, plain->predicted.seconds);
    int weights = 0;
    for (int i = 0; i < split->order[0].count; i++)
        weights += split->order[0].operations[i].letter == 'W';
    cr_expect_eq(weights, split->nchunks);
    free_world(world);
}

/* Where no number of W put off fits the last rank, the others' memory is searched each time; the
 * plan is the one that puts off none. */
Test(policies, zero_bubble_of_a_large_batch_in_little_memory)
{
    World *world = new_world(4, 8, (int64_t)1 << 30);
    world->batch = make_batch(world, 512, 1);
    for (int i = 0; i < world->batch->nsequences; i++)
        world->batch->sequences[i].length = world->batch->context;
    for (int r = 0; r < 4; r++)
        world->layout->ranks[r].capacity =
            world->layout->ranks[r].static_bytes + (r < 3 ? 1000000 : 0);
    Plan *plan = decided(world, "zb1p", NULL);
    cr_assert(plan, "%s", world->error.text);
    cr_expect_eq(plan->nchunks, 512);
    const Order *order = &plan->order[0];
    for (int i = 0; i < order->count; i++)
        cr_expect(order->operations[i].letter != 'B' || order->operations[i + 1].letter == 'W');
    free_world(world);
}

static void expect_error(const char *source, const char *options, const char *message)
{
    World *world    = new_world(2, 2, (int64_t)1 << 30);
    char   folder[] = "/tmp/policies.XXXXXX";
    cr_assert(mkdtemp(folder));
    const char *path = path_join(world->region, folder, "mine.lua");
    cr_assert(file_write(path, source, strlen(source), &world->error));
    Plan *plan = decided(world, path, options);
    cr_expect_not(plan, "%s", source);
    cr_expect_eq(world->error.status, EXIT_INPUT);
    cr_expect(strstr(world->error.text, message), "%s\n   said: %s\n   not:  %s", source,
              world->error.text, message);
    Error ignored;
    file_remove_tree(folder, &ignored);
    free_world(world);
}

/* A policy around one body; the body begins in line 2. */
#define POLICY(body)                                                                               \
    "return policy { name = 'mine', options = { k = 1 }, decide =\n"                               \
    "function(batch, layout, cost, options)\n" body "\nend }\n"
#define PLAN(change)                                                                               \
    "local pw, chunks = pw, pw.chunking.whole(batch.sequences, batch.context)\n"                   \
    "local order = pw.orders.one_f_one_b(chunks, #layout.stages)\n" change "\n"                    \
    "return pw.plan.pipeline { stages = layout.stages, chunks = chunks, order = order }"

Test(policies, wrong_ones_are_told_where)
{
    expect_error(POLICY("return nil"), NULL, "mine.lua:2: the policy's decide returned nil");
    expect_error(POLICY("return 7"), NULL, "decide returned number");
    expect_error("return 7", NULL, "expected a policy");
    expect_error("return policy { name = 'mine' }", NULL,
                 "mine.lua: policy: decide: expected a function");
    expect_error("return policy { name = 'mine', decid = print }", NULL, "did you mean 'decide'?");
    expect_error(POLICY("local x = nil + 1"), NULL, "mine.lua:3:");
    expect_error(POLICY("return batch:split_up(3)"), NULL,
                 "mine.lua:3: batch.split_up: there is no such field; did you mean");
    expect_error(POLICY("return #batch.sequence"), NULL, "did you mean batch.sequences?");
    expect_error(POLICY("return layout.stage[1]"), NULL, "did you mean layout.stages?");
    expect_error(POLICY("return options.size"), NULL, "options.size: there is no such field (k)");
    expect_error(POLICY(PLAN("")), "{\"kk\": 2}", "policy.kk: found \"2\"");
    expect_error(POLICY(PLAN("")), "{\"kk\": 2}", "did you mean k?");
    expect_error(POLICY(PLAN("")), "{\"k\": \"2\"}",
                 "found \"2\", expected a whole number; write it without quotes: 2");
    expect_error(POLICY(PLAN("")), "{\"k\": 1.5}", "found \"1.5\", expected a whole number");
    expect_error(POLICY(PLAN("chunks[#chunks] = nil")), NULL,
                 "expected the number of a chunk, below 7");
    expect_error(POLICY(PLAN("table.remove(chunks[1].segments)")), NULL,
                 "expected at least one segment");
    expect_error(POLICY(PLAN("chunks[1].segments[1][1] = 99")), NULL,
                 "mine.lua:2: the policy's plan");
    expect_error(POLICY(PLAN("layout.stages[2].first = 0")), NULL, "stage 1 begins at layer 0");
    expect_error(POLICY(PLAN("order[1][1], order[1][2] = order[1][2], order[1][1]\n"
                             "for i, o in ipairs(order[2]) do if o == 'B0' then order[2][i] = 'F0' "
                             "end end")),
                 NULL, "F0 stands twice");
    expect_error(POLICY(PLAN("order[1] = {'F0', 'B0', 'F1', 'B1', 'F2', 'B2', 'F3', 'B3'}\n"
                             "chunks = {chunks[1], chunks[2], chunks[3], chunks[4]}\n"
                             "cost:simulate(7)")),
                 NULL, "mine.lua:7:");
    expect_error(POLICY(PLAN("for i = 1, 20000 do order[1][#order[1] + 1] = 'F0' end\n"
                             "cost:arrange { stages = layout.stages, chunks = chunks, "
                             "order = order }")),
                 NULL, "mine.lua:6: arrange: the stages' orders");
    expect_error(POLICY(PLAN("order[3] = {}")), NULL,
                 "mine.lua:2: plan.pipeline: order has 3 lists, there are 2 stages");
    expect_error("while true do end", NULL, "instructions");
    expect_error(POLICY("local t = {} for i = 1, 3000000 do t[i] = 1 end\n" /* over 2^63 steps */
                        "pw.solve.divide(t, 1500000)"),
                 NULL, "mine.lua:4: the script does too much");
    expect_error("error({})", NULL, "mine.lua:1: the script raised a table as its error");
    expect_error("local t = 'x' for i = 1, 100 do t = t .. t end", NULL,
                 "mine.lua: the script takes more memory than the ");
}

Test(policies, what_they_share_says_what_it_lacks)
{
    expect_error(POLICY("pw.chunking.hole(1)"), NULL,
                 "mine.lua:3: pw.chunking.hole: there is no such field; did you mean "
                 "pw.chunking.whole?");
    expect_error(POLICY("pw.chunking.halves(1)"), NULL,
                 "pw.chunking.halves: there is no such field (best_fit, equal_slices, "
                 "equal_time_slices, whole)");
    expect_error(POLICY("pw.chunking.whole(512)"), NULL,
                 "mine.lua:3: chunking.whole: sequences: found number, expected a list");
    expect_error(POLICY("local o = pw.orders.all_forward_then_backward({})"), NULL,
                 "mine.lua:3: orders.all_forward_then_backward: nstages: found nil, expected the "
                 "number of stages, as #layout.stages");
    expect_error(POLICY("local o = pw.orders.one_f_one_b(nil, 2)"), NULL,
                 "mine.lua:3: orders.one_f_one_b: chunks: found nil, expected a list of chunks");
    expect_error(POLICY("local r = pw.recompute.none()"), NULL,
                 "mine.lua:3: recompute.none: chunks: found nil, expected a list of chunks");
    expect_error(POLICY("local r = pw.recompute.least(layout.stages, {{'F0', 'B0'}})"), NULL,
                 "mine.lua:3: recompute.least: order.chunks: found nil, expected a list of chunks");
}

/* A shipped policy does not loop: where its budget ends it is the batch. A user's may. */
Test(policies, a_batch_too_large_for_the_budget_is_named)
{
    const char *batch = "test.lua:8: train.batch: found \"";
    World      *world = new_world(2, 2, (int64_t)1 << 30);
    world->job.tree   = "{\"origin\": {\"train.batch.count\": \"test.lua:8\"}}";
    world->batch      = make_batch(world, 100000, 1);
    cr_assert_not(decided(world, "gpipe", NULL));
    cr_expect_eq(world->error.status, EXIT_INPUT);
    cr_expect_eq(strstr(world->error.text, batch), world->error.text, "%s", world->error.text);
    cr_expect(strstr(world->error.text, " tokens in 100000 sequences\", expected a batch that "
                                        "policy gpipe can plan within 200 million instructions"),
              "%s", world->error.text);
    free_world(world);
    expect_error(POLICY("while true do end"), NULL, "mine.lua:3: the script does too much");
    expect_error(POLICY("while true do end"), NULL, "Or else the batch is too large for it");
}

Test(policies, what_cannot_be_priced_is_told_where)
{
    expect_error(POLICY("layout.stages[2].first = 0\ncost:seconds({{0, 0, 1}}, layout.stages)"),
                 NULL, "mine.lua:4: plan of step 7: pipeline 0: stage 1 begins at layer 0");
    expect_error(POLICY("cost:chunk({{0, 0, 1}}, {{rank = 0, first = 0, past = 1}})"), NULL,
                 "mine.lua:3: plan of step 7: pipeline 0 ends at layer 1");
    expect_error(POLICY("cost:seconds({{0, 0, 1}, {0, 1, 1}})"), NULL,
                 "mine.lua:3: plan of step 7: chunk 0 has two segments of sequence 0");
    expect_error(POLICY(PLAN("layout.stages[1].past = 0.5\n"
                             "cost:arrange { stages = layout.stages, chunks = chunks, "
                             "order = order }")),
                 NULL, "mine.lua:6: plan of step 7: pipeline 0: stage 1 begins");
}

/* A chunk whose numbers are made while it is read, by asking, rightly and wrongly, for others. */
Test(policies, may_ask_within_a_question)
{
    expect_error(POLICY("local plain = cost:seconds({{0, 0, 2}})\n"
                        "local lazy = setmetatable({}, {__index = function(_, i)\n"
                        "  assert(not pcall(cost.seconds, cost, {{0, 0, 0}}))\n"
                        "  assert(cost:seconds({{0, 0, 1}}) < plain)\n"
                        "  return ({0, 0, 2})[i]\n"
                        "end})\n"
                        "error(cost:seconds({lazy}) == plain and 'the same' or 'another')"),
                 NULL, "mine.lua:9: the same");
}

Test(policies, a_limit_that_no_chunk_can_keep_is_told_where)
{
    static const char *const names[] = {"best_fit", "whole", "equal_slices", "equal_time_slices"};
    Region                  *region  = region_new();
    for (int i = 0; i < COUNT(names); i++) {
        const char *first = i == 0 ? "{}, " : "";
        expect_error(region_format(region,
                                   POLICY("local limit = batch.context // 100000\n"
                                          "local chunks = pw.chunking.%s(%sbatch.sequences, "
                                          "limit)"),
                                   names[i], first),
                     NULL,
                     region_format(region,
                                   "mine.lua:4: chunking.%s: limit: found 0, expected a whole "
                                   "number of tokens, at least 1",
                                   names[i]));
    }
    region_free(region);
}

Test(policies, options_are_checked_where_the_job_says_them)
{
    static const struct {
        const char *policy, *options, *message;
    } cases[] = {
        {"gpipe", "{\"chunk\": -1}",
         "job.lua:7: policy.chunk: found \"-1\", expected a whole number of at least 0"},
        {"seq1f1b", "{\"slices\": 2.5}",
         "job.lua:7: policy.slices: found \"2.5\", expected a whole number of at least 1"},
        {"seq1f1b", "{\"slices\": 0}", "policy.slices: found \"0\", expected"},
        {"seq1f1b", "{\"balance\": \"tiem\"}",
         "--set: policy.balance: found \"tiem\", expected \"tokens\", \"time\"; "
         "did you mean \"time\"?"},
        {"1f1b", "{\"spare\": -5}", "job.lua:7: policy.spare: found \"-5\", expected"},
        {"zb1p", "{\"waiting\": -1}", "policy.waiting: found \"-1\", expected"},
        {"chunkflow", "{\"keep\": \"all\"}", "policy.keep: found \"all\", expected"},
        {"gpipe", "{\"chnuk\": 1}",
         "job.lua:7: policy.chnuk: found \"1\", expected an option of policy gpipe (chunk); did "
         "you mean chunk?"},
    };
    World *world    = new_world(2, 2, (int64_t)1 << 30);
    world->job.tree = "{\"origin\": {\"policy\": \"job.lua:7\", \"policy.balance\": \"--set\"}}";
    for (int i = 0; i < COUNT(cases); i++) {
        cr_expect_not(decided(world, cases[i].policy, cases[i].options));
        cr_expect_eq(world->error.status, EXIT_INPUT);
        cr_expect(strstr(world->error.text, cases[i].message), "%s\nnot %s", world->error.text,
                  cases[i].message);
    }
    cr_expect(decided(world, "seq1f1b", "{\"slices\": 2.0, \"balance\": \"time\"}"), "%s",
              world->error.text);
    free_world(world);
}

Test(policies, a_name_that_is_none_gets_the_nearest)
{
    World *world = new_world(1, 1, (int64_t)1 << 30);
    cr_expect_not(decided(world, "seq1f1p", NULL));
    cr_expect(strstr(world->error.text, "did you mean seq1f1b?"), "%s", world->error.text);
    cr_expect_not(decided(world, "missing.lua", NULL));
    cr_expect(strstr(world->error.text, "missing.lua"), "%s", world->error.text);
    free_world(world);
}
