/* tune: what it asks a trainer to measure, and the table that it makes of the answer. The trainer
 * here is a formula of which a table of this form can hold every value exactly. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "gen/cost/seconds.h"
#include "gen/job/job_passes.h"
#include "gen/job/tune.h"
#include "tests/support/tiny_model.h"

enum { CONTEXT = 256 };

typedef struct World {
    Region         *region;
    Error           error;
    const Codelets *codelets;
    Tuning         *tuning;
    json_t         *points; /* what was asked */
} World;

static World ask(int64_t longest)
{
    World    world    = {.region = region_new()};
    Model   *model    = tiny_model(world.region, (TinyShape){.layers = 2});
    Job      job      = {.model = model, .device = "cpu", .data.context = CONTEXT};
    int64_t  length[] = {20, 31, longest};
    Lengths *lengths  = lengths_count(world.region, length, 3, "three");
    Text     text     = text_new(world.region);
    world.codelets    = differentiate(world.region, model, 4, &world.error);
    world.tuning      = tune_points(world.region, &job, world.codelets, lengths);
    tune_print(world.tuning, &text);
    world.points = json_loads(text.at, 0, NULL);
    cr_assert(json_is_array(world.points), "%s", text.at);
    return world;
}

static int64_t whole(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static double of_tokens(int64_t tokens)
{
    return 3e-6 + 2e-6 * (double)tokens;
}

static double of_segment(int64_t length, int64_t context)
{
    return 1e-6 * (double)length + 1e-8 * (double)length * (double)context;
}

static const Codelet *codelet_of(const World *world, const json_t *point)
{
    const char *name = json_string_value(json_object_get(point, "codelet"));
    return &world->codelets->items[codelet_named(world->codelets, name)];
}

/* What the trainer takes for the whole call. */
static double measured(const World *world, const json_t *point)
{
    const Codelet *codelet = codelet_of(world, point);
    double         sum     = 0;
    size_t         i;
    json_t        *segment;
    if (codelet->direction == DIRECTION_UPDATE)
        return of_tokens(whole(point, "count"));
    if (codelet->part != PART_CORE)
        return of_tokens(whole(point, "tokens"));
    json_array_foreach(json_object_get(point, "segments"), i, segment) sum +=
        of_segment(json_integer_value(json_array_get(segment, 0)),
                   json_integer_value(json_array_get(segment, 1)));
    return sum;
}

static Cost *answer(World *world)
{
    Text    text = text_new(world->region);
    size_t  i;
    json_t *point;
    text_add(&text, "{\"points\": [");
    json_array_foreach(world->points, i, point)
        text_add(&text, "%s{\"median\": %.17g}", i ? ", " : "", measured(world, point));
    text_add(&text, "], \"latency\": 1e-5, \"seconds_per_byte\": 2e-10, \"probe\": 0.5}");
    Cost *cost = tune_read(world->tuning, text.at, &world->error);
    cr_assert(cost, "%s", world->error.text);
    return cost;
}

Test(tune, asks_for_every_codelet_and_for_nothing_that_cannot_occur)
{
    World   world   = ask(10000);
    int64_t longest = 0;
    size_t  i, j;
    json_t *point, *segment;
    bool   *asked = REGION_ARRAY(world.region, bool, world.codelets->count);
    json_array_foreach(world.points, i, point)
    {
        int64_t tokens                                           = 0;
        asked[codelet_of(&world, point) - world.codelets->items] = true;
        json_array_foreach(json_object_get(point, "segments"), j, segment)
        {
            int64_t length  = json_integer_value(json_array_get(segment, 0));
            int64_t context = json_integer_value(json_array_get(segment, 1));
            cr_expect(context == 0 || length + context <= CONTEXT, "%zu", i);
            tokens += length;
        }
        cr_expect_eq(tokens, whole(point, "tokens"));
        longest = tokens > longest ? tokens : longest;
    }
    for (int c = 0; c < world.codelets->count; c++)
        cr_expect(asked[c], "%s", world.codelets->items[c].name);
    cr_expect_eq(longest, 512); /* short segments are packed; a context is 256 */
}

/* The longest document, where it is shorter than a context, ends the grid. */
Test(tune, asks_for_no_more_tokens_than_documents_have)
{
    World   world = ask(100);
    size_t  i;
    json_t *point;
    int64_t longest = 0;
    json_array_foreach(world.points, i, point)
    {
        const Codelet *codelet = codelet_of(&world, point);
        const json_t  *segment = json_array_get(json_object_get(point, "segments"), 0);
        int64_t        length  = json_integer_value(json_array_get(segment, 0));
        int64_t        context = json_integer_value(json_array_get(segment, 1));
        cr_expect_leq(length + context, 100);
        if (codelet->part != PART_CORE && whole(point, "tokens") > longest)
            longest = whole(point, "tokens");
    }
    cr_expect_eq(longest, 100);
}

Test(tune, table_gives_back_what_was_measured)
{
    World world = ask(10000);
    Cost *cost  = answer(&world);
    cr_expect(cost_covers(cost, world.codelets, &world.error), "%s", world.error.text);
    cr_expect_eq(cost->latency, 1e-5);
    cr_expect_eq(cost->seconds_per_byte, 2e-10);
    cr_expect_eq(cost->probe, 0.5);
    cr_expect_float_eq(seconds_of_call(cost, "pre_forward_all", 77, NULL, 0), of_tokens(77), 1e-12);
    /* at the table's end such segments have more context than there is: their points follow */
    static const CostSegment segments[] = {{16, 0}, {40, 100}, {200, 30}, {250, 200}};
    for (int i = 0; i < COUNT(segments); i++)
        cr_expect_float_eq(
            seconds_of_call(cost, "core_forward_all", segments[i].tokens, &segments[i], 1),
            of_segment(segments[i].tokens, segments[i].context), 1e-12, "segment %d", i);
}

Test(tune, refuses_an_answer_that_does_not_read)
{
    World world = ask(10000);
    cr_expect_null(tune_read(world.tuning, "{\"points\": [", &world.error));
    cr_expect_eq(world.error.status, EXIT_FAILED);
    cr_expect(strstr(world.error.text, "do not read"), "%s", world.error.text);
}
