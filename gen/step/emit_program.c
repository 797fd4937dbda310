/* emit_program: see the header.
 *   reads    a stored program, as the executor does: the same arrays, by the same numbers
 *   writes   a C file: a function a rank; segments and sources as tables beside it
 *   stands   after prove, in pack: what is printed was proven */
#include "gen/step/emit_program.h"

#include <stdarg.h>

enum { MARGIN = 100, INDENT = 9 };

typedef struct Printer {
    const PwProgram     *program;
    const PwRank        *rank;
    int                  number; /* of the rank */
    const PwInstruction *instruction;
    const Codelets      *codelets;
    Text                *out;
    int                  column;
} Printer;

static const void *array(const Printer *printer, uint64_t offset)
{
    return (const char *)printer->program + offset;
}

static const PwOperand *operands(const Printer *printer)
{
    return (const PwOperand *)array(printer, printer->rank->operands) +
           printer->instruction->operand;
}

/* An argument, on the next line where this one is full. */
static void add(Printer *printer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(Printer *printer, const char *format, ...)
{
    char    text[200];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (printer->column + length > MARGIN - 4) {
        bool blank = printer->out->at[printer->out->length - 1] == ' ';
        printer->out->length -= blank;
        text_add(printer->out, "\n%*s", INDENT, "");
        printer->column = INDENT;
    }
    text_add(printer->out, "%s", text);
    printer->column += length;
}

/* "a + 4096", or NULL, with what stands around it. */
static void add_address(Printer *printer, const char *before, const PwOperand *operand,
                        const char *after)
{
    if (operand->address < 0)
        add(printer, "%sNULL%s", before, after);
    else
        add(printer, "%sa + %lld%s", before, (long long)operand->address, after);
}

static void add_load(Printer *printer)
{
    const PwInstruction *instruction = printer->instruction;
    add(printer, "sources_%d + %u, ", printer->number, instruction->source);
    add(printer, "%u, %d, ", instruction->nsources, instruction->tokens);
    for (int i = 0; i < 3; i++)
        add_address(printer, "", &operands(printer)[i], i < 2 ? ", " : "");
}

static void add_call(Printer *printer)
{
    const PwInstruction *instruction = printer->instruction;
    const Codelet       *codelet     = &printer->codelets->items[instruction->codelet];
    add(printer, "%s", codelet_function(printer->out->region, codelet));
    if (instruction->layer >= -1)
        add(printer, " /* layer %d */", instruction->layer);
    add(printer, ", ");
    if (instruction->tokens)
        add(printer, ".tokens = %d, ", instruction->tokens);
    if (instruction->nsegments) {
        add(printer, ".segments = segments_%d + %u, ", printer->number, instruction->segment);
        add(printer, ".nsegments = %u, ", instruction->nsegments);
    }
    if (instruction->count)
        add(printer, ".count = %lld, ", (long long)instruction->count);
    if (instruction->flags)
        add(printer, ".flags = %u, ", instruction->flags);
    for (uint32_t i = 0; i < instruction->noperands; i++)
        add_address(printer, i == 0 ? ".at = {" : "", &operands(printer)[i],
                    i + 1 < instruction->noperands ? ", " : "}");
}

static void add_message(Printer *printer)
{
    const PwInstruction *instruction = printer->instruction;
    if (instruction->kind == PW_SEND || instruction->kind == PW_RECEIVE) {
        add(printer, "%d, %d, ", instruction->peer, instruction->message);
        add_address(printer, "", operands(printer), ", ");
        add(printer, "%lld", (long long)operands(printer)->bytes);
    } else {
        add(printer, "%d", instruction->message);
    }
}

/* The executor tells the element by the operand's bytes. */
static void add_addition(Printer *printer)
{
    const PwInstruction *instruction = printer->instruction;
    bool is_double = operands(printer)->bytes == instruction->count * (int64_t)sizeof(double);
    add(printer, is_double ? "double, " : "real, ");
    add_address(printer, "", &operands(printer)[0], ", ");
    add_address(printer, "", &operands(printer)[1], ", ");
    add(printer, "%lld", (long long)instruction->count);
}

static void add_arguments(Printer *printer)
{
    switch ((PwInstructionKind)printer->instruction->kind) {
    case PW_LOAD:
        add_load(printer);
        return;
    case PW_CALL:
        add_call(printer);
        return;
    case PW_SEND:
    case PW_SENT:
    case PW_RECEIVE:
    case PW_WAIT:
        add_message(printer);
        return;
    case PW_ADD_TO:
        add_addition(printer);
        return;
    case PW_CLEAR:
        add_address(printer, "", operands(printer), ", ");
        add(printer, "%lld", (long long)operands(printer)->bytes);
        return;
    case PW_MARK:
    case PW_NINSTRUCTIONS:
        return;
    }
}

static void add_mark(Printer *printer)
{
    const PwInstruction *mark = printer->instruction;
    if (mark->chunk >= 0)
        text_add(printer->out, " /* %.4s%d, stage %d */", mark->letter, mark->chunk, mark->peer);
    else
        text_add(printer->out, " /* the end of the step */");
}

static void add_instruction(Printer *printer, uint64_t number)
{
    static const char *const words[PW_NINSTRUCTIONS] = {
        [PW_LOAD] = "LOAD",  [PW_CALL] = "CALL",       [PW_SEND] = "SEND",
        [PW_SENT] = "SENT",  [PW_RECEIVE] = "RECEIVE", [PW_WAIT] = "WAIT",
        [PW_ADD_TO] = "ADD", [PW_CLEAR] = "CLEAR",     [PW_MARK] = "MARK"};
    bool mark       = printer->instruction->kind == PW_MARK;
    printer->column = 4;
    text_add(printer->out, "%s    ", mark ? "\n" : "");
    add(printer, "%s(%llu%s", words[printer->instruction->kind], (unsigned long long)number,
        mark ? "" : ", ");
    add_arguments(printer);
    text_add(printer->out, ");");
    if (mark)
        add_mark(printer);
    text_add(printer->out, "\n");
}

static void add_tables(Printer *printer)
{
    const PwRank    *rank     = printer->rank;
    const PwSegment *segments = array(printer, rank->segments);
    const PwSource  *sources  = array(printer, rank->sources);
    text_add(printer->out,
             "\n/* row, tokens, context, flags, kv, dkv */\n"
             "static const PwSegment segments_%d[] = {\n",
             printer->number);
    for (const PwSegment *s = segments; s < segments + rank->nsegments; s++)
        text_add(printer->out, "    {%d, %d, %d, %d, %lld, %lld},\n", s->row, s->tokens, s->context,
                 s->flags, (long long)s->kv, (long long)s->dkv);
    text_add(printer->out,
             "    {0},\n};\n"
             "static const PwSource sources_%d[] = {\n",
             printer->number);
    for (const PwSource *s = sources; s < sources + rank->nsources; s++)
        text_add(printer->out, "    {.document = %lld, .start = %lld, .row = %d, .tokens = %d},\n",
                 (long long)s->document, (long long)s->start, s->row, s->tokens);
    text_add(printer->out, "    {0},\n};\n");
}

static void add_rank(Printer *printer)
{
    const PwInstruction *list = array(printer, printer->rank->instructions);
    add_tables(printer);
    text_add(printer->out,
             "\nstatic void rank_%d(PwStep *step)\n{\n"
             "    unsigned char *const a = step->worker->arena.at;\n",
             printer->number);
    for (uint64_t i = 0; i < printer->rank->ninstructions; i++) {
        printer->instruction = &list[i];
        add_instruction(printer, i);
    }
    text_add(printer->out, "}\n");
}

static void add_functions(int nranks, long long step, Text *out)
{
    text_add(out, "void (*const step_%lld[])(PwStep *step) = {", step);
    for (int rank = 0; rank < nranks; rank++)
        text_add(out, "%srank_%d", rank ? ", " : "", rank);
    text_add(out, "};\n");
}

void emit_program(const PwProgram *stored, const Codelets *codelets, const Model *model, Text *out)
{
    const PwRank *ranks = (const PwRank *)(const void *)((const char *)stored + stored->ranks);
    text_add(out,
             "/* step_%lld.c: the program of step %lld as straight-line C. Emitted: read, do not "
             "edit. */\n#include \"codelets.h\"\n#include \"runtime/step_code.h\"\n\n"
             "enum { HEADS = %lld, KV_HEADS = %lld };\n",
             (long long)stored->step, (long long)stored->step, (long long)model->heads,
             (long long)model->kv_heads);
    for (int rank = 0; rank < stored->nranks; rank++) {
        Printer printer = {.program  = stored,
                           .rank     = &ranks[rank],
                           .number   = rank,
                           .codelets = codelets,
                           .out      = out};
        add_rank(&printer);
    }
    text_add(out, "\n");
    add_functions(stored->nranks, (long long)stored->step, out);
}

void emit_program_table(const char *const *hashes, int64_t nsteps, int nranks, Text *out)
{
    text_add(out, "/* steps.c: the steps that are C, each with the SHA-256 of the program that it "
                  "was printed from.\n * Emitted: read, do not edit. */\n"
                  "#include \"runtime/trainer.h\"\n\n");
    for (int64_t step = 0; step < nsteps; step++)
        text_add(out, "extern void (*const step_%lld[%d])(struct PwStep *step);\n", (long long)step,
                 nranks);
    text_add(out, "\nconst PwStepCode pw_step_code[] = {\n");
    for (int64_t step = 0; step < nsteps; step++)
        text_add(out, "    {\"%s\",\n     step_%lld},\n", hashes[step], (long long)step);
    text_add(out, "};\n");
}
