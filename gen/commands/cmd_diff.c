/* diff: two artifacts; which input differs, down to the job's field, the cost's row, the compiler.
 */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "gen/base/file.h"
#include "gen/commands/job_command.h"

static const Option options[] = {{0}};

static json_t *load(Region *region, const char *folder, const char *name, Error *error)
{
    json_error_t where;
    const char  *path = path_join(region, folder, name);
    char        *text = file_read(region, path, (size_t)64 << 20, NULL, error);
    json_t      *tree = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (text && !tree)
        error_input(error, "%s:%d: %s", path, where.line, where.text);
    return tree;
}

static const char *value_text(Region *region, json_t *value)
{
    if (!value)
        return "(none)";
    char       *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    const char *copy = region_copy(region, text);
    free(text);
    return copy;
}

/* Prints every leaf that differs, by its dotted name; the number of them. */
static int diff_trees(Region *region, const char *name, json_t *a, json_t *b)
{
    int         count = 0;
    const char *key;
    json_t     *value;
    size_t      i;
    if (a && b && json_equal(a, b))
        return 0;
    if (json_is_object(a) && json_is_object(b)) {
        json_object_foreach(a, key, value) count += diff_trees(
            region, region_format(region, "%s.%s", name, key), value, json_object_get(b, key));
        json_object_foreach(b, key, value) if (!json_object_get(a, key)) count +=
            diff_trees(region, region_format(region, "%s.%s", name, key), NULL, value);
        return count;
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        json_array_foreach(a, i, value) count += diff_trees(
            region, region_format(region, "%s[%zu]", name, i), value, json_array_get(b, i));
        return count;
    }
    printf("%s: %s -> %s\n", name, value_text(region, a), value_text(region, b));
    return 1;
}

static bool run(const Arguments *arguments, Error *error)
{
    static const char *const inputs[][2] = {{"inputs/job.json", "job"},
                                            {"inputs/cost.json", "cost"},
                                            {"inputs/lengths.json", "lengths"}};
    Region                  *region      = arguments->region;
    const char              *a = arguments->words[0], *b = arguments->words[1];
    json_t                  *manifest_a = load(region, a, "manifest.json", error);
    json_t *manifest_b = manifest_a ? load(region, b, "manifest.json", error) : NULL;
    if (!manifest_b)
        return false;
    int count = 0;
    for (int i = 0; i < COUNT(inputs); i++) {
        json_t *tree_a = load(region, a, inputs[i][0], error);
        json_t *tree_b = tree_a ? load(region, b, inputs[i][0], error) : NULL;
        if (!tree_b)
            return false;
        count += diff_trees(region, inputs[i][1], tree_a, tree_b);
    }
    count += diff_trees(region, "manifest", manifest_a, manifest_b);
    printf("%d difference%s\n", count, count == 1 ? "" : "s");
    return count == 0 || error_fail(error, "%s and %s differ", a, b);
}

const Command command_diff = {
    .name      = "diff",
    .words     = "TRAINER_A TRAINER_B",
    .min_words = 2,
    .max_words = 2,
    .summary   = "which input of two artifacts differs",
    .options   = options,
    .run       = run,
};
