/* job: the resolved tree of lua/job.lua as a struct; printed as that tree. The Lua side has checked
 * it and filled in defaults, so what is wrong here is a tree that was changed by hand. */
#include "gen/forms/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/fields.h"
#include "gen/base/file.h"

static const char *const data_kinds[]  = {"text", "jsonl", "token_set", "lengths", NULL};
static const char *const too_long[]    = {"split", "cut", "error", NULL};
static const char *const curve_kinds[] = {"constant", "cosine", "wsd", NULL};

static const int64_t most = (int64_t)1 << 53;

static bool enter(const Fields *at, const char *name, Fields *below)
{
    const json_t *found = fields_get(at, name);
    *below              = *at;
    if (!json_is_object(found))
        return fields_wrong(at, name, found, "an object");
    below->object = found;
    below->path   = *at->path ? region_format(at->region, "%s.%s", at->path, name) : name;
    return true;
}

/* The word's index among the names. */
static bool read_word(const Fields *at, const char *name, const char *const *names, int *index)
{
    const char *word;
    if (!fields_text(at, name, &word))
        return false;
    for (*index = 0; names[*index]; ++*index)
        if (strcmp(names[*index], word) == 0)
            return true;
    return fields_wrong(at, name, fields_get(at, name), "one of the words of the job language");
}

/* A text that may be left out. */
static bool read_optional(const Fields *at, const char *name, const char **text)
{
    return !fields_get(at, name) || fields_text(at, name, text);
}

static bool read_data(const Fields *top, JobData *data)
{
    Fields at;
    int    kind, rule;
    if (!enter(top, "data", &at) || !read_word(&at, "kind", data_kinds, &kind) ||
        !read_word(&at, "long", too_long, &rule))
        return false;
    data->kind     = (DataKind)kind;
    data->too_long = (LongDocuments)rule;
    return fields_text(&at, "path", &data->path) &&
           fields_whole(&at, "context", 1, most, &data->context) &&
           fields_number(&at, "held_out", &data->held_out) &&
           read_optional(&at, "text", &data->text_key) &&
           read_optional(&at, "prompt", &data->prompt_key) &&
           read_optional(&at, "completion", &data->completion_key);
}

static bool read_layout(const Fields *top, Job *job)
{
    static const char *const precisions[] = {"float", "double", NULL};
    Fields                   cluster, layout;
    int64_t                  ranks, stages;
    int                      precision;
    if (!enter(top, "cluster", &cluster) || !fields_whole(&cluster, "ranks", 1, 4096, &ranks) ||
        !fields_whole(&cluster, "memory", 1, most, &job->memory) ||
        !fields_text(&cluster, "device", &job->device) ||
        !read_word(&cluster, "precision", precisions, &precision) ||
        !enter(top, "layout", &layout) || !fields_whole(&layout, "stages", 1, 1 << 14, &stages))
        return false;
    job->nranks           = (int)ranks;
    job->real_bytes       = precision == 0 ? 4 : 8;
    job->nstages          = (int)stages;
    const json_t *borders = fields_get(&layout, "borders");
    if (!borders)
        return true;
    if (json_array_size(borders) != (size_t)stages + 1)
        return fields_wrong(&layout, "borders", borders, "a list, one more than stages");
    job->stage_layers = REGION_ARRAY(top->region, double, stages + 1);
    for (int64_t i = 0; i <= stages; i++)
        job->stage_layers[i] = json_number_value(json_array_get(borders, (size_t)i));
    return true;
}

static bool read_policy(const Fields *top, Job *job)
{
    Fields at;
    if (!enter(top, "policy", &at) || !fields_text(&at, "name", &job->policy))
        return false;
    const json_t *options = fields_get(&at, "options");
    if (!json_is_object(options))
        return fields_wrong(&at, "options", options, "an object");
    char *text          = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
    job->policy_options = region_copy(top->region, text);
    free(text);
    return true;
}

