/* cost: the table reads back; seconds are its lines; a plan's prediction follows from --with-costs
 * by the rule of docs/PLAN.md, told here a second time, from the JSON alone. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/random.h"
#include "gen/cost/peak.h"
#include "gen/cost/predict.h"
#include "gen/job/job_passes.h"
#include "gen/pictures/gantt.h"
#include "gen/solve/list_order.h"
#include "gen/solve/packing.h"
#include "gen/solve/partition.h"
#include "tests/support/random_plans.h"
#include "tests/support/tiny_model.h"

static const char table[] =
    "{\"format\": \"pipewright-cost-1\", \"name\": \"mine\", \"device\": \"cpu\","
    " \"latency\": 0.001, \"seconds_per_byte\": 1e-09, \"probe\": 0.25, \"codelets\": {"
    "\"pre_forward_all\": {\"points\": [[10, 1.0], [20, 3.0], [40, 4.0]]},"
    "\"core_forward_all\": {\"constant\": 0.5, \"lengths\": [10, 20], \"contexts\": [0, 100],"
    " \"seconds\": [[1.0, 2.0], [3.0, 5.0]]}}}";

static const char *printed(Region *region, const Cost *cost)
{
    Text text = text_new(region);
    cost_print(cost, &text);
    return text.at;
}

Test(cost, table_reads_back)
{
    Region *region = region_new();
    Error   error  = {.status = 0};
    Cost   *cost   = cost_read(region, table, "table", &error);
    cr_assert(cost, "%s", error.text);
    const char *text  = printed(region, cost);
    Cost       *again = cost_read(region, text, "again", &error);
    cr_assert(again, "%s", error.text);
    cr_expect_str_eq(printed(region, again), text);
    cr_expect_eq(again->probe, 0.25);
    region_free(region);
}

Test(cost, between_points_a_line_and_beyond_them_too)
{
    Region     *region = region_new();
    Error       error  = {.status = 0};
    Cost       *cost   = cost_read(region, table, "table", &error);
    const char *pre    = "pre_forward_all";
    cr_expect_float_eq(seconds_of_call(cost, pre, 10, NULL, 0), 1.0, 1e-12);
    cr_expect_float_eq(seconds_of_call(cost, pre, 15, NULL, 0), 2.0, 1e-12);
    cr_expect_float_eq(seconds_of_call(cost, pre, 30, NULL, 0), 3.5, 1e-12);
    cr_expect_float_eq(seconds_of_call(cost, pre, 80, NULL, 0), 6.0, 1e-12);
    cr_expect_float_eq(seconds_of_call(cost, pre, 1, NULL, 0), 0.0, 1e-12); /* never below */
    CostSegment segments[] = {{10, 0}, {15, 50}};
    cr_expect_float_eq(seconds_of_call(cost, "core_forward_all", 25, segments, 2),
                       0.5 + 1.0 + (1.5 + 4.0) / 2, 1e-12);
    cr_expect_float_eq(seconds_of_message(cost, 1000000), 0.002, 1e-12);
    region_free(region);
}

static void refused(const char *from, const char *to, const char *message)
{
    Region     *region = region_new();
    Error       error  = {.status = 0};
    const char *at     = strstr(table, from);
    cr_assert(at);
    const char *text =
        region_format(region, "%.*s%s%s", (int)(at - table), table, to, at + strlen(from));
    cr_expect_not(cost_read(region, text, "table", &error), "%s", to);
    cr_expect_eq(error.status, EXIT_INPUT);
    cr_expect(strstr(error.text, message), "%s", error.text);
    region_free(region);
}

Test(cost, wrong_tables_are_refused)
{
    refused("pipewright-cost-1", "pipewright-cost-2", "format");
    refused("\"probe\"", "\"prob\"", "did you mean probe?");
    refused("[20, 3.0]", "[10, 3.0]", "codelets.pre_forward_all.points");
    refused("3.0]", "-3.0]", "seconds, not negative");
    refused("[3.0, 5.0]", "[3.0]", "codelets.core_forward_all.seconds");
    refused("[10, 20]", "[20, 10]", "codelets.core_forward_all.lengths");
}

/* ---- the rule, from the JSON alone ---- */

static double number_at(const json_t *list, int i)
{
    return json_number_value(json_array_get(list, (size_t)i));
}

static const json_t *stages_of(const json_t *plan, int chunk)
{
    const json_t *at = json_array_get(json_object_get(plan, "chunks"), (size_t)chunk);
    int           p  = (int)json_integer_value(json_object_get(at, "pipeline"));
    return json_object_get(json_array_get(json_object_get(plan, "pipelines"), (size_t)p), "stages");
}

