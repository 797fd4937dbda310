/* differentiate: derives all codelets from the model's forward operations.
 *   reads    a model; PW_OPERATION and PW_UPDATE of templates/kernels.def
 *   writes   the codelet table: calls, operands, temporaries, work
 *   fails    an operation that kernels.def lacks or uses otherwise; a gradient that would need a
 *            kernel of its own to be added up
 *   stands   first: it is what makes a codelet table
 * One walk through the operations in reverse binds a name to every gradient (walk.c). After it a
 * codelet is a list of calls: forward ones in order, backward ones in reverse, each preceded by the
 * forward calls that make what it reads and was not kept. Whether a value is an operand or lives in
 * scratch follows from who else reads it: another part, or a later codelet of the same part. So
 * joint and split backward are the same calls on the same shapes. */
#include <string.h>

#include "gen/forms/operations.h"
#include "gen/job/job_passes.h"
#include "gen/job/walk.h"
#include "runtime/kernel.h"

/* A codelet in the making. */
typedef struct Builder {
    const Walk *walk;
    Codelet    *codelet;
    bool       *made;        /* [nvalues] by a call of this codelet */
    int         first, last; /* operations that it came from, -1: none yet */
    int         operand_room, line_room, temporary_room, room_room;
} Builder;

static bool is_operand(const Builder *builder, Symbol symbol, Mark mark)
{
    const Codelet *codelet = builder->codelet;
    const Walk    *walk    = builder->walk;
    bool           forward =
        codelet->direction == DIRECTION_FORWARD || codelet->direction == DIRECTION_REBUILD;
    if (mark != MARK_WRITE)
        return true;
    if (symbol.kind == SYMBOL_VALUE)
        return forward && (walk_reads_outside(walk, codelet->part, symbol) ||
                           walk_keeps(walk, symbol.index, codelet->part, codelet->level));
    if (symbol.kind == SYMBOL_GRADIENT)
        return walk_reads_outside(walk, codelet->part, symbol) ||
               (codelet->half == HALF_DX && walk_reads_in_dw(walk, codelet->part, symbol));
    return true;
}

static CodeletOperand operand_of(const Walk *walk, Symbol symbol, bool by_segment)
{
    const Model   *model   = walk->model;
    CodeletOperand operand = {.shift = symbol.shift, .weight = -1, .rows = ROWS_ONE};
    operand.element_bytes  = walk->real_bytes;
    if (symbol.kind == SYMBOL_VALUE || symbol.kind == SYMBOL_GRADIENT) {
        bool        gradient = symbol.kind == SYMBOL_GRADIENT;
        const char *name     = model->values[symbol.index].name;
        operand.name         = gradient ? region_format(walk->region, "d_%s", name) : name;
        operand.role         = gradient ? (by_segment ? ROLE_DKV : ROLE_GRADIENT)
                                        : (by_segment ? ROLE_KV : ROLE_VALUE);
        operand.rows         = by_segment ? ROWS_CONTEXT : ROWS_TOKEN;
        operand.columns      = model->values[symbol.index].columns;
    } else if (symbol.kind == SYMBOL_SPECIAL) {
        const Special *special = &walk->specials[symbol.index];
        operand.name           = special->name;
        operand.role           = special->role;
        operand.rows           = special->rows;
        operand.columns        = special->columns;
        operand.element_bytes  = special->element_bytes ? special->element_bytes : walk->real_bytes;
    } else {
        const ModelWeight *weight   = &model->weights[symbol.index];
        bool               gradient = symbol.kind == SYMBOL_DWEIGHT;
        operand.name    = region_format(walk->region, gradient ? "dw_%s" : "w_%s", weight->name);
        operand.role    = gradient ? ROLE_DWEIGHT : ROLE_WEIGHT;
        operand.weight  = symbol.index;
        operand.columns = weight->rows * weight->columns;
    }
    return operand;
}

static bool has_temporary(const Codelet *codelet, const char *name)
{
    for (int i = 0; i < codelet->ntemporaries; i++)
        if (strcmp(codelet->temporaries[i].name, name) == 0)
            return true;
    return false;
}

