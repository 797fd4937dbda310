/* emit_c: prints the codelet table as C that people read.
 *   reads    a codelet table; writes the text of shapes.h, codelets.h, codelets.c
 *   stands   under emit, which adds what the runtime knows of the job; it decides nothing
 * A codelet is a straight line: pointers are fetched, places in scratch taken, and then comes one
 * kernel call a line. */
#include <string.h>

#include "gen/forms/operations.h"
#include "gen/job/emit.h"

enum { MARGIN = 100 };

void emit_c_shapes(const Model *model, int real_bytes, Text *out)
{
    const struct {
        const char *name;
        int64_t     size;
        const char *meaning;
    } shapes[] = {
        {"HIDDEN", model->hidden, "elements a token between layers"},
        {"HEAD_DIM", model->head_dim, "elements a head"},
        {"GROUP", model->heads / model->kv_heads, "query heads per head of keys and values"},
        {"ALL_HEADS", model->heads * model->head_dim, "elements of all query heads"},
        {"QKV", (model->heads + 2 * model->kv_heads) * model->head_dim, "queries, keys, values"},
        {"FFN", model->ffn, "elements inside the MLP"},
        {"GATE_UP", 2 * model->ffn, "gate and up, side by side"},
        {"VOCABULARY", model->vocabulary, "rows of the embedding"},
        {"CONTEXT", model->context, "tokens of the longest sequence"},
        {"TENSORS", layout_tensors(model), "weights whose gradients have a norm"},
    };
    text_add(out,
             "/* shapes.h: the dimensions of this model, ahead of every kernel. Emitted: read, do "
             "not edit. */\n#ifndef SHAPES_H\n#define SHAPES_H\n\n");
    if (real_bytes == sizeof(double)) /* the build script looks for this line */
        text_add(out, "#define PW_REAL    double\n");
    for (int i = 0; i < COUNT(shapes); i++)
        text_add(out, "#define %-10s %-8lld /* %s */\n", shapes[i].name, (long long)shapes[i].size,
                 shapes[i].meaning);
    text_add(out, "#define EPSILON    ((real)%s) /* of RMSNorm */\n\n#endif\n",
             text_double(out->region, model->epsilon));
}

void emit_c_header(const Codelets *codelets, Text *out)
{
    text_add(out, "/* codelets.h: every codelet of this job. Emitted: read, do not edit. */\n"
                  "#ifndef CODELETS_H\n#define CODELETS_H\n\n#include \"runtime/kernel.h\"\n\n");
    for (int i = 0; i < codelets->count; i++)
        text_add(out, "void %s(const PwCall *call);\n",
                 codelet_function(out->region, &codelets->items[i]));
    text_add(out, "\n#endif\n");
}

/* ---- a codelet's head ---- */

static const char *describe(const Codelet *codelet)
{
    switch (codelet->direction) {
    case DIRECTION_FORWARD:
        if (codelet->part == PART_EMBED)
            return "the first layer's input";
        return codelet->level == LEVEL_ALL    ? "forward, keeps all that backward reads"
               : codelet->level == LEVEL_LEAN ? "forward, keeps what is dear to make again"
                                              : "forward, keeps nothing";
    case DIRECTION_REBUILD:
        return "forward again, ahead of backward; the layer's output is left out";
    case DIRECTION_BACKWARD:
        if (codelet->part == PART_HEAD)
            return "loss and its gradients";
        return codelet->half == HALF_DX   ? "backward, the gradient of the input"
               : codelet->half == HALF_DW ? "backward, the gradients of the weights"
                                          : "backward";
    case DIRECTION_EVALUATE:
        return "loss alone";
    case DIRECTION_SAMPLE:
        return "the next token";
    default:
        return "at the end of a step";
    }
}

/* Text that breaks at the margin and goes on under its start. */
typedef struct Paragraph {
    Text *out;
    int   column;
} Paragraph;

enum { INDENT = 13 };

static void add_item(Paragraph *paragraph, const char *item)
{
    int length = (int)strlen(item);
    if (paragraph->column == 0) {
        paragraph->column = INDENT;
    } else if (paragraph->column + 2 + length > MARGIN - 3) {
        text_add(paragraph->out, ",\n *           ");
        paragraph->column = INDENT;
    } else {
        text_add(paragraph->out, ", ");
        paragraph->column += 2;
    }
    text_add(paragraph->out, "%s", item);
    paragraph->column += length;
}

static const char *variable(Region *region, const CodeletOperand *operand);