static int rank_of(const json_t *plan, int chunk, int stage)
{
    const json_t *at = json_array_get(stages_of(plan, chunk), (size_t)stage);
    return (int)number_at(json_object_get(at, "ranks"), 0);
}

typedef struct Operation {
    char letter;
    int  chunk, stage;
} Operation;

static Operation operation_at(const json_t *plan, int rank, int i)
{
    const json_t *order = json_array_get(json_object_get(plan, "order"), (size_t)rank);
    const char   *text  = json_string_value(json_array_get(order, (size_t)i));
    char         *end;
    Operation     o = {text[0], (int)strtol(text + 1, &end, 10), -1};
    if (*end == '.')
        o.stage = atoi(end + 1);
    for (int s = 0; o.stage < 0; s++)
        if (rank_of(plan, o.chunk, s) == rank)
            o.stage = s;
    return o;
}

static int count_at(const json_t *plan, int rank)
{
    return (int)json_array_size(json_array_get(json_object_get(plan, "order"), (size_t)rank));
}

static bool stands(const json_t *plan, char letter, int chunk, int stage)
{
    int rank = rank_of(plan, chunk, stage);
    for (int i = 0; i < count_at(plan, rank); i++) {
        Operation o = operation_at(plan, rank, i);
        if (o.letter == letter && o.chunk == chunk && o.stage == stage)
            return true;
    }
    return false;
}

/* Seconds of the levels' rebuilding on a stage: lean, or deeper. A layer that a border cuts:
 * half. */
static double rebuilding(const json_t *plan, const json_t *costs, Operation o, bool deep)
{
    const json_t *chunk = json_array_get(json_object_get(plan, "chunks"), (size_t)o.chunk);
    const json_t *stage = json_array_get(stages_of(plan, o.chunk), (size_t)o.stage);
    double        first = number_at(json_object_get(stage, "layers"), 0);
    double        past  = number_at(json_object_get(stage, "layers"), 1);
    double        sum   = 0;
    for (int l = 0; l < past; l++) {
        double part  = fmin(past, l + 1) - fmax(first, l);
        int    level = (int)number_at(json_object_get(chunk, "recompute"), l);
        if (part > 0 && level > 0 && deep == (level > 1))
            sum +=
                part * number_at(json_array_get(json_object_get(costs, "rebuild"), (size_t)o.stage),
                                 level - 1);
    }
    return sum;
}

static double seconds_by_rule(const json_t *plan, Operation o)
{
    const json_t *all   = json_object_get(json_object_get(plan, "costs"), "chunks");
    const json_t *costs = json_array_get(all, (size_t)o.chunk);
    double        dw    = number_at(json_object_get(costs, "weight"), o.stage);
    bool          split = stands(plan, 'W', o.chunk, o.stage);
    double        lean  = rebuilding(plan, costs, o, false);
    double        deep  = rebuilding(plan, costs, o, true);
    if (o.letter == 'F')
        return number_at(json_object_get(costs, "forward"), o.stage);
    if (o.letter == 'W')
        return dw + lean;
    if (o.letter == 'R')
        return deep;
    return number_at(json_object_get(costs, "backward"), o.stage) - (split ? dw : -lean) +
           (stands(plan, 'R', o.chunk, o.stage) ? 0 : deep);
}

enum { MOST_RANKS = 4, MOST_OPERATIONS = 4096 };

/* The end of F or B of a chunk on a stage in what has been run so far, or -1. */
static double end_of(const json_t *plan, double ends[MOST_RANKS][MOST_OPERATIONS], const int *next,
                     Operation o)
{
    int rank = rank_of(plan, o.chunk, o.stage);
    for (int i = 0; i < next[rank]; i++) {
        Operation at = operation_at(plan, rank, i);
        if (at.letter == o.letter && at.chunk == o.chunk && at.stage == o.stage)
            return ends[rank][i];
    }
    return -1;
}

