/* plan_read: reads `pipewright-plan-1`, the four decisions of one step as JSON.
 * Reading checks the form: fields, types, ranges, and what is not placed yet. Whether a plan makes
 * sense for a batch and a layout is plan_check's question (plan_check.c). */
#include "gen/forms/plan.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/fields.h"

enum {
    MOST_LAYERS = 1 << 20,
    MOST_RANKS  = 1 << 20,
};

static bool not_yet(const Fields *at, const char *what)
{
    const char *dot = *at->path ? "." : "";
    return error_input(at->error, "%s: not yet: %s%s%s", at->file, at->path, dot, what);
}

static bool read_format(const Fields *at)
{
    const char *format;
    if (!fields_text(at, "format", &format))
        return false;
    if (strcmp(format, "pipewright-plan-1") != 0)
        return fields_wrong(at, "format", fields_get(at, "format"), "\"pipewright-plan-1\"");
    return true;
}

/* What is only carried along: step, policy, options, tries. */
static bool read_head(const Fields *at, Plan *plan)
{
    if (!read_format(at) || !fields_whole(at, "step", 0, INT64_MAX, &plan->step))
        return false;
    if (fields_get(at, "policy") && !fields_text(at, "policy", &plan->policy))
        return false;
    if (fields_get(at, "tries") && !fields_text(at, "tries", &plan->tries))
        return false;
    const json_t *options = fields_get(at, "options");
    if (options) {
        if (!json_is_object(options))
            return fields_wrong(at, "options", options, "an object");
        char *text    = json_dumps(options, JSON_COMPACT | JSON_REAL_PRECISION(17));
        plan->options = region_copy(at->region, text);
        free(text);
    }
    return true;
}

static bool read_sequences(const Fields *at, Plan *plan)
{
    const json_t *list;
    if (!fields_list(at, "sequences", &list))
        return false;
    plan->nsequences = (int)json_array_size(list);
    plan->sequences  = REGION_ARRAY(at->region, int64_t, plan->nsequences);
    for (int i = 0; i < plan->nsequences; i++) {
        const json_t *length = json_array_get(list, (size_t)i);
        if (!json_is_integer(length) || json_integer_value(length) < 1 ||
            json_integer_value(length) > INT32_MAX)
            return fields_wrong(at, region_format(at->region, "sequences[%d]", i), length,
                                "a length in tokens, at least 1");
        plan->sequences[i] = json_integer_value(length);
    }
    return true;
}

/* A list of ranks; lists of one, until several ranks share a stage. */
static bool read_one_rank(const Fields *at, const char *name, const json_t *list, int nranks,
                          int *rank)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return fields_wrong(at, name, list, "a list of ranks");
    if (json_array_size(list) > 1)
        return not_yet(at, region_format(at->region, "%s: several ranks", name));
    const json_t *first = json_array_get(list, 0);
    if (!json_is_integer(first) || json_integer_value(first) < 0 ||
        json_integer_value(first) >= nranks)
        return fields_wrong(at, name, list, region_format(at->region, "ranks below %d", nranks));
    *rank = (int)json_integer_value(first);
    return true;
}

static bool read_homes(const Fields *at, int64_t layers, Plan *plan)
{
    const json_t *list;
    if (!fields_get(at, "homes"))
        return true;
    if (!fields_list(at, "homes", &list))
        return false;
    if ((int64_t)json_array_size(list) != layers + 2)
        return fields_wrong(at, "homes", list,
                            region_format(at->region,
                                          "%" PRId64 " lists of ranks: embedding, layers, head",
                                          layers + 2));
    plan->homes = REGION_ARRAY(at->region, int, 2 * (layers + 2));
    for (int i = 0; i < (int)layers + 2; i++) {
        const char *name = region_format(at->region, "homes[%d]", i);
        if (!read_one_rank(at, name, json_array_get(list, (size_t)i), plan->nranks,
                           &plan->homes[2 * i]))
            return false;
        plan->homes[2 * i + 1] = plan->homes[2 * i];
    }
    return true;
}

