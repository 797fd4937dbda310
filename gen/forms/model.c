/* model: its table, which lua/job.lua writes too, and what others ask of it.
 *   model llama
 *   layers 6
 *   ...
 *   config num_hidden_layers 6
 *   weight qkv pre rows 768 columns 256 deviation 0.02 decays yes tied - NAME ROWS [NAME ROWS ...]
 *   value normed pre columns 256
 *   operation matmul pre normed weight.qkv -> qkv
 * A line a thing, words between blanks; names come before their use. */
#include "gen/forms/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const part_names[NPARTS] = {"embed", "pre", "core", "post", "head"};

int model_weight(const Model *model, const char *name)
{
    for (int i = 0; i < model->nweights; i++)
        if (strcmp(model->weights[i].name, name) == 0)
            return i;
    return -1;
}

int model_value(const Model *model, const char *name)
{
    for (int i = 0; i < model->nvalues; i++)
        if (strcmp(model->values[i].name, name) == 0)
            return i;
    return -1;
}

/* A weight of every layer, not of the embedding or the head. */
static bool is_layers(Part part)
{
    return part != PART_EMBED && part != PART_HEAD;
}

int64_t model_parameters(const Model *model)
{
    int64_t count = 0;
    for (const ModelWeight *w = model->weights; w < model->weights + model->nweights; w++)
        if (w->tied < 0)
            count += w->rows * w->columns * (is_layers(w->part) ? model->layers : 1);
    return count;
}

/* Products count two flops a weight; the embedding is a copy, and gains are next to nothing. */
int64_t model_flops_per_token(const Model *model, Part part)
{
    int64_t flops = 0;
    for (int i = 0; i < model->noperations; i++) {
        const ModelOperation *operation = &model->operations[i];
        bool                  product =
            strcmp(operation->kernel, "matmul") == 0 || strcmp(operation->kernel, "head") == 0;
        if (operation->part != part || !product)
            continue;
        const ModelWeight *weight = &model->weights[-1 - operation->inputs[1]];
        flops += 2 * weight->rows * weight->columns;
    }
    return flops;
}

/* --- Printing --- */

static void print_weight(const Model *model, const ModelWeight *weight, Text *out)
{
    text_add(out,
             "weight %s %s rows %" PRId64 " columns %" PRId64 " deviation %s decays %s tied %s",
             weight->name, part_names[weight->part], weight->rows, weight->columns,
             text_double(out->region, weight->deviation), weight->decays ? "yes" : "no",
             weight->tied < 0 ? "-" : model->weights[weight->tied].name);
    for (int i = 0; i < weight->ntensors; i++)
        text_add(out, " %s %" PRId64, weight->tensors[i].name, weight->tensors[i].rows);
    text_add(out, "\n");
}

static void print_operands(const Model *model, const int *operands, int count, Text *out)
{
    for (int i = 0; i < count; i++)
        if (operands[i] >= 0)
            text_add(out, " %s", model->values[operands[i]].name);
        else
            text_add(out, " weight.%s", model->weights[-1 - operands[i]].name);
}

void model_print(const Model *model, Text *out)
{
    const RopeScaling *rope = &model->rope;
    text_add(out, "model %s\n", model->family);
    text_add(out,
             "layers %" PRId64 "\nhidden %" PRId64 "\nheads %" PRId64 "\nkv_heads %" PRId64 "\n",
             model->layers, model->hidden, model->heads, model->kv_heads);
    text_add(out,
             "head_dim %" PRId64 "\nffn %" PRId64 "\nvocabulary %" PRId64 "\ncontext %" PRId64 "\n",
             model->head_dim, model->ffn, model->vocabulary, model->context);
    text_add(out, "tied %s\n", model->tied ? "yes" : "no");
    text_add(out, "epsilon %s\n", text_double(out->region, model->epsilon));
    text_add(out, "rope_theta %s\n", text_double(out->region, model->rope_theta));
    text_add(out, "rope %s factor %s", rope->type, text_double(out->region, rope->factor));
    text_add(out, " low_frequency %s high_frequency %s original_context %" PRId64,
             text_double(out->region, rope->low_frequency),
             text_double(out->region, rope->high_frequency), rope->original_context);
    text_add(out, " attention_factor %s beta_fast %s beta_slow %s\n",
             text_double(out->region, rope->attention_factor),
             text_double(out->region, rope->beta_fast), text_double(out->region, rope->beta_slow));
    text_add(out, "tokenizer %s\n", model->tokenizer);
    for (int i = 0; i < model->nconfig; i++)
        text_add(out, "config %s %s\n", model->config[i].key, model->config[i].json);
    for (int i = 0; i < model->nweights; i++)
        print_weight(model, &model->weights[i], out);
    for (int i = 0; i < model->nvalues; i++)
        text_add(out, "value %s %s columns %" PRId64 "\n", model->values[i].name,
                 part_names[model->values[i].part], model->values[i].columns);
    for (int i = 0; i < model->noperations; i++) {
        const ModelOperation *operation = &model->operations[i];
        text_add(out, "operation %s %s", operation->kernel, part_names[operation->part]);
        print_operands(model, operation->inputs, operation->ninputs, out);
        text_add(out, " ->");
        print_operands(model, operation->outputs, operation->noutputs, out);
        text_add(out, "\n");
    }
}

