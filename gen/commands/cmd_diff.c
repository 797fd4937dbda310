/* diff: two artifacts; which input differs, down to the job's field, the cost's row, the compiler.
 * Code and programs follow from inputs: they are named only where no input explains them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gen/artifact.h"
#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/job_command.h"
#include "gen/pack.h"

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

/* A row of a measured table can be long: its beginning is enough to see which it is. */
static const char *value_text(Region *region, json_t *value)
{
    enum { MOST = 64 };
    if (!value)
        return "(none)";
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    const char *copy =
        region_format(region, "%.*s%s", MOST, text, strlen(text) > MOST ? " ..." : "");
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

/* What artifacts are copied from, beside the job: another Pipewright. */
static bool is_copied(const char *name)
{
    static const char *const places[] = {"runtime/", "templates/", "main.c", "build", "README"};
    for (int i = 0; i < COUNT(places); i++)
        if (!strncmp(name, places[i], strlen(places[i])))
            return true;
    return false;
}

/* Prints the files that differ and are copied, or those that follow from what was put in; the
 * number of them. `quiet`: only counts. */
static int diff_files(json_t *a, json_t *b, bool copied, bool quiet)
{
    int         count = 0;
    const char *name;
    json_t     *value;
    json_t     *all = json_object();
    json_object_update(all, a);
    json_object_update(all, b);
    json_object_foreach(all, name, value)
    {
        json_t *one = json_object_get(a, name), *other = json_object_get(b, name);
        if (is_copied(name) != copied || (one && other && json_equal(one, other)))
            continue;
        if (!quiet)
            printf("%s: %s\n", name,
                   !one     ? "only in the second"
                   : !other ? "only in the first"
                            : "differs");
        count++;
    }
    json_decref(all);
    return count;
}

static void drop(json_t *a, json_t *b, const char *key)
{
    json_object_del(a, key);
    json_object_del(b, key);
}

/* The forms that went in, field by field; -1 on error. Where a field stands, in which file and by
 * which --set, is not what it says. */
static int diff_forms(Region *region, const char *a, const char *b, Error *error)
{
    static const char *const forms[][2] = {{"inputs/job.json", "job"},
                                           {"inputs/cost.json", "cost"},
                                           {"inputs/lengths.json", "lengths"}};
    static const char *const silent[]   = {"origin", "sets", "path", "source_hash", "name"};
    int                      count      = 0;
    for (int i = 0; i < COUNT(forms); i++) {
        json_t *tree_a = load(region, a, forms[i][0], error);
        json_t *tree_b = tree_a ? load(region, b, forms[i][0], error) : NULL;
        if (!tree_b)
            return json_decref(tree_a), -1;
        for (int j = 0; j < COUNT(silent); j++)
            drop(tree_a, tree_b, silent[j]);
        count += diff_trees(region, forms[i][1], tree_a, tree_b);
        json_decref(tree_a);
        json_decref(tree_b);
    }
    return count;
}

/* Inputs, then what comes from another Pipewright; what follows from both only where neither
 * explains it. */
static int diff_artifacts(Region *region, const char *a, const char *b, json_t *manifest_a,
                          json_t *manifest_b, Error *error)
{
    json_t *files_a = json_object_get(manifest_a, "files");
    json_t *files_b = json_object_get(manifest_b, "files");
    int     count   = diff_forms(region, a, b, error);
    if (count < 0)
        return -1;
    json_t *inputs_a = json_object_get(manifest_a, "inputs");
    json_t *inputs_b = json_object_get(manifest_b, "inputs");
    if (count > 0) { /* the fields have said it */
        drop(inputs_a, inputs_b, "job");
        drop(inputs_a, inputs_b, "set");
        drop(inputs_a, inputs_b, "policy");
    }
    count += diff_trees(region, "inputs", inputs_a, inputs_b);
    count += diff_trees(region, "tools", json_object_get(manifest_a, "tools"),
                        json_object_get(manifest_b, "tools"));
    static const char *const asked[] = {"steps", "as_code"};
    for (int i = 0; i < COUNT(asked); i++)
        count += diff_trees(region, asked[i], json_object_get(manifest_a, asked[i]),
                            json_object_get(manifest_b, asked[i]));
    count += diff_files(files_a, files_b, true, false);
    int followed = diff_files(files_a, files_b, false, count > 0);
    printf("%s", text_count(region, count > 0 ? count : followed, "difference"));
    if (count > 0 && followed > 0)
        printf("; what is made from them differs in %s", text_count(region, followed, "file"));
    printf("\n");
    return count + followed;
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region     = arguments->region;
    const char *a          = artifact_of(region, arguments->words[0]);
    const char *b          = artifact_of(region, arguments->words[1]);
    json_t     *manifest_a = artifact_manifest(region, a, error);
    json_t     *manifest_b = manifest_a ? artifact_manifest(region, b, error) : NULL;
    int count = manifest_b ? diff_artifacts(region, a, b, manifest_a, manifest_b, error) : -1;
    json_decref(manifest_a);
    json_decref(manifest_b);
    return count == 0 || (count > 0 && error_fail(error, "%s and %s differ", a, b));
}

const Command command_diff = {
    .name      = "diff",
    .words     = "TRAINER TRAINER",
    .min_words = 2,
    .max_words = 2,
    .summary   = "which input of two artifacts differs",
    .details   = "Compares what the manifests say and the inputs; `verify` holds files against a "
                 "manifest.",
    .options   = options,
    .run       = run,
};