/* A border between layers, in halves. */
static bool read_border(const Fields *at, const json_t *found, int64_t layers, int *border)
{
    double halves = json_is_number(found) ? 2 * json_number_value(found) : -1;
    if (!(halves >= 0 && halves <= 2 * (double)layers) || halves != floor(halves))
        return fields_wrong(at, "layers", found,
                            region_format(at->region,
                                          "[first, past-the-last], in steps of 0.5, 0 to %" PRId64,
                                          layers));
    *border = (int)halves;
    return true;
}

static bool read_stage(const Fields *at, int64_t layers, int nranks, PlanStage *stage)
{
    static const char *const names[] = {"ranks", "layers", "attention", "deal", NULL};
    const json_t            *list;
    if (!fields_known(at, names) || !fields_list(at, "layers", &list))
        return false;
    stage->ranks  = REGION_NEW(at->region, int);
    stage->nranks = 1;
    if (!read_one_rank(at, "ranks", fields_get(at, "ranks"), nranks, stage->ranks))
        return false;
    if (fields_get(at, "attention"))
        return not_yet(at, "attention");
    if (fields_get(at, "deal"))
        return not_yet(at, "deal");
    if (json_array_size(list) != 2)
        return fields_wrong(at, "layers", list, "[first, past-the-last]");
    return read_border(at, json_array_get(list, 0), layers, &stage->first) &&
           read_border(at, json_array_get(list, 1), layers, &stage->past);
}

static bool read_pipeline(const Fields *at, int64_t layers, int nranks, Pipeline *pipeline)
{
    static const char *const names[] = {"stages", "weights", "vocabulary", "route", NULL};
    const json_t            *list;
    if (!fields_known(at, names) || !fields_list(at, "stages", &list))
        return false;
    pipeline->weights    = "resident";
    pipeline->vocabulary = "last";
    if (fields_get(at, "weights") && !fields_text(at, "weights", &pipeline->weights))
        return false;
    if (strcmp(pipeline->weights, "resident") != 0)
        return not_yet(at, region_format(at->region, "weights \"%s\"", pipeline->weights));
    if (fields_get(at, "route"))
        return not_yet(at, "route");
    if (fields_get(at, "vocabulary") && !fields_text(at, "vocabulary", &pipeline->vocabulary))
        return false;
    if (strcmp(pipeline->vocabulary, "last") != 0)
        return not_yet(at, region_format(at->region, "vocabulary \"%s\"", pipeline->vocabulary));
    pipeline->nstages = (int)json_array_size(list);
    pipeline->stages  = REGION_ARRAY(at->region, PlanStage, pipeline->nstages);
    if (pipeline->nstages == 0)
        return fields_wrong(at, "stages", list, "at least one stage");
    for (int s = 0; s < pipeline->nstages; s++) {
        Fields below;
        if (!fields_object(at, "stages", (size_t)s, list, &below) ||
            !read_stage(&below, layers, nranks, &pipeline->stages[s]))
            return false;
    }
    return true;
}

static bool read_pipelines(const Fields *at, int64_t layers, Plan *plan)
{
    const json_t *list;
    if (!fields_list(at, "pipelines", &list))
        return false;
    plan->npipelines = (int)json_array_size(list);
    plan->pipelines  = REGION_ARRAY(at->region, Pipeline, plan->npipelines);
    for (int p = 0; p < plan->npipelines; p++) {
        Fields below;
        if (!fields_object(at, "pipelines", (size_t)p, list, &below) ||
            !read_pipeline(&below, layers, plan->nranks, &plan->pipelines[p]))
            return false;
    }
    return true;
}