static double simulated(const json_t *plan)
{
    static double ends[MOST_RANKS][MOST_OPERATIONS];
    int           nranks           = (int)json_integer_value(json_object_get(plan, "ranks"));
    int           next[MOST_RANKS] = {0};
    double        last             = 0;
    const json_t *costs            = json_object_get(plan, "costs");
    for (bool moved = true; moved;) {
        moved = false;
        for (int r = 0; r < nranks; r++) {
            if (next[r] == count_at(plan, r))
                continue;
            Operation o     = operation_at(plan, r, next[r]);
            Operation from  = o;
            double    start = next[r] ? ends[r][next[r] - 1] : 0;
            from.stage += o.letter == 'F' ? -1 : o.letter == 'B' ? 1 : 0;
            if (from.stage != o.stage && from.stage >= 0 &&
                from.stage < (int)json_array_size(stages_of(plan, o.chunk))) {
                double        end = end_of(plan, ends, next, from);
                const json_t *chunk =
                    json_array_get(json_object_get(costs, "chunks"), (size_t)o.chunk);
                int least = from.stage < o.stage ? from.stage : o.stage;
                if (end < 0)
                    continue;
                start = fmax(start, end + number_at(json_object_get(chunk, "transfer"), least));
            }
            ends[r][next[r]] = start + seconds_by_rule(plan, o);
            last             = fmax(last, ends[r][next[r]++]);
            moved            = true;
        }
    }
    return last + json_number_value(json_object_get(costs, "end"));
}

typedef struct World {
    Region    *region;
    Error      error;
    Model     *model;
    Codelets  *codelets;
    Cost      *cost;
    RandomPlan made;
    Pricing    pricing;
} World;

static void make_world(World *world, uint64_t seed)
{
    world->region   = region_new();
    world->model    = tiny_model(world->region, (TinyShape){.layers = 1 + (int64_t)(seed % 5)});
    world->codelets = differentiate(world->region, world->model, 4, &world->error);
    cr_assert(world->codelets && fuse(world->region, world->codelets, world->model, &world->error));
    world->cost = cost_profile(world->region, "cpu", world->codelets, world->model, &world->error);
    cr_assert(world->cost, "%s", world->error.text);
    world->made = random_plan(world->region, world->model, seed);
    cr_assert(pricing_make(world->region, world->model, world->codelets, world->made.layout,
                           world->cost, &world->pricing, &world->error));
}

Test(cost, prediction_follows_from_the_json_alone)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        World world;
        make_world(&world, seed);
        plan_predict(world.region, world.made.plan, &world.pricing, true);
        Text text = text_new(world.region);
        plan_print(world.made.plan, &text);
        json_t *plan = json_loads(text.at, JSON_REJECT_DUPLICATES, NULL);
        double  found =
            json_number_value(json_object_get(json_object_get(plan, "predicted"), "seconds"));
        cr_expect_float_eq(simulated(plan), found, 1e-9, "seed %lu", (unsigned long)seed);
        cr_expect_leq(world.made.plan->predicted.bound, found * (1 + 1e-12), "seed %lu",
                      (unsigned long)seed);
        json_decref(plan);
        region_free(world.region);
    }
}

Test(cost, peaks_are_above_the_static_part_and_below_everything)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        World world;
        make_world(&world, seed);
        const Plan *plan  = world.made.plan;
        int64_t    *peak  = predict_peak(world.region, plan, &world.pricing);
        PlanCosts  *costs = costs_of_plan(world.region, plan, &world.pricing);
        for (int r = 0; r < plan->nranks; r++) {
            bool works = plan->order[r].count > 0;
            cr_expect_geq(peak[r], costs->static_bytes[r] + works, "seed %lu", (unsigned long)seed);
        }
        region_free(world.region);
    }
}

Test(cost, picture_has_a_bar_for_every_operation)
{
    World world;
    make_world(&world, 11);
    Plan *plan = world.made.plan;
    plan_predict(world.region, plan, &world.pricing, true);
    Text text = text_new(world.region);
    gantt_print(plan, plan->costs, &text);
    int bars = 0, operations = 0;
    for (const char *at = text.at; (at = strstr(at, "<g><title>")); at++)
        bars++;
    for (int r = 0; r < plan->nranks; r++)
        operations += plan->order[r].count + 1; /* and the step's end */
    cr_expect_eq(bars, operations + plan->nchunks);
    region_free(world.region);
}

/* ---- the layout ---- */

Test(cost, layout_reads_back_and_its_statics_do_not_overlap)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        World world;
        make_world(&world, seed);
        Text text = text_new(world.region), again = text_new(world.region);
        layout_print(world.made.layout, world.model, &text);
        Layout *read =
            layout_read(world.region, text.at, "layout", world.model->layers, &world.error);
        cr_assert(read, "%s", world.error.text);
        layout_print(read, world.model, &again);
        cr_assert_str_eq(text.at, again.at);
        int weights = 0;
        for (int r = 0; r < read->nranks; r++) {
            int64_t end = 0;
            for (int i = 0; i < read->ranks[r].nbuffers; i++) {
                const StaticBuffer *buffer = &read->ranks[r].buffers[i];
                cr_assert_geq(buffer->offset, end);
                cr_assert_eq(buffer->offset % 64, 0);
                end = buffer->offset + buffer->bytes;
                weights += buffer->kind == STATIC_WEIGHT;
            }
            cr_assert_leq(end, read->ranks[r].static_bytes);
        }
        cr_expect_eq(weights, layout_tensors(world.model));
        region_free(world.region);
    }
}