/* --- Reading --- */

enum { MAX_WORDS = 64 };

typedef struct Reader {
    Region     *region;
    Model      *model;
    const char *file;
    int         line;
    char       *words[MAX_WORDS]; /* of the line */
    int         nwords;
    int         config_room, weight_room, value_room, operation_room;
    Error      *error;
} Reader;

static bool wrong(Reader *reader, const char *found, const char *expected)
{
    return error_at(reader->error, ((Place){reader->file, reader->line}), .found = found,
                    .expected = expected);
}

static bool read_whole(Reader *reader, int word, int64_t least, int64_t *value)
{
    char *end = NULL;
    if (word < reader->nwords)
        *value = strtoll(reader->words[word], &end, 10);
    if (!end || *end || *value < least || *value > (int64_t)1 << 53)
        return wrong(reader, word < reader->nwords ? reader->words[word] : "nothing",
                     "a whole number, not too small");
    return true;
}

static bool read_number(Reader *reader, int word, double *value)
{
    char *end = NULL;
    if (word < reader->nwords)
        *value = strtod(reader->words[word], &end);
    if (!end || *end || !(*value > -1e300 && *value < 1e300))
        return wrong(reader, word < reader->nwords ? reader->words[word] : "nothing", "a number");
    return true;
}

static bool read_yes(Reader *reader, int word, bool *value)
{
    const char *text = word < reader->nwords ? reader->words[word] : "nothing";
    *value           = strcmp(text, "yes") == 0;
    return *value || strcmp(text, "no") == 0 || wrong(reader, text, "yes or no");
}

static bool read_part(Reader *reader, int word, Part *part)
{
    const char *text = word < reader->nwords ? reader->words[word] : "nothing";
    for (int i = 0; i < NPARTS; i++)
        if (strcmp(text, part_names[i]) == 0) {
            *part = (Part)i;
            return true;
        }
    return wrong(reader, text, "embed, pre, core, post or head");
}

/* The words at these places are these. */
static bool expect_words(Reader *reader, int first, int step, const char *const *expected)
{
    for (int word = first; *expected; word += step, expected++)
        if (word >= reader->nwords || strcmp(reader->words[word], *expected) != 0)
            return wrong(reader, word < reader->nwords ? reader->words[word] : "nothing",
                         *expected);
    return true;
}

static const char *copy_word(Reader *reader, int word)
{
    return word < reader->nwords ? region_copy(reader->region, reader->words[word]) : "";
}

static bool read_weight(Reader *reader)
{
    static const char *const names[] = {"rows", "columns", "deviation", "decays", "tied", NULL};
    Model                   *model   = reader->model;
    ModelWeight              weight  = {.tied = -1};
    if (!expect_words(reader, 3, 2, names) || !read_part(reader, 2, &weight.part) ||
        !read_whole(reader, 4, 1, &weight.rows) || !read_whole(reader, 6, 1, &weight.columns) ||
        !read_number(reader, 8, &weight.deviation) || !read_yes(reader, 10, &weight.decays))
        return false;
    weight.name      = copy_word(reader, 1);
    const char *tied = copy_word(reader, 12);
    if (model_weight(model, weight.name) >= 0)
        return wrong(reader, weight.name, "a weight's name once");
    if (strcmp(tied, "-") != 0 && (weight.tied = model_weight(model, tied)) < 0)
        return wrong(reader, tied, "a weight above this line, or -");
    weight.ntensors      = (reader->nwords - 13) / 2;
    ModelTensor *tensors = REGION_ARRAY(reader->region, ModelTensor, weight.ntensors + 1);
    for (int i = 0; i < weight.ntensors; i++) {
        tensors[i].name = copy_word(reader, 13 + 2 * i);
        if (!read_whole(reader, 14 + 2 * i, 1, &tensors[i].rows))
            return false;
    }
    weight.tensors = tensors;
    REGION_APPEND(reader->region, model->weights, model->nweights, reader->weight_room, weight);
    return true;
}