/* [sequence, start, length] */
static bool read_segment(const Fields *at, int i, const json_t *found, const Plan *plan,
                         Segment *segment)
{
    const char *name = region_format(at->region, "segments[%d]", i);
    int64_t     number[3];
    if (json_array_size(found) != 3)
        return fields_wrong(at, name, found, "[sequence, start, length]");
    for (int k = 0; k < 3; k++) {
        const json_t *element = json_array_get(found, (size_t)k);
        if (!json_is_integer(element))
            return fields_wrong(at, name, found, "[sequence, start, length], whole numbers");
        number[k] = json_integer_value(element);
    }
    if (number[0] < 0 || number[0] >= plan->nsequences)
        return fields_wrong(at, name, found,
                            region_format(at->region, "a sequence, 0 to %d", plan->nsequences - 1));
    int64_t length = plan->sequences[number[0]];
    if (number[2] < 1 || number[1] < 0 || number[2] > length || number[1] > length - number[2])
        return fields_wrong(at, name, found,
                            region_format(at->region,
                                          "tokens within sequence %" PRId64 ", which has %" PRId64,
                                          number[0], length));
    *segment = (Segment){(int)number[0], number[1], number[2]};
    return true;
}

static bool read_recompute(const Fields *at, int64_t layers, Chunk *chunk)
{
    const json_t *list = fields_get(at, "recompute");
    chunk->recompute   = REGION_ARRAY(at->region, uint8_t, layers);
    if (!list)
        return true;
    if (!json_is_array(list) || (int64_t)json_array_size(list) != layers)
        return fields_wrong(
            at, "recompute", list,
            region_format(at->region, "a level for each of %" PRId64 " layers", layers));
    for (int64_t l = 0; l < layers; l++) {
        const json_t *level = json_array_get(list, (size_t)l);
        if (!json_is_integer(level) || json_integer_value(level) < 0 ||
            json_integer_value(level) >= NLEVELS)
            return fields_wrong(at, region_format(at->region, "recompute[%" PRId64 "]", l), level,
                                "0 keep all, 1 lean, 2 only the input, or 3 nothing");
        chunk->recompute[l] = (uint8_t)json_integer_value(level);
    }
    return true;
}

static bool read_chunk(const Fields *at, int64_t layers, const Plan *plan, Chunk *chunk)
{
    static const char *const names[] = {"pipeline", "segments", "recompute", NULL};
    const json_t            *list;
    int64_t                  pipeline;
    if (!fields_known(at, names) ||
        !fields_whole(at, "pipeline", 0, plan->npipelines - 1, &pipeline) ||
        !fields_list(at, "segments", &list))
        return false;
    chunk->pipeline  = (int)pipeline;
    chunk->nsegments = (int)json_array_size(list);
    chunk->segments  = REGION_ARRAY(at->region, Segment, chunk->nsegments);
    if (chunk->nsegments == 0)
        return fields_wrong(at, "segments", list, "at least one segment");
    for (int i = 0; i < chunk->nsegments; i++) {
        if (!read_segment(at, i, json_array_get(list, (size_t)i), plan, &chunk->segments[i]))
            return false;
        chunk->tokens += chunk->segments[i].length;
    }
    if (chunk->tokens > INT32_MAX)
        return fields_wrong(at, "segments", list, "fewer tokens than 2^31");
    return read_recompute(at, layers, chunk);
}

static bool read_chunks(const Fields *at, int64_t layers, Plan *plan)
{
    const json_t *list;
    if (!fields_list(at, "chunks", &list))
        return false;
    plan->nchunks = (int)json_array_size(list);
    plan->chunks  = REGION_ARRAY(at->region, Chunk, plan->nchunks);
    for (int k = 0; k < plan->nchunks; k++) {
        Fields below;
        if (!fields_object(at, "chunks", (size_t)k, list, &below) ||
            !read_chunk(&below, layers, plan, &plan->chunks[k]))
            return false;
    }
    return true;
}

static bool parse_number(const char **text, int64_t limit, int *number)
{
    if (!isdigit((unsigned char)**text))
        return false;
    char     *end;
    long long value = strtoll(*text, &end, 10);
    *text           = end;
    *number         = (int)value;
    return value < limit;
}