/* ---- solvers, judged by trying everything ---- */

static double heaviest(const double *weight, const int *border, int nparts)
{
    double most = 0;
    for (int p = 0; p < nparts; p++) {
        double sum = 0;
        for (int i = border[p]; i < border[p + 1]; i++)
            sum += weight[i];
        most = fmax(most, sum);
    }
    return most;
}

static double best_by_trying(const double *weight, int nitems, int nparts, int *border, int part)
{
    if (part == nparts) {
        return border[part - 1] < nitems
                   ? (border[nparts] = nitems, heaviest(weight, border, nparts))
                   : HUGE_VAL;
    }
    double best = HUGE_VAL;
    for (border[part] = border[part - 1] + 1; border[part] < nitems; border[part]++) {
        int kept     = border[part];
        best         = fmin(best, best_by_trying(weight, nitems, nparts, border, part + 1));
        border[part] = kept;
    }
    return best;
}

Test(cost, partition_is_the_best_there_is)
{
    uint64_t state = 3;
    for (int trial = 0; trial < 300; trial++) {
        Region *region = region_new();
        int     nitems = 1 + (int)random_below(&state, 9);
        int     nparts = 1 + (int)random_below(&state, nitems < 4 ? nitems : 4);
        double  weight[10];
        int     border[11], tried[11] = {0};
        for (int i = 0; i < nitems; i++)
            weight[i] = (double)random_below(&state, 20);
        double found = partition(region, weight, nitems, NULL, nparts, border);
        cr_assert_float_eq(found, heaviest(weight, border, nparts), 1e-12);
        cr_assert_float_eq(found, best_by_trying(weight, nitems, nparts, tried, 1), 1e-12);
        region_free(region);
    }
}

Test(cost, packing_never_overfills_and_opens_no_bin_in_vain)
{
    uint64_t state = 5;
    for (int trial = 0; trial < 300; trial++) {
        Region *region = region_new();
        int64_t size[40], room[5], used[45] = {0}, limit = 10 + random_below(&state, 50);
        int     bin[40], nitems = 1 + (int)random_below(&state, 40);
        int     nbins = (int)random_below(&state, 6);
        for (int b = 0; b < nbins; b++)
            room[b] = random_below(&state, limit);
        for (int i = 0; i < nitems; i++)
            size[i] = 1 + random_below(&state, limit);
        int all = pack_best_fit(region, size, nitems, limit, room, nbins, bin);
        for (int i = 0; i < nitems; i++)
            used[bin[i]] += size[i];
        int halves = 0;
        for (int b = 0; b < all; b++) {
            cr_assert_leq(used[b], b < nbins ? room[b] : limit);
            cr_assert(b < nbins || used[b] > 0);
            halves += b >= nbins && used[b] <= limit / 2;
        }
        cr_assert_leq(halves, 1); /* two of them would have been one */
        region_free(region);
    }
}

/* Two machines: task 2 waits for task 0 on the other; meanwhile what fills is done. */
Test(cost, fillers_run_where_a_machine_would_wait)
{
    Region  *region  = region_new();
    Task     tasks[] = {{0, 5, {-1, -1}, {0, 0}, false},
                        {1, 1, {-1, -1}, {0, 0}, false},
                        {1, 1, {0, -1}, {0, 0}, false},
                        {1, 2, {1, -1}, {0, 0}, true}};
    int      zero[] = {0}, one[] = {1, 2};
    TaskList lists[] = {{zero, 1}, {one, 2}}, order[2];
    cr_assert(list_order(region, tasks, 4, lists, 2, 2, -1, order));
    cr_assert_eq(order[1].count, 3);
    cr_expect_eq(order[1].tasks[0], 1);
    cr_expect_eq(order[1].tasks[1], 3);
    cr_expect_eq(order[1].tasks[2], 2);
    tasks[0].needs[0] = 2; /* now they wait for each other */
    cr_expect_not(list_order(region, tasks, 4, lists, 2, 2, -1, order));
    tasks[0].needs[0] = -1;
    one[1]            = 1; /* twice */
    cr_expect_not(list_order(region, tasks, 4, lists, 2, 2, -1, order));
    region_free(region);
}
