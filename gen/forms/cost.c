/* cost: reads and prints `pipewright-cost-1`:
 *   {"format": "pipewright-cost-1", "name": "cpu profile", "device": "cpu", "latency": 2e-06,
 *    "seconds_per_byte": 1e-10, "probe": 0.0,
 *    "codelets": {"pre_forward_all": {"points": [[64, 0.0001], [512, 0.0008]]},
 *                 "core_forward_all": {"constant": 1e-06, "lengths": [64, 512],
 *                                      "contexts": [0, 512], "seconds": [[.., ..], [.., ..]]}}} */
#include "gen/forms/cost.h"

#include <inttypes.h>
#include <string.h>

#include "gen/base/fields.h"

enum { MOST_TOKENS = INT32_MAX };

/* A list of whole numbers that rise. */
static bool read_rising(const Fields *at, const char *name, int64_t **value, int *count)
{
    const json_t *list;
    if (!fields_list(at, name, &list))
        return false;
    *count = (int)json_array_size(list);
    *value = REGION_ARRAY(at->region, int64_t, *count);
    for (int i = 0; i < *count; i++) {
        const json_t *element = json_array_get(list, (size_t)i);
        if (!json_is_integer(element) || json_integer_value(element) < 0 ||
            (i > 0 && json_integer_value(element) <= (*value)[i - 1]))
            return fields_wrong(at, name, list, "whole numbers that rise");
        (*value)[i] = json_integer_value(element);
    }
    return *count > 0 || fields_wrong(at, name, list, "at least one number");
}

static bool read_seconds(const Fields *at, const char *name, const json_t *found, double *seconds)
{
    if (!json_is_number(found) || !(json_number_value(found) >= 0) ||
        json_number_value(found) > 1e9)
        return fields_wrong(at, name, found, "seconds, not negative");
    *seconds = json_number_value(found);
    return true;
}

static bool read_points(const Fields *at, CodeletCost *cost)
{
    const json_t *list;
    if (!fields_list(at, "points", &list))
        return false;
    cost->npoints = (int)json_array_size(list);
    cost->points  = REGION_ARRAY(at->region, CostPoint, cost->npoints);
    for (int i = 0; i < cost->npoints; i++) {
        const json_t *pair   = json_array_get(list, (size_t)i);
        const json_t *tokens = json_array_get(pair, 0);
        CostPoint    *point  = &cost->points[i];
        if (json_array_size(pair) != 2 || !json_is_integer(tokens) ||
            json_integer_value(tokens) < 0 ||
            (i > 0 && json_integer_value(tokens) <= cost->points[i - 1].tokens))
            return fields_wrong(at, "points", pair, "[tokens, seconds], by tokens, rising");
        point->tokens = json_integer_value(tokens);
        if (!read_seconds(at, "points", json_array_get(pair, 1), &point->seconds))
            return false;
    }
    return cost->npoints > 0 || fields_wrong(at, "points", list, "at least one point");
}

static bool read_table(const Fields *at, CodeletCost *cost)
{
    const json_t *rows;
    if (!read_seconds(at, "constant", fields_get(at, "constant"), &cost->constant) ||
        !read_rising(at, "lengths", &cost->lengths, &cost->nlengths) ||
        !read_rising(at, "contexts", &cost->contexts, &cost->ncontexts) ||
        !fields_list(at, "seconds", &rows))
        return false;
    cost->seconds = REGION_ARRAY(at->region, double, (int64_t)cost->nlengths * cost->ncontexts);
    if ((int)json_array_size(rows) != cost->nlengths)
        return fields_wrong(at, "seconds", rows, "a list for each of lengths");
    for (int i = 0; i < cost->nlengths; i++) {
        const json_t *row = json_array_get(rows, (size_t)i);
        if ((int)json_array_size(row) != cost->ncontexts)
            return fields_wrong(at, "seconds", row, "a number for each of contexts");
        for (int j = 0; j < cost->ncontexts; j++)
            if (!read_seconds(at, "seconds", json_array_get(row, (size_t)j),
                              &cost->seconds[i * cost->ncontexts + j]))
                return false;
    }
    return true;
}

static bool read_codelet(const Fields *at, CodeletCost *cost)
{
    static const char *const points[] = {"points", NULL};
    static const char *const table[]  = {"constant", "lengths", "contexts", "seconds", NULL};
    if (fields_get(at, "points"))
        return fields_known(at, points) && read_points(at, cost);
    return fields_known(at, table) && read_table(at, cost);
}