static const char *rows_text(Region *region, const CodeletOperand *operand, const Model *model)
{
    const char *name = variable(region, operand);
    if (operand->rows == ROWS_TOKEN && operand->columns > 1)
        return region_format(region, "%s [tokens][%s]", name,
                             model_shape_name(region, model, operand->columns));
    if (operand->rows == ROWS_TOKEN)
        return region_format(region, "%s [tokens]", name);
    if (operand->rows == ROWS_SEGMENT)
        return region_format(region, "%s [segments]", name);
    if (operand->rows == ROWS_CONTEXT)
        return region_format(region, "%s in the segments' chains", name);
    return name;
}

/* Does this part's backward read what its forward writes there? */
static bool is_kept(const Codelets *codelets, const Codelet *codelet, const CodeletOperand *operand)
{
    if (operand->role != ROLE_VALUE || operand->shift != 0 || operand->access != ACCESS_WRITE ||
        (codelet->direction != DIRECTION_FORWARD && codelet->direction != DIRECTION_REBUILD))
        return false;
    for (int i = 0; i < codelets->count; i++)
        if (codelets->items[i].part == codelet->part &&
            codelets->items[i].direction == DIRECTION_BACKWARD &&
            codelet_operand(&codelets->items[i], operand->name) >= 0)
            return true;
    return false;
}

typedef struct Kind {
    const char *word;
    Access      access;
    bool        kept;
} Kind;

static void add_operands(const Codelets *codelets, const Codelet *codelet, const Model *model,
                         Kind kind, Text *out)
{
    Paragraph paragraph = {out, 0};
    int64_t   bytes     = 0;
    for (int i = 0; i < codelet->noperands; i++) {
        const CodeletOperand *operand = &codelet->operands[i];
        if (operand->access != kind.access || operand->role == ROLE_SCRATCH ||
            is_kept(codelets, codelet, operand) != kind.kept)
            continue;
        if (paragraph.column == 0)
            text_add(out, "\n *   %-8s", kind.word);
        add_item(&paragraph, rows_text(out->region, operand, model));
        bytes += operand->columns * operand->element_bytes;
    }
    if (kind.kept && bytes)
        text_add(out, ": %lld bytes a token", (long long)bytes);
}

static void add_head(const Codelets *codelets, const Codelet *codelet, const Model *model,
                     Text *out)
{
    static const Kind kinds[] = {{"reads", ACCESS_READ, false},
                                 {"writes", ACCESS_WRITE, false},
                                 {"keeps", ACCESS_WRITE, true},
                                 {"adds to", ACCESS_ADD, false}};
    int64_t           token   = 0;
    bool              update  = codelet->direction == DIRECTION_UPDATE;
    text_add(out, "\n/* %s: %s.\n *   from    %s", codelet->name, describe(codelet),
             codelet->origin);
    for (int i = 0; i < COUNT(kinds); i++)
        add_operands(codelets, codelet, model, kinds[i], out);
    text_add(out, "\n *   work    %.0f flops", codelet->flops_per_token);
    if (codelet->flops_per_pair > 0)
        text_add(out, " and %.0f for each query and key that it attends", codelet->flops_per_pair);
    text_add(out, ", %.0f bytes %s", codelet->bytes_per_token, update ? "an element" : "a token");
    for (int i = 0; i < codelet->ntemporaries; i++)
        token += codelet->temporaries[i].token_bytes;
    if (codelet->ntemporaries || codelet->nrooms)
        text_add(out, "\n *   scratch %lld bytes a token", (long long)token);
    for (const CodeletRoom *at = codelet->rooms; at < codelet->rooms + codelet->nrooms; at++) {
        text_add(out, "\n *           %s for %s: %lld bytes", at == codelet->rooms ? "and" : "or",
                 at->kernel, (long long)at->fixed_bytes);
        if (at->token_bytes)
            text_add(out, ", %lld a token", (long long)at->token_bytes);
        if (at->most_tokens)
            text_add(out, " of at most %lld", (long long)at->most_tokens);
    }
    text_add(out, " */\n");
}

/* ---- its body ---- */

static const char *variable(Region *region, const CodeletOperand *operand)
{
    bool gradient = operand->shift != 0 && strncmp(operand->name, "d_", 2) == 0;
    if (operand->shift == 0)
        return operand->name;
    return region_format(region, "%snext_%s", gradient ? "d_" : "",
                         operand->name + (gradient ? 2 : 0));
}

