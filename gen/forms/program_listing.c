/* program_listing: a program as text, like a disassembler's, one instruction a line.
 *   program: train, step 12, ranks 2, sequences 3, tokens 6022, weight 6019, position 36
 *   losses 2 2 1 0
 *   rank 0: static 4096, capacity 1073741824, arena 69206016, full at 187
 *     buffer C0.L3.input [1400][1024] at 0x2600000
 *      0  receive  #0 from 1  C0.L3.input@0x2600000                    ; early: needed at 31
 *      1  mark     F0.1 operation 0   (chunk 0 = sequence 2 [0, 1400))
 *      2  wait     #0 from 1   (C0.L3.input)
 *      3  call     pre_forward_all  chunk 0 layer 3 tokens 1400
 *                    reads   input=C0.L3.input@0x2600000, qkv=L3.qkv.master@0x40
 *                    writes  q=C0.L3.q@0x30a3000, scratch=scratch3@0x3360600
 *                    segment S2 row 0 [0,1400) kv=S2.L3.kv+0
 *   order 0:0-3 1:0-2
 * Rows follow an operand's name where they are not all: S2.L4.kv[0,1400). What stands in round
 * brackets, and addresses behind @, are for people; the reader takes places from the buffers' lines
 * and refuses an address that says otherwise. program_listing_read.c reads it back. */
#include <inttypes.h>

#include "gen/forms/program.h"

static void print_operand(const RankProgram *rank, const Operand *operand, Text *out)
{
    const Buffer *buffer = &rank->buffers[operand->buffer];
    text_add(out, "%s", buffer->name);
    if (operand->row || operand->rows != buffer->rows)
        text_add(out, "[%" PRId64 ",%" PRId64 ")", operand->row, operand->row + operand->rows);
    if (buffer->offset >= 0)
        text_add(out, "@0x%" PRIx64, buffer->offset + operand->row * buffer->row_bytes);
}

static void print_attributes(const Instruction *instruction, Text *out)
{
    if (instruction->chunk >= 0)
        text_add(out, " chunk %d", instruction->chunk);
    if (instruction->layer >= -1)
        text_add(out, " layer %d", instruction->layer);
    if (instruction->tokens)
        text_add(out, " tokens %d", instruction->tokens);
    if (instruction->count)
        text_add(out, " count %" PRId64, instruction->count);
    if (instruction->flags & PW_CALL_FIRST)
        text_add(out, " first");
    if (instruction->predicted != 0)
        text_add(out, " predicted %s", text_double(out->region, instruction->predicted));
    if (instruction->live)
        text_add(out, " live %" PRId64, instruction->live);
}

/* Operands of one access on one line, each as formal=buffer; `shift` tells an output from the input
 * of the same name. */
static void print_named_operands(const Instruction *instruction, const RankProgram *rank,
                                 const Codelet *codelet, Access access, Text *out)
{
    static const char *const words[] = {"reads  ", "writes ", "adds   "};
    static const char *const load[]  = {"tokens", "targets", "weights"};
    int                      printed = 0;
    for (int i = 0; i < instruction->noperands && (codelet || i < COUNT(load)); i++) {
        const Operand *operand = &instruction->operands[i];
        if (operand->access != access || operand->buffer < 0)
            continue;
        if (printed++)
            text_add(out, ", ");
        else
            text_add(out, "\n                  %s ", words[access]);
        text_add(out, "%s", codelet ? codelet->operands[i].name : load[i]);
        if (codelet && codelet->operands[i].shift)
            text_add(out, "%+d", codelet->operands[i].shift);
        text_add(out, "=");
        print_operand(rank, operand, out);
    }
}

