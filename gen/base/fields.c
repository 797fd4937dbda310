/* fields: strict reading of JSON objects; see fields.h. */
#include "gen/base/fields.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "gen/base/text.h"

json_t *fields_parse(const char *text, const char *file, Error *error)
{
    json_error_t where;
    json_t      *tree = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!tree)
        error_input(error, "%s:%d:%d: %s", file, where.line, where.column, where.text);
    return tree;
}

static const char *field_path(const Fields *at, const char *name)
{
    return *at->path ? region_format(at->region, "%s.%s", at->path, name) : name;
}

/* What was found, short enough for a message. */
static const char *found_text(Region *region, const json_t *found)
{
    if (!found)
        return "nothing";
    if (json_is_string(found))
        return region_copy(region, json_string_value(found));
    char       *dump = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *text = dump ? region_copy(region, dump) : "?";
    free(dump);
    return strlen(text) > 60 ? region_format(region, "%.57s...", text) : text;
}

bool fields_wrong(const Fields *at, const char *name, const json_t *found, const char *expected)
{
    return error_at(at->error, ((Place){at->file, 0}), .field = field_path(at, name),
                    .found = found_text(at->region, found), .expected = expected);
}

bool fields_known(const Fields *at, const char *const *names)
{
    const char *key;
    json_t     *value;
    json_object_foreach((json_t *)at->object, key, value)
    {
        const char *const *name = names;
        while (*name && strcmp(*name, key) != 0)
            name++;
        if (*name)
            continue;
        const char *nearest = text_nearest(key, names);
        return error_at(at->error, ((Place){at->file, 0}), .field = field_path(at, key),
                        .found  = "a field that this form does not have",
                        .remedy = nearest ? region_format(at->region, "did you mean %s?", nearest)
                                          : NULL);
    }
    return true;
}

const json_t *fields_get(const Fields *at, const char *name)
{
    return json_object_get(at->object, name);
}

bool fields_whole(const Fields *at, const char *name, int64_t least, int64_t most, int64_t *value)
{
    const json_t *found = fields_get(at, name);
    if (!json_is_integer(found) || json_integer_value(found) < least ||
        json_integer_value(found) > most)
        return fields_wrong(
            at, name, found,
            region_format(at->region, "a whole number, %" PRId64 " to %" PRId64, least, most));
    *value = json_integer_value(found);
    return true;
}

bool fields_number(const Fields *at, const char *name, double *value)
{
    const json_t *found = fields_get(at, name);
    if (!json_is_number(found) || !isfinite(json_number_value(found)))
        return fields_wrong(at, name, found, "a number");
    *value = json_number_value(found);
    return true;
}

bool fields_text(const Fields *at, const char *name, const char **value)
{
    const json_t *found = fields_get(at, name);
    if (!json_is_string(found))
        return fields_wrong(at, name, found, "a text");
    *value = region_copy(at->region, json_string_value(found));
    return true;
}

bool fields_list(const Fields *at, const char *name, const json_t **list)
{
    const json_t *found = fields_get(at, name);
    if (!json_is_array(found))
        return fields_wrong(at, name, found, "a list");
    *list = found;
    return true;
}

bool fields_object(const Fields *at, const char *name, size_t i, const json_t *list, Fields *below)
{
    const char   *element = region_format(at->region, "%s[%zu]", name, i);
    const json_t *found   = json_array_get(list, i);
    if (!json_is_object(found))
        return fields_wrong(at, element, found, "an object");
    *below        = *at;
    below->object = found;
    below->path   = field_path(at, element);
    return true;
}