static bool read_value(Reader *reader)
{
    static const char *const names[] = {"columns", NULL};
    Model                   *model   = reader->model;
    ModelValue               value   = {.name = copy_word(reader, 1)};
    if (!expect_words(reader, 3, 2, names) || !read_part(reader, 2, &value.part) ||
        !read_whole(reader, 4, 1, &value.columns))
        return false;
    if (model_value(model, value.name) >= 0)
        return wrong(reader, value.name, "a value's name once");
    REGION_APPEND(reader->region, model->values, model->nvalues, reader->value_room, value);
    return true;
}

static bool read_operand(Reader *reader, int word, int *operand)
{
    const char *name      = reader->words[word];
    bool        is_weight = strncmp(name, "weight.", 7) == 0;
    int         index =
        is_weight ? model_weight(reader->model, name + 7) : model_value(reader->model, name);
    *operand = is_weight ? -1 - index : index;
    return index >= 0 || wrong(reader, name, "a value or a weight above this line");
}

static bool read_operation(Reader *reader)
{
    ModelOperation operation = {.kernel = copy_word(reader, 1)};
    int           *operands = operation.inputs, *count = &operation.ninputs;
    if (!read_part(reader, 2, &operation.part))
        return false;
    for (int word = 3; word < reader->nwords; word++) {
        if (operands == operation.inputs && strcmp(reader->words[word], "->") == 0) {
            operands = operation.outputs;
            count    = &operation.noutputs;
        } else if (*count == MODEL_MAX_OPERANDS) {
            return wrong(reader, reader->words[word], "fewer operands");
        } else if (!read_operand(reader, word, &operands[(*count)++])) {
            return false;
        }
    }
    if (operands != operation.outputs)
        return wrong(reader, "no ->", "inputs -> outputs");
    REGION_APPEND(reader->region, reader->model->operations, reader->model->noperations,
                  reader->operation_room, operation);
    return true;
}

static bool read_rope(Reader *reader)
{
    static const char *const names[] = {
        "factor",           "low_frequency", "high_frequency", "original_context",
        "attention_factor", "beta_fast",     "beta_slow",      NULL};
    RopeScaling *rope = &reader->model->rope;
    rope->type        = copy_word(reader, 1);
    return expect_words(reader, 2, 2, names) && read_number(reader, 3, &rope->factor) &&
           read_number(reader, 5, &rope->low_frequency) &&
           read_number(reader, 7, &rope->high_frequency) &&
           read_whole(reader, 9, 0, &rope->original_context) &&
           read_number(reader, 11, &rope->attention_factor) &&
           read_number(reader, 13, &rope->beta_fast) && read_number(reader, 15, &rope->beta_slow);
}

static bool read_config(Reader *reader)
{
    ModelConfig line = {copy_word(reader, 1), copy_word(reader, 2)};
    if (reader->nwords != 3)
        return wrong(reader, "another count of words", "a key of config.json and its value");
    REGION_APPEND(reader->region, reader->model->config, reader->model->nconfig,
                  reader->config_room, line);
    return true;
}

static bool read_line(Reader *reader)
{
    Model *model = reader->model;
    struct {
        const char *name;
        int64_t    *into;
    } sizes[]        = {{"layers", &model->layers},         {"hidden", &model->hidden},
                        {"heads", &model->heads},           {"kv_heads", &model->kv_heads},
                        {"head_dim", &model->head_dim},     {"ffn", &model->ffn},
                        {"vocabulary", &model->vocabulary}, {"context", &model->context}};
    const char *name = reader->words[0];
    for (int i = 0; i < COUNT(sizes); i++)
        if (strcmp(name, sizes[i].name) == 0)
            return read_whole(reader, 1, 1, sizes[i].into);
    if (strcmp(name, "weight") == 0)
        return read_weight(reader);
    if (strcmp(name, "value") == 0)
        return read_value(reader);
    if (strcmp(name, "operation") == 0)
        return read_operation(reader);
    if (strcmp(name, "rope") == 0)
        return read_rope(reader);
    if (strcmp(name, "config") == 0)
        return read_config(reader);
    if (strcmp(name, "tied") == 0)
        return read_yes(reader, 1, &model->tied);
    if (strcmp(name, "epsilon") == 0)
        return read_number(reader, 1, &model->epsilon);
    if (strcmp(name, "rope_theta") == 0)
        return read_number(reader, 1, &model->rope_theta);
    if (strcmp(name, "model") == 0)
        model->family = copy_word(reader, 1);
    else if (strcmp(name, "tokenizer") == 0)
        model->tokenizer = copy_word(reader, 1);
    else
        return wrong(reader, name, "a line of a model's table");
    return true;
}