static bool has_operand(const Codelet *codelet, const CodeletOperand *wanted)
{
    for (int i = 0; i < codelet->noperands; i++)
        if (strcmp(codelet->operands[i].name, wanted->name) == 0 &&
            codelet->operands[i].shift == wanted->shift)
            return true;
    return false;
}

/* The pointer's text in the call; what is met for the first time becomes an operand or a
 * temporary. */
static const char *pointer_text(Builder *builder, Symbol symbol, const Argument *argument)
{
    Codelet       *codelet = builder->codelet;
    Region        *region  = builder->walk->region;
    CodeletOperand operand = operand_of(builder->walk, symbol, argument->by_segment);
    if (symbol.kind == SYMBOL_VALUE && argument->mark == MARK_WRITE)
        builder->made[symbol.index] = true;
    if (has_temporary(codelet, operand.name) && symbol.shift == 0)
        return region_format(region, "@%s", operand.name);
    if (!has_operand(codelet, &operand)) {
        if (!is_operand(builder, symbol, argument->mark)) {
            CodeletTemporary temporary = {operand.name, operand.columns * operand.element_bytes};
            REGION_APPEND(region, codelet->temporaries, codelet->ntemporaries,
                          builder->temporary_room, temporary);
            return region_format(region, "@%s", operand.name);
        }
        operand.access = argument->mark == MARK_READ    ? ACCESS_READ
                         : argument->mark == MARK_WRITE ? ACCESS_WRITE
                                                        : ACCESS_ADD;
        REGION_APPEND(region, codelet->operands, codelet->noperands, builder->operand_room,
                      operand);
    }
    return region_format(region, symbol.shift ? "$%s+%d" : "$%s", operand.name, symbol.shift);
}

static const ModelWeight *weight_of(const Walk *walk, const Bound *bound)
{
    if (bound)
        for (int i = 0; i < bound->operation->ninputs; i++)
            if (bound->operation->inputs[i] < 0)
                return &walk->model->weights[-1 - bound->operation->inputs[i]];
    return NULL;
}

/* A word that is passed on. */
static const char *word_text(const Walk *walk, const Bound *bound, const char *word)
{
    static const struct {
        const char *word, *text;
    } fields[] = {
        {"n", "call->tokens"},  {"flags", "call->flags"}, {"count", "call->count"},
        {"step", "call->step"}, {"scratch", "@room"},
    };
    for (int i = 0; i < COUNT(fields); i++)
        if (strcmp(fields[i].word, word) == 0)
            return fields[i].text;
    if (strcmp(word, "out") == 0)
        return model_shape_name(walk->region, walk->model, weight_of(walk, bound)->rows);
    if (strcmp(word, "in") == 0)
        return model_shape_name(walk->region, walk->model, weight_of(walk, bound)->columns);
    return word;
}

static Symbol argument_symbol(const Walk *walk, const Bound *bound, const char *name)
{
    if (bound)
        return walk_resolve(walk, bound, name);
    return (Symbol){SYMBOL_SPECIAL, walk_special(name), 0};
}

/* Unless another one always needs as much. */
static void add_room(Builder *builder, CodeletRoom room)
{
    Codelet *codelet = builder->codelet;
    for (const CodeletRoom *at = codelet->rooms; at < codelet->rooms + codelet->nrooms; at++)
        if (at->token_bytes >= room.token_bytes && at->fixed_bytes >= room.fixed_bytes &&
            (at->most_tokens == 0 || (room.most_tokens > 0 && at->most_tokens >= room.most_tokens)))
            return;
    REGION_APPEND(builder->walk->region, codelet->rooms, codelet->nrooms, builder->room_room, room);
}