static const char *type_of(const CodeletOperand *operand)
{
    switch (operand->role) {
    case ROLE_TOKENS:
        return strcmp(operand->name, "weights") == 0 ? "float" : "int32_t";
    case ROLE_NEXT:
        return "int32_t";
    case ROLE_LOSS:
    case ROLE_NORM:
    case ROLE_CLIP:
        return "double";
    case ROLE_SCRATCH:
        return "unsigned char";
    default:
        return "real";
    }
}

static void add_variables(const Codelet *codelet, Text *out)
{
    int width = 0;
    for (int i = 0; i < codelet->noperands; i++) {
        int length = (int)strlen(variable(out->region, &codelet->operands[i]));
        width      = length > width ? length : width;
    }
    for (int i = 0; i < codelet->ntemporaries; i++)
        if ((int)strlen(codelet->temporaries[i].name) > width)
            width = (int)strlen(codelet->temporaries[i].name);
    for (int i = 0; i < codelet->noperands; i++) {
        const CodeletOperand *operand = &codelet->operands[i];
        if (operand->rows == ROWS_CONTEXT)
            continue;
        const char *type = region_format(
            out->region, "%s%s", operand->access == ACCESS_READ ? "const " : "", type_of(operand));
        text_add(out, "    %-13s *%-*s = call->at[%d];\n", type, width,
                 variable(out->region, operand), i);
    }
    for (int i = 0; i < codelet->ntemporaries; i++) {
        const CodeletTemporary *temporary = &codelet->temporaries[i];
        text_add(out, "    %-13s *%-*s = pw_take(&scratch, call->tokens, %lld);\n", "real", width,
                 temporary->name, (long long)temporary->token_bytes);
    }
    if (codelet->nrooms)
        text_add(out, "    %-13s *%-*s = scratch;\n", "void", width, "room");
}

/* The call's arguments without marks: "$input+1" is the variable next_input. */
static const char *plain_arguments(Region *region, const Codelet *codelet, const char *text)
{
    Text plain = text_new(region);
    while (*text) {
        size_t length = strcspn(text, ",");
        if (*text == '$') {
            size_t name  = strcspn(text + 1, "+,");
            int    shift = name + 1 < length;
            for (int i = 0; i < codelet->noperands; i++) {
                const CodeletOperand *operand = &codelet->operands[i];
                if (operand->shift == shift && strlen(operand->name) == name &&
                    memcmp(operand->name, text + 1, name) == 0)
                    text_add(&plain, "%s", variable(region, operand));
            }
        } else {
            text_bytes(&plain, text + (*text == '@'), length - (*text == '@'));
        }
        text += length;
        size_t between = strspn(text, ", ");
        text_bytes(&plain, text, between);
        text += between;
    }
    return plain.at;
}

static void add_line(const Codelet *codelet, const CodeletLine *line, Text *out)
{
    const char *arguments = plain_arguments(out->region, codelet, line->arguments);
    int         column    = 4 + (int)strlen(line->kernel) + 1;
    int         at        = column;
    text_add(out, "    %s(", line->kernel);
    while (*arguments) {
        int length = (int)strcspn(arguments, ",");
        int after  = arguments[length] ? 2 : 0; /* ", " */
        if (at + length + 2 > MARGIN) {
            text_add(out, "\n%*s", column, "");
            at = column;
        }
        bool breaks =
            after && at + length + 2 + (int)strcspn(arguments + length + 2, ",") + 2 > MARGIN;
        text_add(out, "%.*s%s", length, arguments, !after ? "" : breaks ? "," : ", ");
        at += length + after;
        arguments += length + after;
    }
    text_add(out, ");\n");
}

void emit_c_codelets(const Codelets *codelets, const Model *model, Text *out)
{
    text_add(out,
             "/* codelets.c: the straight-line functions that this job's programs call. Emitted: "
             "read, do not\n * edit. Operands come in the order of the codelet table; those in "
             "the buffers of chains are found\n * through the call's segments. */\n"
             "#include \"codelets.h\"\n\n#include \"templates/cpu/kernels.h\"\n");
    for (const Codelet *c = codelets->items; c < codelets->items + codelets->count; c++) {
        add_head(codelets, c, model, out);
        text_add(out, "void %s(const PwCall *call)\n{\n", codelet_function(out->region, c));
        add_variables(c, out);
        text_add(out, "\n");
        for (int i = 0; i < c->nlines; i++)
            add_line(c, &c->lines[i], out);
        text_add(out, "}\n");
    }
}