static void print_segment(const CallSegment *segment, const RankProgram *rank, Text *out)
{
    text_add(out, "\n                  segment S%d row %d [%d,%d)", segment->sequence, segment->row,
             segment->context, segment->context + segment->tokens);
    if (segment->kv >= 0)
        text_add(out, " kv=%s+%" PRId64, rank->buffers[segment->kv].name, segment->kv_row);
    if (segment->dkv >= 0)
        text_add(out, " dkv=%s+%" PRId64, rank->buffers[segment->dkv].name, segment->dkv_row);
    if (segment->flags & PW_SEGMENT_KV_KEPT)
        text_add(out, " kept");
    if (segment->flags & PW_SEGMENT_DKV_FIRST)
        text_add(out, " first");
}

static void print_load(const Instruction *load, const RankProgram *rank, Text *out)
{
    print_attributes(load, out);
    print_named_operands(load, rank, NULL, ACCESS_WRITE, out);
    for (int i = 0; i < load->nsources; i++) {
        const PwSource *source = &load->sources[i];
        text_add(out,
                 "\n                  source document %" PRId64 " [%" PRId64 ",%" PRId64
                 ") row %d sequence %d context %d",
                 source->document, source->start, source->start + source->tokens, source->row,
                 source->sequence, source->context);
    }
}

static void print_call(const Instruction *call, const RankProgram *rank, const Codelets *codelets,
                       Text *out)
{
    const Codelet *codelet = &codelets->items[call->codelet];
    text_add(out, "%s ", codelet->name);
    print_attributes(call, out);
    for (Access access = ACCESS_READ; access <= ACCESS_ADD; access++)
        print_named_operands(call, rank, codelet, access, out);
    for (int i = 0; i < call->nsegments; i++)
        print_segment(&call->segments[i], rank, out);
}

/* "(chunk 3 = sequence 2 [0, 1400))", from the first call of that chunk that lists its segments. */
static void print_chunk(const RankProgram *rank, int chunk, Text *out)
{
    const Instruction *call = NULL;
    for (int i = 0; i < rank->ninstructions && !call; i++)
        if (rank->instructions[i].chunk == chunk && rank->instructions[i].nsegments)
            call = &rank->instructions[i];
    if (!call)
        return;
    text_add(out, "   (chunk %d =", chunk);
    for (int i = 0; i < call->nsegments; i++)
        text_add(out, "%s sequence %d [%d, %d)", i ? "," : "", call->segments[i].sequence,
                 call->segments[i].context, call->segments[i].context + call->segments[i].tokens);
    text_add(out, ")");
}

static void print_mark(const Instruction *mark, const RankProgram *rank, Text *out)
{
    text_add(out, "%c", mark->letter);
    if (mark->chunk >= 0)
        text_add(out, "%d.%d", mark->chunk, mark->stage);
    text_add(out, " operation %d", mark->operation);
    if (mark->predicted != 0)
        text_add(out, " predicted %s", text_double(out->region, mark->predicted));
    if (mark->live)
        text_add(out, " live %" PRId64, mark->live);
    if (mark->chunk >= 0)
        print_chunk(rank, mark->chunk, out);
}

/* What a wait or a sent is for: the buffer of the instruction that opened the message. */
static const Operand *message_operand(const RankProgram *rank, const Instruction *instruction)
{
    PwInstructionKind kind = instruction->kind == PW_SENT ? PW_SEND : PW_RECEIVE;
    for (const Instruction *at = instruction; at-- > rank->instructions;)
        if (at->kind == kind && at->message == instruction->message)
            return at->operands;
    return NULL;
}

static void print_message(const Instruction *instruction, const RankProgram *rank, Text *out)
{
    bool out_going = instruction->kind == PW_SEND || instruction->kind == PW_SENT;
    text_add(out, "#%d %s %d", instruction->message, out_going ? "to" : "from", instruction->peer);
    if (instruction->noperands) {
        text_add(out, "  ");
        print_operand(rank, instruction->operands, out);
    }
    print_attributes(instruction, out);
    const Operand *operand = instruction->noperands ? NULL : message_operand(rank, instruction);
    if (operand)
        text_add(out, "   (%s)", rank->buffers[operand->buffer].name);
}