static bool read_batch(const Fields *train, JobTrain *into)
{
    static const char *const kinds[] = {"tokens", "sequences", NULL};
    Fields                   at;
    int                      kind;
    int64_t                  count;
    if (!enter(train, "batch", &at) || !read_word(&at, "kind", kinds, &kind) ||
        !fields_whole(&at, "count", 1, most, &count))
        return false;
    *(kind == 0 ? &into->batch_tokens : &into->batch_sequences) = count;
    return true;
}

static bool read_optimizer(const Fields *train, JobTrain *into)
{
    Fields at;
    return enter(train, "optimizer", &at) && fields_number(&at, "lr", &into->learning_rate) &&
           fields_number(&at, "weight_decay", &into->weight_decay) &&
           fields_number(&at, "beta1", &into->beta1) && fields_number(&at, "beta2", &into->beta2) &&
           fields_number(&at, "epsilon", &into->epsilon);
}

static bool read_curve(const Fields *train, JobTrain *into)
{
    Fields at;
    int    kind;
    if (!enter(train, "curve", &at) || !read_word(&at, "kind", curve_kinds, &kind))
        return false;
    into->curve = (CurveKind)kind;
    return fields_whole(&at, "warmup", 0, most, &into->warmup) &&
           fields_whole(&at, "decay", 0, most, &into->decay) &&
           fields_number(&at, "final", &into->final_rate);
}

static bool read_train(const Fields *top, JobTrain *train)
{
    Fields  at, save, evaluate;
    int64_t seed;
    if (!enter(top, "train", &at) || !read_batch(&at, train) || !read_optimizer(&at, train) ||
        !read_curve(&at, train) || !enter(&at, "save", &save) ||
        !enter(&at, "evaluate", &evaluate) || !fields_whole(&at, "seed", 0, INT64_MAX, &seed))
        return false;
    train->seed = (uint64_t)seed;
    return fields_whole(&at, "steps", 1, most, &train->steps) &&
           fields_number(&at, "clip", &train->clip) &&
           fields_whole(&save, "every", 0, most, &train->save_every) &&
           fields_whole(&save, "keep", 2, most, &train->save_keep) &&
           fields_whole(&save, "keep_every", 0, most, &train->save_keep_every) &&
           fields_whole(&evaluate, "every", 0, most, &train->evaluate_every) &&
           read_optional(&at, "from", &train->from);
}

static bool read_sets(const Fields *top, Job *job)
{
    const json_t *sets;
    if (!fields_list(top, "sets", &sets))
        return false;
    job->sets = REGION_ARRAY(top->region, const char *, json_array_size(sets) + 1);
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *set = json_array_get(sets, i);
        if (!json_is_string(set))
            return fields_wrong(top, "sets", set, "texts");
        job->sets[i] = region_copy(top->region, json_string_value(set));
    }
    return true;
}

/* The model's table, a text a line, as one text. */
static bool read_model(const Fields *top, Job *job)
{
    const json_t *lines;
    Text          table = text_new(top->region);
    if (!fields_list(top, "model_table", &lines))
        return false;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        text_add(&table, "%s\n", line ? line : "");
    }
    job->model = model_read(top->region, table.at, "model_table", top->error);
    return job->model && model_check(job->model, top->error);
}

static bool read_all(const Fields *top, Job *job)
{
    if (!fields_text(top, "path", &job->path) ||
        !fields_text(top, "source_hash", &job->source_hash))
        return false;
    job->folder = path_folder(top->region, job->path);
    return read_model(top, job) && read_data(top, &job->data) && read_layout(top, job) &&
           read_policy(top, job) && read_train(top, &job->train) && read_sets(top, job);
}

/* --- Printing: numbers short, which jansson does not ----------------------------------------- */

static void print_value(const json_t *value, int depth, Text *out);

static void print_text(const char *text, Text *out)
{
    json_t *value  = json_string(text);
    char   *quoted = json_dumps(value, JSON_ENCODE_ANY);
    text_add(out, "%s", quoted);
    free(quoted);
    json_decref(value);
}

static void print_object(const json_t *object, int depth, Text *out)
{
    const char *key, *between = "\n";
    json_t     *value;
    text_add(out, "{");
    json_object_foreach((json_t *)object, key, value)
    {
        text_add(out, "%s%*s", between, 2 * depth + 2, "");
        print_text(key, out);
        text_add(out, ": ");
        print_value(value, depth + 1, out);
        between = ",\n";
    }
    if (json_object_size(object) > 0)
        text_add(out, "\n%*s", 2 * depth, "");
    text_add(out, "}");
}

