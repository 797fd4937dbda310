/* lengths: counting, printing as JSON, reading back; and reading a plain list, one length a
 * line. */
#include "gen/forms/lengths.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "pipewright-lengths-1"

static int by_length(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

Lengths *lengths_count(Region *region, const int64_t *length, int64_t documents, const char *name)
{
    Lengths *lengths = REGION_NEW(region, Lengths);
    int64_t *sorted  = REGION_ARRAY(region, int64_t, documents);
    int      room    = 0;
    if (documents > 0)
        memcpy(sorted, length, sizeof *sorted * (size_t)documents);
    qsort(sorted, (size_t)documents, sizeof *sorted, by_length);
    for (int64_t first = 0, past; first < documents; first = past) {
        for (past = first; past < documents && sorted[past] == sorted[first]; past++)
            lengths->tokens += sorted[past];
        LengthCount count = {sorted[first], past - first};
        REGION_APPEND(region, lengths->counts, lengths->ncounts, room, count);
    }
    lengths->name      = region_copy(region, name);
    lengths->source    = "measured";
    lengths->documents = documents;
    return lengths;
}

int64_t lengths_quantile(const Lengths *lengths, double share)
{
    int64_t seen = 0;
    for (int i = 0; i < lengths->ncounts; i++) {
        seen += lengths->counts[i].documents;
        if ((double)seen >= share * (double)lengths->documents)
            return lengths->counts[i].length;
    }
    return lengths->ncounts ? lengths->counts[lengths->ncounts - 1].length : 0;
}

void lengths_print(const Lengths *lengths, Text *out)
{
    json_t *name = json_string(lengths->name);
    char   *text = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL; /* NULL: not UTF-8 */
    text_add(out, "{\"format\": \"" FORMAT "\", \"name\": %s, \"source\": \"%s\",\n",
             text ? text : "\"\"", lengths->source);
    text_add(out, " \"documents\": %lld, \"tokens\": %lld, \"lengths\": [",
             (long long)lengths->documents, (long long)lengths->tokens);
    for (int i = 0; i < lengths->ncounts; i++)
        text_add(out, "%s[%lld, %lld]",
                 i == 0  ? ""
                 : i % 8 ? ", "
                         : ",\n  ",
                 (long long)lengths->counts[i].length, (long long)lengths->counts[i].documents);
    text_add(out, "]}\n");
    free(text);
    json_decref(name);
}

/* Adds to both sums; false where one no longer fits. */
static bool add_count(Lengths *lengths, LengthCount count)
{
    int64_t tokens;
    return !__builtin_mul_overflow(count.length, count.documents, &tokens) &&
           !__builtin_add_overflow(lengths->tokens, tokens, &lengths->tokens) &&
           !__builtin_add_overflow(lengths->documents, count.documents, &lengths->documents);
}

static bool read_counts(Region *region, const json_t *array, Lengths *lengths, Error *error)
{
    Place place      = {lengths->name, 0};
    int   count      = (int)json_array_size(array);
    lengths->counts  = REGION_ARRAY(region, LengthCount, count);
    int64_t previous = -1;
    for (int i = 0; i < count; i++) {
        const json_t *pair      = json_array_get(array, (size_t)i);
        const json_t *length    = json_array_get(pair, 0);
        const json_t *documents = json_array_get(pair, 1);
        LengthCount   read      = {json_integer_value(length), json_integer_value(documents)};
        const char   *field     = region_format(region, "lengths[%d]", i);
        if (json_array_size(pair) != 2 || !json_is_integer(length) || !json_is_integer(documents))
            return error_at(error, place, .field = field, .expected = "[length, documents]");
        if (read.length <= previous || read.documents < 1)
            return error_at(error, place, .field = field,
                            .found = region_format(region, "[%lld, %lld]", (long long)read.length,
                                                   (long long)read.documents),
                            .expected = "lengths that rise from 0 on, each of 1 document or more");
        if (!add_count(lengths, read))
            return error_at(error, place, .field = field, .expected = "sums below 2^63");
        previous                            = read.length;
        lengths->counts[lengths->ncounts++] = read;
    }
    return true;
}

static bool check_sum(const json_t *tree, const char *field, int64_t sum, const char *name,
                      Error *error)
{
    const json_t *said = json_object_get(tree, field);
    if (json_is_integer(said) && json_integer_value(said) == sum)
        return true;
    return error_input(error, "%s: %s: the lengths make %lld, the file does not say so", name,
                       field, (long long)sum);
}

static bool read_tree(Region *region, const json_t *tree, Lengths *lengths, Error *error)
{
    static const char *const fields[] = {"format", "name",    "source", "documents",
                                         "tokens", "lengths", NULL};
    Place                    place    = {lengths->name, 0};
    const char              *key;
    json_t                  *value;
    json_object_foreach((json_t *)tree, key, value)
    {
        int i = 0;
        while (fields[i] && strcmp(fields[i], key) != 0)
            i++;
        if (!fields[i])
            return error_at(error, place, .field = key,
                            .expected = "one of format, name, source, documents, tokens, lengths");
    }
    const char   *format = json_string_value(json_object_get(tree, "format"));
    const char   *name   = json_string_value(json_object_get(tree, "name"));
    const char   *source = json_string_value(json_object_get(tree, "source"));
    const json_t *counts = json_object_get(tree, "lengths");
    if (!format || strcmp(format, FORMAT) != 0)
        return error_at(error, place, .field = "format", .found = format,
                        .expected = "\"" FORMAT "\"");
    if (!source || (strcmp(source, "measured") != 0 && strcmp(source, "modelled") != 0))
        return error_at(error, place, .field = "source", .found = source,
                        .expected = "\"measured\" or \"modelled\"");
    if (!json_is_array(counts) || json_array_size(counts) == 0 ||
        json_array_size(counts) > INT32_MAX)
        return error_at(error, place, .field = "lengths",
                        .expected = "an array of [length, documents]");
    if (!name)
        return error_at(error, place, .field = "name", .expected = "a string");
    if (!read_counts(region, counts, lengths, error) ||
        !check_sum(tree, "documents", lengths->documents, lengths->name, error) ||
        !check_sum(tree, "tokens", lengths->tokens, lengths->name, error))
        return false;
    lengths->name   = region_copy(region, name);
    lengths->source = strcmp(source, "modelled") == 0 ? "modelled" : "measured";
    return true;
}

static Lengths *read_json(Region *region, const char *text, const char *name, Error *error)
{
    json_error_t where;
    json_t      *tree    = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    Lengths     *lengths = REGION_NEW(region, Lengths);
    lengths->name        = name;
    if (!tree) {
        error_input(error, "%s:%d: not JSON: %s", name, where.line, where.text);
        return NULL;
    }
    bool read = read_tree(region, tree, lengths, error);
    json_decref(tree);
    return read ? lengths : NULL;
}

/* "1024", blanks around it, a comment behind it; *length is -1 where the line holds none. */
static bool read_line(const char *line, const char *past, int64_t *length)
{
    *length = -1;
    while (line < past && isspace((unsigned char)*line))
        line++;
    for (; line < past && isdigit((unsigned char)*line); line++) {
        if (*length > (INT64_MAX - 9) / 10)
            return false;
        *length = (*length < 0 ? 0 : *length) * 10 + (*line - '0');
    }
    while (line < past && isspace((unsigned char)*line))
        line++;
    return line == past || *line == '#';
}

static Lengths *read_list(Region *region, const char *text, const char *name, Error *error)
{
    int64_t *length    = NULL;
    int64_t  documents = 0, room = 0, tokens = 0;
    Place    place = {name, 1};
    for (; *text; place.line++) {
        const char *past = text + strcspn(text, "\n");
        int64_t     here;
        if (!read_line(text, past, &here) ||
            (here >= 0 && __builtin_add_overflow(tokens, here, &tokens))) {
            error_at(error, place, .found = region_format(region, "%.*s", (int)(past - text), text),
                     .expected = "one length in tokens, or a comment after \"#\"");
            return NULL;
        }
        if (here >= 0)
            REGION_APPEND(region, length, documents, room, here);
        text = *past ? past + 1 : past;
    }
    if (documents == 0) {
        error_input(error, "%s: there is no length in it", name);
        return NULL;
    }
    return lengths_count(region, length, documents, name);
}

Lengths *lengths_read(Region *region, const char *text, const char *name, Error *error)
{
    const char *first = text + strspn(text, " \t\r\n");
    return *first == '{' ? read_json(region, text, name, error)
                         : read_list(region, text, name, error);
}