static bool read_codelets(const Fields *at, Cost *cost)
{
    const json_t *codelets = fields_get(at, "codelets");
    const char   *name;
    json_t       *entry;
    if (!json_is_object(codelets))
        return fields_wrong(at, "codelets", codelets, "an object, an entry a codelet");
    cost->codelets = REGION_ARRAY(at->region, CodeletCost, json_object_size(codelets));
    json_object_foreach((json_t *)codelets, name, entry)
    {
        Fields below = *at;
        below.object = entry;
        below.path   = region_format(at->region, "codelets.%s", name);
        if (!json_is_object(entry))
            return fields_wrong(at, below.path, entry, "an object");
        CodeletCost *codelet = &cost->codelets[cost->ncodelets++];
        codelet->codelet     = region_copy(at->region, name);
        if (!read_codelet(&below, codelet))
            return false;
    }
    return true;
}

static bool read_cost(const Fields *at, Cost *cost)
{
    static const char *const names[] = {"format",           "name",  "device",   "latency",
                                        "seconds_per_byte", "probe", "codelets", NULL};
    const char              *format;
    if (!fields_known(at, names) || !fields_text(at, "format", &format))
        return false;
    if (strcmp(format, "pipewright-cost-1") != 0)
        return fields_wrong(at, "format", fields_get(at, "format"), "\"pipewright-cost-1\"");
    return fields_text(at, "name", &cost->name) && fields_text(at, "device", &cost->device) &&
           read_seconds(at, "latency", fields_get(at, "latency"), &cost->latency) &&
           read_seconds(at, "seconds_per_byte", fields_get(at, "seconds_per_byte"),
                        &cost->seconds_per_byte) &&
           read_seconds(at, "probe", fields_get(at, "probe"), &cost->probe) &&
           read_codelets(at, cost);
}

Cost *cost_read(Region *region, const char *text, const char *name, Error *error)
{
    json_t *tree = fields_parse(text, name, error);
    if (!tree)
        return NULL;
    Fields at   = {region, tree, name, "", error};
    Cost  *cost = REGION_NEW(region, Cost);
    bool   good = json_is_object(tree) ? read_cost(&at, cost)
                                       : error_input(error, "%s: a cost table is an object", name);
    json_decref(tree);
    return good ? cost : NULL;
}

static void print_wholes(Text *out, const char *name, const int64_t *value, int count)
{
    text_add(out, "\"%s\": [", name);
    for (int i = 0; i < count; i++)
        text_add(out, "%s%" PRId64, i ? ", " : "", value[i]);
    text_add(out, "]");
}

static void print_table(const CodeletCost *cost, Text *out)
{
    text_add(out, "{\"constant\": %s, ", text_double(out->region, cost->constant));
    print_wholes(out, "lengths", cost->lengths, cost->nlengths);
    text_add(out, ", ");
    print_wholes(out, "contexts", cost->contexts, cost->ncontexts);
    text_add(out, ", \"seconds\": [");
    for (int i = 0; i < cost->nlengths; i++) {
        text_add(out, "%s[", i ? ", " : "");
        for (int j = 0; j < cost->ncontexts; j++)
            text_add(out, "%s%s", j ? ", " : "",
                     text_double(out->region, cost->seconds[i * cost->ncontexts + j]));
        text_add(out, "]");
    }
    text_add(out, "]}");
}

static void print_text(Text *out, const char *name, const char *value)
{
    json_t *string = json_string(value);
    char   *dump   = json_dumps(string, JSON_ENCODE_ANY);
    text_add(out, ",\n \"%s\": %s", name, dump);
    free(dump);
    json_decref(string);
}

void cost_print(const Cost *cost, Text *out)
{
    text_add(out, "{\"format\": \"pipewright-cost-1\"");
    print_text(out, "name", cost->name);
    print_text(out, "device", cost->device);
    text_add(out, ",\n \"latency\": %s, \"seconds_per_byte\": %s, \"probe\": %s,\n \"codelets\": {",
             text_double(out->region, cost->latency),
             text_double(out->region, cost->seconds_per_byte),
             text_double(out->region, cost->probe));
    for (const CodeletCost *c = cost->codelets; c < cost->codelets + cost->ncodelets; c++) {
        text_add(out, "%s\n  \"%s\": ", c > cost->codelets ? "," : "", c->codelet);
        if (c->npoints == 0) {
            print_table(c, out);
            continue;
        }
        text_add(out, "{\"points\": [");
        for (int i = 0; i < c->npoints; i++)
            text_add(out, "%s[%" PRId64 ", %s]", i ? ", " : "", c->points[i].tokens,
                     text_double(out->region, c->points[i].seconds));
        text_add(out, "]}");
    }
    text_add(out, "\n }}\n");
}
