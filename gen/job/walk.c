/* walk: one walk through a model's operations in reverse binds a name to every gradient. */
#include "gen/job/walk.h"

#include <string.h>

#include "gen/forms/layout.h"

enum { SPECIAL_ROPE = 3, SPECIAL_NORMS = 7 };
static const Special special_table[NSPECIALS] = {
    {"tokens", ROLE_TOKENS, ROWS_TOKEN, 1, 4},
    {"targets", ROLE_TOKENS, ROWS_TOKEN, 1, 4},
    {"weights", ROLE_TOKENS, ROWS_TOKEN, 1, 4},
    [SPECIAL_ROPE] = {"rope", ROLE_TABLE, ROWS_ONE, 0, 0},
    {"loss", ROLE_LOSS, ROWS_SEGMENT, 1, 8},
    {"next", ROLE_NEXT, ROWS_ONE, 1, 4},
    {"norm", ROLE_NORM, ROWS_ONE, 1, 8},
    [SPECIAL_NORMS] = {"norms", ROLE_NORM, ROWS_ONE, 0, 8},
    {"losses", ROLE_LOSS, ROWS_ONE, 0, 8},
    {"factor", ROLE_CLIP, ROWS_ONE, 2, 8},
    {"weight", ROLE_WEIGHT, ROWS_ONE, 0, 0},
    {"gradient", ROLE_DWEIGHT, ROWS_ONE, 0, 0},
    {"moment1", ROLE_MOMENT1, ROWS_ONE, 0, 0},
    {"moment2", ROLE_MOMENT2, ROWS_ONE, 0, 0},
};

static bool same_thing(Symbol a, Symbol b) /* in whichever layer */
{
    return a.kind == b.kind && a.index == b.index;
}

static Symbol input_symbol(const ModelOperation *operation, int index)
{
    int operand = operation->inputs[index];
    if (operand < 0)
        return (Symbol){SYMBOL_WEIGHT, -1 - operand, 0};
    return (Symbol){SYMBOL_VALUE, operand, 0};
}

/* What an operation writes under the name "input" is the next layer's. */
static Symbol output_symbol(const Walk *walk, const ModelOperation *operation, int index)
{
    int value = operation->outputs[index];
    return (Symbol){SYMBOL_VALUE, value, value == walk->input};
}

int walk_special(const char *name)
{
    for (int i = 0; i < NSPECIALS; i++)
        if (strcmp(special_table[i].name, name) == 0)
            return i;
    return -1;
}

Symbol walk_resolve(const Walk *walk, const Bound *bound, const char *name)
{
    bool                  gradient  = strncmp(name, "d_", 2) == 0;
    const char           *formal    = gradient ? name + 2 : name;
    const ModelOperation *operation = bound->operation;
    if (strcmp(name, "sum") == 0)
        return bound->sum;
    int input = word_find(bound->entry->inputs, formal);
    if (input >= 0 && !gradient)
        return input_symbol(operation, input);
    if (input >= 0 && operation->inputs[input] < 0)
        return (Symbol){SYMBOL_DWEIGHT, -1 - operation->inputs[input], 0};
    if (input >= 0)
        return bound->d_inputs[input];
    int output = word_find(bound->entry->outputs, formal);
    if (output >= 0)
        return gradient ? bound->d_outputs[output] : output_symbol(walk, operation, output);
    int special = walk_special(name);
    if (special < 0)
        bug("\"%s\" of operation %s in kernels.def stands for nothing", name, bound->entry->name);
    return (Symbol){SYMBOL_SPECIAL, special, 0};
}

static int count_words(Region *region, const char *words)
{
    int count = 0;
    while (word_at(region, words, count))
        count++;
    return count;
}

static bool bind_operations(Walk *walk, Error *error)
{
    for (int i = 0; i < walk->model->noperations; i++) {
        const ModelOperation *operation = &walk->model->operations[i];
        const Operation      *entry     = operation_named(operation->kernel);
        walk->bound[i]                  = (Bound){.operation = operation, .entry = entry};
        if (!entry)
            return error_input(error, "model: operation %d: kernels.def has no operation \"%s\"",
                               i + 1, operation->kernel);
        if (count_words(walk->region, entry->inputs) != operation->ninputs ||
            count_words(walk->region, entry->outputs) != operation->noutputs)
            return error_input(error, "model: operation %d, %s: takes \"%s\" and makes \"%s\"",
                               i + 1, entry->name, entry->inputs, entry->outputs);
    }
    return true;
}