static void count_work(Builder *builder, const Bound *bound, const char *kernel, int64_t width)
{
    const Model       *model  = builder->walk->model;
    const ModelWeight *weight = weight_of(builder->walk, bound);
    KernelShape        shape  = {.out        = weight ? weight->rows : 0,
                                 .in         = weight ? weight->columns : 0,
                                 .width      = width,
                                 .heads      = model->heads,
                                 .head_dim   = model->head_dim,
                                 .vocabulary = model->vocabulary,
                                 .real_bytes = builder->walk->real_bytes};
    KernelWork         work   = kernel_work(kernel, shape);
    builder->codelet->flops_per_token += work.flops_per_token;
    builder->codelet->flops_per_pair += work.flops_per_pair;
    if (work.token_scratch || work.fixed_scratch)
        add_room(builder,
                 (CodeletRoom){kernel, work.token_scratch, work.most_tokens, work.fixed_scratch});
}

/* Appends a call. `bound` is NULL for an update. */
static void add_call(Builder *builder, const Bound *bound, const char *text)
{
    const Walk *walk      = builder->walk;
    KernelCall  call      = kernel_call(walk->region, text);
    Text        arguments = text_new(walk->region);
    int64_t     width     = 0;
    for (int i = 0; i < call.narguments; i++) {
        const Argument *argument = &call.arguments[i];
        const char     *words    = NULL;
        if (argument->mark == MARK_NONE) {
            words = word_text(walk, bound, argument->name);
        } else {
            Symbol         symbol = argument_symbol(walk, bound, argument->name);
            CodeletOperand operand;
            if (symbol.kind == SYMBOL_NONE) {
                words = "NULL";
            } else {
                words       = pointer_text(builder, symbol, argument);
                operand     = operand_of(walk, symbol, argument->by_segment);
                width       = width ? width : operand.columns;
                bool a_row  = operand.rows != ROWS_ONE || operand.columns == 0;
                int  passes = argument->mark == MARK_ADD ? 2 : 1;
                builder->codelet->bytes_per_token +=
                    a_row ? (double)(passes * (operand.columns ? operand.columns : 1) *
                                     operand.element_bytes)
                          : 0;
            }
        }
        if (!argument->by_segment)
            text_add(&arguments, "%s%s", i ? ", " : "", words);
    }
    count_work(builder, bound, call.kernel, width);
    CodeletLine line = {call.kernel, arguments.at};
    REGION_APPEND(walk->region, builder->codelet->lines, builder->codelet->nlines,
                  builder->line_room, line);
    if (bound) {
        int number     = (int)(bound - walk->bound);
        builder->first = builder->first < 0 || number < builder->first ? number : builder->first;
        builder->last  = number > builder->last ? number : builder->last;
    }
}

/* Makes what a call reads of this part's forward and nobody kept. */
static void make_reads(Builder *builder, const Bound *bound, const char *text);

static bool is_there(const Builder *builder, int value)
{
    return builder->made[value] || !walk_maker(builder->walk, value, builder->codelet->part) ||
           value == builder->walk->input ||
           walk_keeps(builder->walk, value, builder->codelet->part, builder->codelet->level);
}

static void make(Builder *builder, int value)
{
    const Walk  *walk  = builder->walk;
    const Bound *bound = walk_maker(walk, value, builder->codelet->part);
    const char  *rebuild =
        walk_can_rebuild(walk, value, builder->codelet->part) ? bound->entry->rebuild : NULL;
    for (int i = 1; i < bound->operation->noutputs; i++)
        if (rebuild && !is_there(builder, bound->operation->outputs[i]))
            rebuild = NULL;
    make_reads(builder, bound, rebuild ? rebuild : bound->entry->forward);
    add_call(builder, bound, rebuild ? rebuild : bound->entry->forward);
}

static void make_reads(Builder *builder, const Bound *bound, const char *text)
{
    KernelCall call = kernel_call(builder->walk->region, text);
    for (int i = 0; i < call.narguments; i++) {
        if (call.arguments[i].mark != MARK_READ)
            continue;
        Symbol symbol = argument_symbol(builder->walk, bound, call.arguments[i].name);
        if (symbol.kind == SYMBOL_VALUE && !is_there(builder, symbol.index))
            make(builder, symbol.index);
    }
}