/* "F3", "B3.1" */
static bool parse_operation(const Fields *at, const char *name, const json_t *found,
                            const Plan *plan, int rank, PlanOperation *operation)
{
    const char *text = json_is_string(found) ? json_string_value(found) : "";
    if (*text == 'H')
        return not_yet(at, region_format(at->region, "%s: H, a vocabulary that is split", name));
    if (!strchr("FBWR", *text) || !*text)
        return fields_wrong(at, name, found, "F, B, W or R and the number of a chunk, as \"F3\"");
    operation->letter = *text++;
    if (!parse_number(&text, plan->nchunks, &operation->chunk))
        return fields_wrong(
            at, name, found,
            region_format(at->region, "the number of a chunk, below %d", plan->nchunks));
    const Pipeline *pipeline = plan_pipeline(plan, operation->chunk);
    int             held     = plan_stages_on_rank(pipeline, rank, &operation->stage);
    if (held == 0)
        return fields_wrong(
            at, name, found,
            region_format(at->region, "a chunk of a pipeline with a stage on rank %d", rank));
    if (*text == '.') {
        text++;
        if (!parse_number(&text, pipeline->nstages, &operation->stage) ||
            pipeline->stages[operation->stage].ranks[0] != rank)
            return fields_wrong(at, name, found,
                                region_format(at->region, "a stage that rank %d holds", rank));
    } else if (held > 1) {
        return fields_wrong(at, name, found, "the stage too, as \"F3.1\": this rank holds several");
    }
    if (*text)
        return fields_wrong(at, name, found, "nothing after the number");
    return true;
}

static bool read_order(const Fields *at, Plan *plan)
{
    const json_t *list;
    if (!fields_list(at, "order", &list))
        return false;
    if ((int)json_array_size(list) != plan->nranks)
        return fields_wrong(at, "order", list,
                            region_format(at->region, "a list for each of %d ranks", plan->nranks));
    plan->order = REGION_ARRAY(at->region, Order, plan->nranks);
    for (int r = 0; r < plan->nranks; r++) {
        const json_t *operations = json_array_get(list, (size_t)r);
        Order        *order      = &plan->order[r];
        if (!json_is_array(operations))
            return fields_wrong(at, region_format(at->region, "order[%d]", r), operations,
                                "a list of operations");
        order->count      = (int)json_array_size(operations);
        order->operations = REGION_ARRAY(at->region, PlanOperation, order->count);
        for (int i = 0; i < order->count; i++) {
            const char *name = region_format(at->region, "order[%d][%d]", r, i);
            if (!parse_operation(at, name, json_array_get(operations, (size_t)i), plan, r,
                                 &order->operations[i]))
                return false;
        }
    }
    return true;
}

static bool read_plan(const Fields *at, int64_t layers, Plan *plan)
{
    static const char *const names[] = {"format",    "step",  "policy",    "options",   "tries",
                                        "sequences", "ranks", "homes",     "pipelines", "chunks",
                                        "order",     "lend",  "predicted", "costs",     NULL};
    int64_t                  nranks;
    if (!fields_known(at, names) || !read_head(at, plan) || !read_sequences(at, plan) ||
        !fields_whole(at, "ranks", 1, MOST_RANKS, &nranks))
        return false;
    if (fields_get(at, "lend"))
        return not_yet(at, "lend");
    plan->nranks = (int)nranks;
    return read_homes(at, layers, plan) && read_pipelines(at, layers, plan) &&
           read_chunks(at, layers, plan) && read_order(at, plan);
}

Plan *plan_from_json(Region *region, const json_t *tree, const char *name, int64_t layers,
                     Error *error)
{
    if (layers < 0 || layers > MOST_LAYERS)
        bug("a model of %" PRId64 " layers", layers);
    if (!json_is_object(tree))
        return error_input(error, "%s: a plan is an object", name), NULL;
    Fields at               = {region, tree, name, "", error};
    Plan  *plan             = REGION_NEW(region, Plan);
    plan->predicted.seconds = -1;
    plan->layers            = layers;
    return read_plan(&at, layers, plan) ? plan : NULL;
}

Plan *plan_read(Region *region, const char *text, const char *name, int64_t layers, Error *error)
{
    json_t *tree = fields_parse(text, name, error);
    Plan   *plan = tree ? plan_from_json(region, tree, name, layers, error) : NULL;
    json_decref(tree);
    return plan;
}
