/* executor: one function an instruction. The clock is read once between two instructions, and only
 * where the step is recorded. */
#include "runtime/executor.h"

#include <string.h>

enum {
    BYTES = 256
}; /* ids below are bytes of text, where a vocabulary is bytes and one end mark */

static void *operand_at(const PwStep *step, const PwOperand *operand)
{
    return operand->address < 0 ? NULL : step->worker->arena.at + operand->address;
}

void pw_do_load(const PwStep *step, const PwSource *sources, uint32_t nsources, int32_t tokens,
                int32_t *inputs, int32_t *targets, float *weights)
{
    PwWorker *worker = step->worker;
    for (const PwSource *source = sources; source < sources + nsources; source++)
        pw_tokens_read(worker->tokens, source->document, source->start, source->tokens,
                       inputs ? inputs + source->row : NULL, targets ? targets + source->row : NULL,
                       weights ? weights + source->row : NULL);
    if (!targets || !weights)
        return;
    for (int32_t i = 0; i < tokens; i++)
        worker->text_bytes += weights[i] > 0 && targets[i] < BYTES;
}

static void load(const PwStep *step, const PwInstruction *instruction, const PwOperand *operands)
{
    pw_do_load(step, pw_rank_sources(step->program, step->rank) + instruction->source,
               instruction->nsources, instruction->tokens, operand_at(step, &operands[0]),
               operand_at(step, &operands[1]), operand_at(step, &operands[2]));
}

static void call(const PwStep *step, const PwInstruction *instruction, const PwOperand *operands)
{
    const PwJob     *job      = step->worker->job;
    const PwSegment *segments = pw_rank_segments(step->program, step->rank);
    PwCall           what     = {.arena      = step->worker->arena.at,
                                 .tokens     = instruction->tokens,
                                 .segments   = segments + instruction->segment,
                                 .nsegments  = instruction->nsegments,
                                 .flags      = instruction->flags,
                                 .heads      = (int32_t)job->heads,
                                 .kv_heads   = (int32_t)job->kv_heads,
                                 .vocabulary = job->vocabulary,
                                 .count      = instruction->count,
                                 .step       = step->numbers};
    for (uint32_t i = 0; i < instruction->noperands; i++)
        what.at[i] = operand_at(step, &operands[i]);
    job->codelets[instruction->codelet].run(&what);
}

void pw_add_real(real *to, const real *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

void pw_add_double(double *to, const double *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

static void add(const PwStep *step, const PwInstruction *instruction, const PwOperand *operands)
{
    void *to = operand_at(step, &operands[0]), *from = operand_at(step, &operands[1]);
    if (operands[0].bytes == instruction->count * (int64_t)sizeof(real))
        pw_add_real(to, from, instruction->count);
    else
        pw_add_double(to, from, instruction->count);
}

static void execute(const PwStep *step, const PwInstruction *instruction)
{
    PwWorker        *worker    = step->worker;
    PwTransport     *transport = worker->transport;
    const PwOperand *operands  = pw_rank_operands(step->program, step->rank) + instruction->operand;
    switch ((PwInstructionKind)instruction->kind) {
    case PW_LOAD:
        load(step, instruction, operands);
        break;
    case PW_CALL:
        call(step, instruction, operands);
        transport->poll(transport);
        break;
    case PW_SEND:
        transport->send(transport, worker->rank, instruction->peer, instruction->message,
                        operand_at(step, operands), operands->bytes);
        break;
    case PW_SENT:
        transport->sent(transport, worker->rank, instruction->message);
        break;
    case PW_RECEIVE:
        transport->receive(transport, worker->rank, instruction->peer, instruction->message,
                           operand_at(step, operands), operands->bytes);
        break;
    case PW_WAIT:
        transport->wait(transport, worker->rank, instruction->message);
        break;
    case PW_ADD_TO:
        add(step, instruction, operands);
        break;
    case PW_CLEAR:
        memset(operand_at(step, operands), 0, (size_t)operands->bytes);
        break;
    case PW_MARK:
    case PW_NINSTRUCTIONS:
        break;
    }
}

/* Seen in the paint, by whole lines. Only a receive counts by what it declares: it is posted before
 * its bytes come. */
static void look_at_watermark(const PwStep *step, const PwInstruction *instruction, int64_t number)
{
    PwWatermark     *mark    = step->worker->watermark;
    const PwOperand *operand = pw_rank_operands(step->program, step->rank) + instruction->operand;
    int64_t          highest =
        pw_arena_highest(&step->worker->arena, mark->highest, step->rank->arena_bytes);
    highest = pw_align(highest);
    if (instruction->kind == PW_RECEIVE && operand->address + operand->bytes > highest)
        highest = operand->address + operand->bytes;
    if (highest > mark->highest)
        *mark = (PwWatermark){highest, number};
}

static void record(PwRecord *where, const PwStep *step, const PwInstruction *instruction,
                   int64_t begin, int64_t end)
{
    bool             is_message = instruction->kind == PW_SEND || instruction->kind == PW_RECEIVE;
    const PwOperand *operand = pw_rank_operands(step->program, step->rank) + instruction->operand;
    where->events[where->nevents++] =
        (PwEvent){begin, end, *instruction, is_message ? operand->bytes : 0};
}

void pw_note(PwStep *step, int32_t number)
{
    const PwInstruction *instruction = pw_rank_instructions(step->program, step->rank) + number;
    if (step->worker->record) {
        int64_t end = pw_now();
        record(step->worker->record, step, instruction, step->begin, end);
        step->begin = end;
    }
    if (step->worker->watermark)
        look_at_watermark(step, instruction, number);
}

static void walk(PwStep *step)
{
    const PwInstruction *list = pw_rank_instructions(step->program, step->rank);
    for (int32_t i = 0; i < (int32_t)step->rank->ninstructions; i++) {
        pw_begin(step, i);
        execute(step, &list[i]);
        pw_end(step, i);
    }
}

void pw_execute(PwWorker *worker, const PwProgram *program, const PwStepNumbers *numbers)
{
    const PwRank *rank = pw_program_rank(program, worker->rank);
    PwStep        step = {worker, program, rank, numbers, worker->record ? pw_now() : 0};
    if (worker->watermark) {
        *worker->watermark = (PwWatermark){rank->static_bytes, 0};
        pw_arena_paint(&worker->arena, rank->static_bytes, rank->arena_bytes);
    }
    atomic_store_explicit(&worker->instruction, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->program, program, memory_order_release);
    if (worker->job->nstep_code > 0 && program->kind == PW_TRAIN)
        worker->job->step_code[program->step].ranks[worker->rank](&step);
    else
        walk(&step);
    atomic_store_explicit(&worker->program, NULL, memory_order_release);
}