static void add_forward(Builder *builder)
{
    const Walk *walk = builder->walk;
    for (int i = 0; i < walk->model->noperations; i++) {
        const Bound *bound = &walk->bound[i];
        bool sample = builder->codelet->direction == DIRECTION_SAMPLE && bound->entry->sample;
        if (bound->operation->part == builder->codelet->part)
            add_call(builder, bound, sample ? bound->entry->sample : bound->entry->forward);
    }
}

/* The values of this part that a backward reads, and what they are made of; the layer's output is
 * the next layer's affair. */
static void add_rebuild(Builder *builder)
{
    const Walk *walk = builder->walk;
    Part        part = builder->codelet->part;
    bool       *kept = REGION_ARRAY(walk->region, bool, walk->model->nvalues);
    for (int i = 0; i < walk->model->nvalues; i++)
        kept[i] = i != walk->input && walk_maker(walk, i, part) &&
                  walk_keeps(walk, i, part, builder->codelet->level);
    for (int i = walk->model->noperations - 1; i >= 0; i--) { /* and their makers' operands */
        const ModelOperation *operation = walk->bound[i].operation;
        bool                  wanted    = false;
        for (int j = 0; j < operation->noutputs; j++)
            wanted = wanted || kept[operation->outputs[j]];
        for (int j = 0; j < operation->ninputs; j++)
            if (wanted && operation->part == part && operation->inputs[j] >= 0)
                kept[operation->inputs[j]] = true;
    }
    for (int i = 0; i < walk->model->noperations; i++) {
        const ModelOperation *operation = walk->bound[i].operation;
        bool                  wanted    = false;
        for (int j = 0; j < operation->noutputs; j++)
            wanted =
                wanted || (kept[operation->outputs[j]] && operation->outputs[j] != walk->input);
        if (wanted && operation->part == part)
            add_call(builder, &walk->bound[i], walk->bound[i].entry->forward);
    }
}

static void add_backward(Builder *builder)
{
    const Walk *walk = builder->walk;
    for (int i = walk->model->noperations - 1; i >= 0; i--) {
        const Bound *bound = &walk->bound[i];
        if (bound->operation->part != builder->codelet->part)
            continue;
        const char *halves[] = {builder->codelet->half == HALF_DW ? NULL : bound->entry->dx,
                                builder->codelet->half == HALF_DX ? NULL : bound->entry->dw};
        for (int half = 0; half < COUNT(halves); half++) {
            if (!halves[half])
                continue;
            make_reads(builder, bound, halves[half]);
            add_call(builder, bound, halves[half]);
        }
    }
}

static void end_codelet(Builder *builder)
{
    const Walk *walk    = builder->walk;
    Codelet    *codelet = builder->codelet;
    if (codelet->ntemporaries || codelet->nrooms) {
        CodeletOperand scratch = {"scratch", ROLE_SCRATCH, ACCESS_WRITE, ROWS_ONE, 0, 1, 0, -1};
        REGION_APPEND(walk->region, codelet->operands, codelet->noperands, builder->operand_room,
                      scratch);
    }
    if (builder->first >= 0)
        codelet->origin = region_format(walk->region, "models/%s.lua, operations %d to %d",
                                        walk->model->family, builder->first + 1, builder->last + 1);
    else
        codelet->origin = "the optimizer";
    if (codelet->noperands > PW_MAX_OPERANDS)
        bug("%s has %d operands, more than PW_MAX_OPERANDS", codelet->name, codelet->noperands);
}

/* Every codelet that an operation of a plan may ask for. Levels that none asks for are missing:
 * codelet_find names the one that stands in. */