static bool split_line(Reader *reader, char *line)
{
    char *rest     = NULL;
    reader->nwords = 0;
    for (char *word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (reader->nwords == MAX_WORDS)
            return wrong(reader, word, "fewer words in a line");
        reader->words[reader->nwords++] = word;
    }
    return true;
}

Model *model_read(Region *region, const char *text, const char *name, Error *error)
{
    Reader reader = {
        .region = region, .model = REGION_NEW(region, Model), .file = name, .error = error};
    reader.model->family = reader.model->tokenizer = reader.model->rope.type = "";
    char *rest = region_copy(region, text);
    for (char *line; (line = strsep(&rest, "\n"));) {
        reader.line++;
        if (!split_line(&reader, line) || (reader.nwords > 0 && !read_line(&reader)))
            return NULL;
    }
    return reader.model;
}

/* --- Checking --- */

static bool check_weights(const Model *model, Error *error)
{
    for (const ModelWeight *w = model->weights; w < model->weights + model->nweights; w++) {
        int64_t rows = 0;
        for (int i = 0; i < w->ntensors; i++)
            rows += w->tensors[i].rows;
        if (rows != w->rows)
            return error_input(error, "model: weight %s has %" PRId64 " rows, its tensors %" PRId64,
                               w->name, w->rows, rows);
        if (w->tied >= 0 && (model->weights[w->tied].rows != w->rows ||
                             model->weights[w->tied].columns != w->columns))
            return error_input(error, "model: weight %s is tied to %s, which has another shape",
                               w->name, model->weights[w->tied].name);
    }
    return true;
}

/* Within a part an operation reads what stands above it, or what an earlier part made. */
static bool check_operations(const Model *model, Error *error)
{
    for (int i = 0; i < model->noperations; i++) {
        const ModelOperation *operation = &model->operations[i];
        if (i > 0 && operation->part < operation[-1].part)
            return error_input(error, "model: operation %d (%s) is of part %s, below one of %s", i,
                               operation->kernel, part_names[operation->part],
                               part_names[operation[-1].part]);
        for (int k = 0; k < operation->ninputs; k++) {
            int  input = operation->inputs[k];
            bool made  = input < 0;
            for (int j = 0; j < i && !made; j++)
                for (int o = 0; o < model->operations[j].noutputs; o++)
                    made = made || model->operations[j].outputs[o] == input;
            if (!made)
                return error_input(error, "model: operation %d (%s) reads %s before it is made", i,
                                   operation->kernel, model->values[input].name);
        }
    }
    return true;
}

bool model_check(const Model *model, Error *error)
{
    int64_t sizes[] = {model->layers,   model->hidden, model->heads,      model->kv_heads,
                       model->head_dim, model->ffn,    model->vocabulary, model->context};
    for (int i = 0; i < COUNT(sizes); i++)
        if (sizes[i] <= 0)
            return error_input(error, "model: one of its sizes is missing");
    if (model->heads % model->kv_heads != 0)
        return error_input(error,
                           "model: %" PRId64 " heads are not a multiple of %" PRId64 " kv_heads",
                           model->heads, model->kv_heads);
    if (model->head_dim % 2 != 0)
        return error_input(error, "model: head_dim %" PRId64 " is odd; RoPE turns pairs",
                           model->head_dim);
    if (model_value(model, "input") < 0 || model->noperations == 0)
        return error_input(error, "model: it has no value \"input\", or no operation");
    return check_weights(model, error) && check_operations(model, error);
}

const char *model_shape_name(Region *region, const Model *model, int64_t size)
{
    const struct {
        const char *name;
        int64_t     size;
    } names[] = {
        {"HIDDEN", model->hidden},
        {"ALL_HEADS", model->heads * model->head_dim},
        {"QKV", (model->heads + 2 * model->kv_heads) * model->head_dim},
        {"FFN", model->ffn},
        {"GATE_UP", 2 * model->ffn},
        {"VOCABULARY", model->vocabulary},
    };
    for (int i = 0; i < COUNT(names); i++)
        if (names[i].size == size)
            return names[i].name;
    return region_format(region, "%lld", (long long)size);
}