/* What a value's gradient has got so far. */
static bool contribute(Walk *walk, Bound *bound, Symbol *shares, int input, Error *error)
{
    int    value = bound->operation->inputs[input];
    Symbol earlier;
    if (value < 0)
        return true;
    const char *written =
        region_format(walk->region, "=d_%s", word_at(walk->region, bound->entry->inputs, input));
    const char *added = region_format(walk->region, "+%s", written + 1);
    earlier           = shares[value];
    if (bound->entry->passes && word_find(bound->entry->passes, written + 3) >= 0) {
        shares[value] = bound->d_outputs[0];
    } else if (bound->entry->dx &&
               (strstr(bound->entry->dx, written) || strstr(bound->entry->dx, added))) {
        shares[value] = bound->d_inputs[input] = (Symbol){SYMBOL_GRADIENT, value, 0};
        if (strstr(bound->entry->dx, "<sum")) {
            bound->sum = earlier;
            earlier    = (Symbol){SYMBOL_NONE, 0, 0};
        }
    }
    if (earlier.kind != SYMBOL_NONE)
        return error_input(error,
                           "model: the gradient of %s comes from several operations, and %s has no "
                           "kernel that adds to it",
                           walk->model->values[value].name, bound->entry->name);
    return true;
}

static bool bind_gradients(Walk *walk, Error *error)
{
    const Model *model  = walk->model;
    Symbol      *shares = REGION_ARRAY(walk->region, Symbol, model->nvalues);
    for (int i = model->noperations - 1; i >= 0; i--) {
        Bound *bound = &walk->bound[i];
        for (int j = 0; j < bound->operation->noutputs; j++) {
            int value           = bound->operation->outputs[j];
            bound->d_outputs[j] = shares[value];
            if (value == walk->input) { /* the layer above has another "input" */
                bound->d_outputs[j] = (Symbol){SYMBOL_GRADIENT, value, 1};
                shares[value]       = (Symbol){SYMBOL_NONE, 0, 0};
            }
        }
        for (int j = 0; j < bound->operation->ninputs; j++)
            if (!contribute(walk, bound, shares, j, error))
                return false;
    }
    return true;
}

static bool call_reads(const Walk *walk, const Bound *bound, const char *text, Symbol symbol)
{
    if (!text)
        return false;
    KernelCall call = kernel_call(walk->region, text);
    for (int i = 0; i < call.narguments; i++)
        if (call.arguments[i].mark == MARK_READ &&
            same_thing(walk_resolve(walk, bound, call.arguments[i].name), symbol))
            return true;
    return false;
}

bool walk_reads_outside(const Walk *walk, Part part, Symbol symbol)
{
    for (int i = 0; i < walk->model->noperations; i++) {
        const Bound *bound = &walk->bound[i];
        if (bound->operation->part != part &&
            (call_reads(walk, bound, bound->entry->forward, symbol) ||
             call_reads(walk, bound, bound->entry->dx, symbol) ||
             call_reads(walk, bound, bound->entry->dw, symbol)))
            return true;
    }
    return false;
}

bool walk_reads_in_dw(const Walk *walk, Part part, Symbol symbol)
{
    for (int i = 0; i < walk->model->noperations; i++)
        if (walk->bound[i].operation->part == part &&
            call_reads(walk, &walk->bound[i], walk->bound[i].entry->dw, symbol))
            return true;
    return false;
}

static bool read_by_backward(const Walk *walk, Symbol symbol)
{
    for (int i = 0; i < walk->model->noperations; i++) {
        const Bound *bound = &walk->bound[i];
        if (call_reads(walk, bound, bound->entry->dx, symbol) ||
            call_reads(walk, bound, bound->entry->dw, symbol))
            return true;
    }
    return false;
}

const Bound *walk_maker(const Walk *walk, int value, Part part)
{
    for (int i = 0; i < walk->model->noperations; i++)
        for (int j = 0; j < walk->bound[i].operation->noutputs; j++)
            if (walk->bound[i].operation->part == part &&
                walk->bound[i].operation->outputs[j] == value)
                return &walk->bound[i];
    return NULL;
}

bool walk_can_rebuild(const Walk *walk, int value, Part part)
{
    const Bound *bound = walk_maker(walk, value, part);
    return bound && bound->entry->rebuild && bound->operation->outputs[0] == value;
}

bool walk_keeps(const Walk *walk, int value, Part part, Level level)
{
    if (level >= LEVEL_BARE || !read_by_backward(walk, (Symbol){SYMBOL_VALUE, value, 0}))
        return false;
    return level == LEVEL_ALL || !walk_can_rebuild(walk, value, part);
}

bool walk_make(Region *region, const Model *model, int real_bytes, Walk *walk, Error *error)
{
    *walk       = (Walk){.region = region, .model = model, .real_bytes = real_bytes, .input = -1};
    walk->bound = REGION_ARRAY(region, Bound, model->noperations);
    memcpy(walk->specials, special_table, sizeof walk->specials);
    walk->specials[SPECIAL_ROPE].columns  = model->context * model->head_dim;
    walk->specials[SPECIAL_NORMS].columns = layout_tensors(model);
    for (int i = 0; i < model->nvalues; i++)
        if (strcmp(model->values[i].name, "input") == 0)
            walk->input = i;
    if (walk->input < 0)
        return error_input(error, "model: no value is called \"input\"");
    return bind_operations(walk, error) && bind_gradients(walk, error);
}