static void print_array(const json_t *array, int depth, Text *out)
{
    text_add(out, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        text_add(out, "%s\n%*s", i > 0 ? "," : "", 2 * depth + 2, "");
        print_value(json_array_get(array, i), depth + 1, out);
    }
    if (json_array_size(array) > 0)
        text_add(out, "\n%*s", 2 * depth, "");
    text_add(out, "]");
}

static void print_value(const json_t *value, int depth, Text *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        print_object(value, depth, out);
        return;
    case JSON_ARRAY:
        print_array(value, depth, out);
        return;
    case JSON_STRING:
        print_text(json_string_value(value), out);
        return;
    case JSON_INTEGER:
        text_add(out, "%" PRId64, (int64_t)json_integer_value(value));
        return;
    case JSON_REAL:
        text_add(out, "%s", text_double(out->region, json_real_value(value)));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        text_add(out, json_is_true(value) ? "true" : "false");
        return;
    default:
        text_add(out, "null");
    }
}

Job *job_from_tree(Region *region, const json_t *tree, const char *name, Error *error)
{
    Job   *job = REGION_NEW(region, Job);
    Fields top = {.region = region, .object = tree, .file = name, .path = "", .error = error};
    Text   all = text_new(region);
    print_value(tree, 0, &all);
    text_add(&all, "\n");
    job->tree = all.at;
    return read_all(&top, job) ? job : NULL;
}

Job *job_read(Region *region, const char *text, const char *name, Error *error)
{
    json_t *tree = fields_parse(text, name, error);
    Job    *job  = tree ? job_from_tree(region, tree, name, error) : NULL;
    json_decref(tree);
    return job;
}

void job_print(const Job *job, Text *out)
{
    text_add(out, "%s", job->tree);
}

Place job_place(Region *region, const Job *job, const char *field)
{
    json_t     *tree  = job->tree ? json_loads(job->tree, 0, NULL) : NULL;
    const char *said  = json_string_value(json_object_get(json_object_get(tree, "origin"), field));
    Place       place = {.file = job->path};
    if (said && strcmp(said, "default") != 0) {
        char *file  = region_copy(region, said);
        char *colon = strrchr(file, ':');
        place.line  = colon ? atoi(colon + 1) : 0;
        if (colon)
            *colon = 0;
        place.file = file;
    }
    json_decref(tree);
    return place;
}

typedef struct Visit {
    Region *region;
    void (*field)(void *context, const char *name, const char *value);
    void *context;
} Visit;

/* The name of a member: two members never have the same one, whatever a policy's options are. */
static const char *member_name(Region *region, const char *name, const char *key)
{
    Text text = text_new(region);
    text_add(&text, "%s.", name);
    if (strpbrk(key, ".[\""))
        print_text(key, &text);
    else
        text_add(&text, "%s", key);
    return text.at;
}

static void visit(const Visit *to, const char *name, const json_t *value)
{
    const char *key;
    json_t     *inner;
    size_t      i;
    Text        text = text_new(to->region);
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, inner)
            visit(to, member_name(to->region, name, key), inner);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, inner)
            visit(to, region_format(to->region, "%s[%zu]", name, i), inner);
    } else {
        print_value(value, 0, &text);
        to->field(to->context, name, text.at);
    }
}

void job_fields(const Job *job, void (*field)(void *context, const char *name, const char *value),
                void      *context)
{
    static const char *const sections[] = {"model", "data", "train", "policy", "layout", "cluster"};
    Visit                    to         = {region_new(), field, context};
    json_t                  *tree       = json_loads(job->tree, JSON_REJECT_DUPLICATES, NULL);
    for (int i = 0; i < COUNT(sections); i++) {
        const json_t *section = json_object_get(tree, sections[i]);
        if (section)
            visit(&to, sections[i], section);
    }
    json_decref(tree);
    region_free(to.region);
}