static const struct {
    const char *name;
    Part        part;
    Direction   direction;
    Level       level;
    Half        half;
} wanted[] = {
    {"embed_forward", PART_EMBED, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH},
    {"embed_backward", PART_EMBED, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH},
    {"pre_forward_all", PART_PRE, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH},
    {"pre_forward_lean", PART_PRE, DIRECTION_FORWARD, LEVEL_LEAN, HALF_BOTH},
    {"pre_forward_bare", PART_PRE, DIRECTION_FORWARD, LEVEL_BARE, HALF_BOTH},
    {"pre_rebuild_all", PART_PRE, DIRECTION_REBUILD, LEVEL_ALL, HALF_BOTH},
    {"pre_backward_all", PART_PRE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH},
    {"pre_backward_all_dx", PART_PRE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DX},
    {"pre_backward_all_dw", PART_PRE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DW},
    {"pre_backward_lean", PART_PRE, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_BOTH},
    {"pre_backward_lean_dx", PART_PRE, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DX},
    {"pre_backward_lean_dw", PART_PRE, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DW},
    {"core_forward_all", PART_CORE, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH},
    {"core_forward_bare", PART_CORE, DIRECTION_FORWARD, LEVEL_BARE, HALF_BOTH},
    {"core_backward", PART_CORE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH},
    {"post_forward_all", PART_POST, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH},
    {"post_forward_lean", PART_POST, DIRECTION_FORWARD, LEVEL_LEAN, HALF_BOTH},
    {"post_forward_bare", PART_POST, DIRECTION_FORWARD, LEVEL_BARE, HALF_BOTH},
    {"post_rebuild_all", PART_POST, DIRECTION_REBUILD, LEVEL_ALL, HALF_BOTH},
    {"post_backward_all", PART_POST, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH},
    {"post_backward_all_dx", PART_POST, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DX},
    {"post_backward_all_dw", PART_POST, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DW},
    {"post_backward_lean", PART_POST, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_BOTH},
    {"post_backward_lean_dx", PART_POST, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DX},
    {"post_backward_lean_dw", PART_POST, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DW},
    {"head_loss", PART_HEAD, DIRECTION_BACKWARD, LEVEL_BARE, HALF_BOTH},
    {"head_evaluate", PART_HEAD, DIRECTION_EVALUATE, LEVEL_BARE, HALF_BOTH},
    {"head_sample", PART_HEAD, DIRECTION_SAMPLE, LEVEL_BARE, HALF_BOTH},
};

static Builder begin_codelet(const Walk *walk, Codelet *codelet)
{
    return (Builder){.walk    = walk,
                     .codelet = codelet,
                     .made    = REGION_ARRAY(walk->region, bool, walk->model->nvalues),
                     .first   = -1,
                     .last    = -1};
}

static Codelets *build_all(const Walk *walk)
{
    Codelets *table = REGION_NEW(walk->region, Codelets);
    table->count    = COUNT(wanted) + nupdates;
    table->items    = REGION_ARRAY(walk->region, Codelet, table->count);
    for (int i = 0; i < COUNT(wanted); i++) {
        table->items[i] = (Codelet){.name      = wanted[i].name,
                                    .part      = wanted[i].part,
                                    .direction = wanted[i].direction,
                                    .level     = wanted[i].level,
                                    .half      = wanted[i].half};
        Builder builder = begin_codelet(walk, &table->items[i]);
        if (wanted[i].direction == DIRECTION_BACKWARD)
            add_backward(&builder);
        else if (wanted[i].direction == DIRECTION_REBUILD)
            add_rebuild(&builder);
        else
            add_forward(&builder);
        end_codelet(&builder);
    }
    for (int i = 0; i < nupdates; i++) {
        Codelet *codelet = &table->items[COUNT(wanted) + i];
        *codelet =
            (Codelet){.name = updates[i].codelet, .part = PART_HEAD, .direction = DIRECTION_UPDATE};
        Builder builder = begin_codelet(walk, codelet);
        add_call(&builder, NULL, updates[i].call);
        end_codelet(&builder);
    }
    return table;
}

Codelets *differentiate(Region *region, const Model *model, int real_bytes, Error *error)
{
    Walk walk;
    return walk_make(region, model, real_bytes, &walk, error) ? build_all(&walk) : NULL;
}