static void print_instruction(const RankProgram *rank, int index, const Codelets *codelets,
                              Text *out)
{
    const Instruction *instruction = &rank->instructions[index];
    text_add(out, "%6d  %-8s ", index, instruction_names[instruction->kind]);
    switch (instruction->kind) {
    case PW_LOAD:
        print_load(instruction, rank, out);
        break;
    case PW_CALL:
        print_call(instruction, rank, codelets, out);
        break;
    case PW_MARK:
        print_mark(instruction, rank, out);
        break;
    case PW_ADD_TO:
    case PW_CLEAR:
        for (int i = 0; i < instruction->noperands; i++) {
            text_add(out, "%s", i ? " " : "");
            print_operand(rank, &instruction->operands[i], out);
        }
        print_attributes(instruction, out);
        break;
    default:
        print_message(instruction, rank, out);
    }
    if (instruction->note)
        text_add(out, "   ; %s", instruction->note);
    text_add(out, "\n");
}

void program_print_rank(const Program *program, const Codelets *codelets, int index, Text *out)
{
    const RankProgram *rank = &program->ranks[index];
    text_add(out, "rank %d: static %" PRId64 ", capacity %" PRId64, index, rank->static_bytes,
             rank->capacity);
    if (rank->peak >= 0)
        text_add(out, ", arena %" PRId64 ", full at %d", rank->peak, rank->peak_instruction);
    text_add(out, "   (of %d, %d instructions)\n", program->nranks, rank->ninstructions);
    for (int i = 0; i < rank->nbuffers; i++) {
        const Buffer *buffer = &rank->buffers[i];
        text_add(out, "  buffer %s [%" PRId64 "][%" PRId64 "]%s", buffer->name, buffer->rows,
                 buffer->row_bytes, buffer->is_static ? " static" : "");
        if (buffer->offset >= 0)
            text_add(out, " at 0x%" PRIx64, buffer->offset);
        text_add(out, "\n");
    }
    for (int i = 0; i < rank->ninstructions; i++)
        print_instruction(rank, i, codelets, out);
}

/* Runs of one rank's instructions: "0:0-5 1:0-2 0:6". */
static void print_order(const Program *program, Text *out)
{
    int printed = 0;
    for (int64_t i = 0; i < program->norder; printed++) {
        PwOrder first = program->order[i];
        int32_t last  = first.instruction;
        for (i++; i < program->norder && program->order[i].rank == first.rank; i++)
            last = program->order[i].instruction;
        text_add(out, "%s %d:%d",
                 printed % 12 ? ""
                 : printed    ? "\norder"
                              : "order",
                 first.rank, first.instruction);
        if (last != first.instruction)
            text_add(out, "-%d", last);
    }
    text_add(out, "%s", printed ? "\n" : "");
}

void program_print(const Program *program, const Codelets *codelets, Text *out)
{
    text_add(out, "program: %s, step %" PRId64 ", ranks %d, sequences %d, tokens %" PRId64,
             program_kind_names[program->kind], program->step, program->nranks, program->nsequences,
             program->tokens);
    text_add(out, ", weight %s", text_double(out->region, program->weight));
    text_add(out, ", position %" PRId64, program->position);
    if (program->predicted_seconds != 0)
        text_add(out, ", predicted %s", text_double(out->region, program->predicted_seconds));
    text_add(out, "\n");
    if (*program->plan_hash)
        text_add(out, "plan %s\n", program->plan_hash);
    for (int64_t i = 0; i < program->nlosses; i++)
        text_add(out, "%s %d", i % 24 ? "" : i ? "\nlosses" : "losses", program->loss_sequence[i]);
    text_add(out, "%s", program->nlosses ? "\n" : "");
    for (int rank = 0; rank < program->nranks; rank++)
        program_print_rank(program, codelets, rank, out);
    print_order(program, out);
}
