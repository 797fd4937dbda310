/* stored_program: is what lies there well made? A hash protects it on the way; this finds arrays,
 * indices, addresses and messages that lead out of the program, the job or the arena. Costs a walk
 * over the arrays. What a codelet does with its operands is not known here: that they are as many
 * and as long as its tokens and count need, prove has shown before the hash was made. */
#include "runtime/stored_program.h"

#include <stdio.h>
#include <string.h>

static const char *const names[PW_NINSTRUCTIONS] = {
#define PW_INSTRUCTION(kind, name, meaning) [kind] = name,
#include "runtime/instructions.def"
#undef PW_INSTRUCTION
};

const char *pw_instruction_name(int kind)
{
    return names[kind];
}

typedef struct Check {
    const PwProgram *program;
    const PwJob     *job;
    const PwRank    *rank;
    int              number; /* of the rank                                                    */
    const char      *name;
    PwError         *error;
} Check;

static bool array_fits(const PwProgram *program, uint64_t offset, uint64_t count, uint64_t size,
                       uint64_t align)
{
    return offset % align == 0 && offset <= program->bytes &&
           count <= (program->bytes - offset) / size;
}

static bool check_arrays(const Check *check)
{
    const PwProgram *p = check->program;
    const PwRank    *r = check->rank;
    bool good = array_fits(p, r->instructions, r->ninstructions, sizeof(PwInstruction), 8) &&
                array_fits(p, r->operands, r->noperands, sizeof(PwOperand), 8) &&
                array_fits(p, r->buffers, r->nbuffers, sizeof(PwBuffer), 8) &&
                array_fits(p, r->segments, r->nsegments, sizeof(PwSegment), 8) &&
                array_fits(p, r->sources, r->nsources, sizeof(PwSource), 8) &&
                array_fits(p, r->text, r->text_bytes, 1, 1) && r->ninstructions <= INT32_MAX;
    if (!good)
        return pw_input(check->error, "%s: rank %d: an array lies outside the program", check->name,
                        check->number);
    if (r->arena_bytes < r->static_bytes || r->arena_bytes > check->job->capacity[check->number] ||
        r->static_bytes != check->job->static_bytes[check->number])
        return pw_input(check->error,
                        "%s: rank %d: arena %lld, static part %lld; the job has "
                        "capacity %lld, static part %lld",
                        check->name, check->number, (long long)r->arena_bytes,
                        (long long)r->static_bytes, (long long)check->job->capacity[check->number],
                        (long long)check->job->static_bytes[check->number]);
    return true;
}

static bool span_fits(const Check *check, int64_t address, int64_t bytes)
{
    return address >= 0 && bytes >= 0 && address <= check->rank->arena_bytes &&
           bytes <= check->rank->arena_bytes - address;
}

static bool check_segments(const Check *check, const PwInstruction *instruction)
{
    const PwSegment *segments = pw_rank_segments(check->program, check->rank);
    int64_t row_bytes = 2 * check->job->kv_heads * check->job->head_dim * (int64_t)sizeof(real);
    for (uint32_t i = 0; i < instruction->nsegments; i++) {
        const PwSegment *segment = &segments[instruction->segment + i];
        int64_t          bytes   = ((int64_t)segment->context + segment->tokens) * row_bytes;
        if (segment->tokens <= 0 || segment->context < 0 || segment->row < 0 ||
            (int64_t)segment->row + segment->tokens > instruction->tokens ||
            (segment->kv >= 0 && !span_fits(check, segment->kv, bytes)) ||
            (segment->dkv >= 0 && !span_fits(check, segment->dkv, bytes)))
            return false;
    }
    return true;
}

static bool check_load(const Check *check, const PwInstruction *instruction)
{
    const PwOperand *operand = pw_rank_operands(check->program, check->rank) + instruction->operand;
    const PwSource  *sources = pw_rank_sources(check->program, check->rank);
    if (instruction->noperands != 3)
        return false;
    for (int i = 0; i < 3; i++)
        if (operand[i].address >= 0 && operand[i].bytes < 4 * (int64_t)instruction->tokens)
            return false;
    for (uint32_t i = 0; i < instruction->nsources; i++) {
        const PwSource *source = &sources[instruction->source + i];
        if (source->row < 0 || source->tokens < 0 || source->start < 0 || source->document < -1 ||
            (int64_t)source->row + source->tokens > instruction->tokens)
            return false;
    }
    return true;
}

/* `add` tells its element by its size: real, or double where the operands are losses or norms. */
static bool check_add(const Check *check, const PwInstruction *instruction)
{
    const PwOperand *operand = pw_rank_operands(check->program, check->rank) + instruction->operand;
    int64_t          count   = instruction->count;
    return instruction->noperands == 2 && count > 0 && count < INT64_MAX / 8 &&
           operand[0].address >= 0 && operand[1].address >= 0 &&
           operand[0].bytes == operand[1].bytes &&
           (operand[0].bytes == count * (int64_t)sizeof(real) || operand[0].bytes == count * 8);
}

static bool check_kind(const Check *check, const PwInstruction *instruction)
{
    switch ((PwInstructionKind)instruction->kind) {
    case PW_LOAD:
        return check_load(check, instruction);
    case PW_CALL:
        return instruction->codelet < check->job->ncodelets &&
               instruction->noperands <= PW_MAX_OPERANDS && check_segments(check, instruction);
    case PW_SEND:
    case PW_RECEIVE:
        return instruction->noperands == 1 && instruction->message >= 0 && instruction->peer >= 0 &&
               instruction->peer < check->job->nranks && instruction->peer != check->number &&
               pw_rank_operands(check->program, check->rank)[instruction->operand].address >= 0;
    case PW_SENT:
    case PW_WAIT:
        return instruction->message >= 0;
    case PW_ADD_TO:
        return check_add(check, instruction);
    case PW_CLEAR:
        return instruction->noperands == 1 &&
               pw_rank_operands(check->program, check->rank)[instruction->operand].address >= 0;
    case PW_MARK:
        return true;
    case PW_NINSTRUCTIONS:
        break;
    }
    return false;
}

static bool check_instruction(const Check *check, const PwInstruction *instruction)
{
    const PwRank *rank = check->rank;
    if (instruction->kind >= PW_NINSTRUCTIONS || instruction->operand > rank->noperands ||
        instruction->noperands > rank->noperands - instruction->operand ||
        instruction->segment > rank->nsegments ||
        instruction->nsegments > rank->nsegments - instruction->segment ||
        instruction->source > rank->nsources ||
        instruction->nsources > rank->nsources - instruction->source || instruction->tokens < 0)
        return false;
    const PwOperand *operands = pw_rank_operands(check->program, rank) + instruction->operand;
    for (uint32_t i = 0; i < instruction->noperands; i++)
        if (operands[i].address != -1 && !span_fits(check, operands[i].address, operands[i].bytes))
            return false;
    return check_kind(check, instruction);
}

/* A `sent` without its send would look for a message that nobody began. */
static bool check_messages(const Check *check)
{
    const PwInstruction *list     = pw_rank_instructions(check->program, check->rank);
    int64_t              messages = pw_rank_messages(check->program, check->rank);
    int64_t              begun = 0, ended = 0;
    for (uint64_t i = 0; i < check->rank->ninstructions; i++) {
        begun += list[i].kind == PW_SEND || list[i].kind == PW_RECEIVE;
        ended += list[i].kind == PW_SENT || list[i].kind == PW_WAIT;
    }
    return begun == ended && messages <= begun;
}

static bool check_rank(const Check *check)
{
    if (!check_arrays(check))
        return false;
    const PwInstruction *list = pw_rank_instructions(check->program, check->rank);
    for (uint64_t i = 0; i < check->rank->ninstructions; i++)
        if (!check_instruction(check, &list[i]))
            return pw_input(check->error, "%s: rank %d: instruction %llu (%s) is not well made",
                            check->name, check->number, (unsigned long long)i,
                            list[i].kind < PW_NINSTRUCTIONS ? names[list[i].kind] : "unknown");
    if (!check_messages(check))
        return pw_input(check->error,
                        "%s: rank %d: sends and receives do not pair up with sent "
                        "and wait",
                        check->name, check->number);
    const PwRank *rank = check->rank;
    if (!((rank->losses == -1 || span_fits(check, rank->losses, 8 * check->program->nlosses)) &&
          (rank->next == -1 || span_fits(check, rank->next, 4 * rank->nnext))))
        return pw_input(check->error, "%s: rank %d: losses or sampled tokens outside the arena",
                        check->name, check->number);
    return true;
}

static bool check_loss_sequences(const PwProgram *program)
{
    const int32_t *sequence =
        (const int32_t *)(const void *)((const char *)program + program->loss_sequence);
    for (int64_t i = 0; i < program->nlosses; i++)
        if (sequence[i] < 0 || sequence[i] >= program->nsequences)
            return false;
    return true;
}

bool pw_program_check(const void *bytes, uint64_t count, const PwJob *job, const char *name,
                      PwError *error)
{
    const PwProgram *program = bytes;
    if (count < sizeof *program || memcmp(program->magic, PW_PROGRAM_MAGIC, 8) != 0 ||
        program->bytes != count)
        return pw_input(error, "%s: not a stored program", name);
    if (program->nranks != job->nranks)
        return pw_input(error, "%s: a program for %d ranks, the trainer was built for %d", name,
                        program->nranks, job->nranks);
    if (program->nsequences < 0 || program->nlosses < 0 || program->nlosses > INT32_MAX ||
        !array_fits(program, program->ranks, (uint64_t)job->nranks, sizeof(PwRank), 8) ||
        !array_fits(program, program->loss_sequence, (uint64_t)program->nlosses, 4, 4) ||
        !check_loss_sequences(program))
        return pw_input(error, "%s: an array lies outside the program", name);
    for (int rank = 0; rank < job->nranks; rank++) {
        Check check = {program, job, pw_program_rank(program, rank), rank, name, error};
        if (!check_rank(&check))
            return false;
    }
    return true;
}

int64_t pw_rank_messages(const PwProgram *program, const PwRank *rank)
{
    const PwInstruction *list     = pw_rank_instructions(program, rank);
    int64_t              messages = 0;
    for (uint64_t i = 0; i < rank->ninstructions; i++)
        if (list[i].kind >= PW_SEND && list[i].kind <= PW_WAIT && list[i].message >= messages)
            messages = (int64_t)list[i].message + 1;
    return messages;
}

void pw_describe(const PwInstruction *instruction, const PwJob *job, char *text, int room)
{
    const char *name = names[instruction->kind];
    switch (instruction->kind) {
    case PW_CALL:
        snprintf(text, (size_t)room, "%s, layer %d, chunk %d, %d tokens",
                 job->codelets[instruction->codelet].name, instruction->layer, instruction->chunk,
                 instruction->tokens);
        return;
    case PW_SEND:
    case PW_SENT:
        snprintf(text, (size_t)room, "%s to rank %d (message %d)", name, instruction->peer,
                 instruction->message);
        return;
    case PW_RECEIVE:
    case PW_WAIT:
        snprintf(text, (size_t)room, "%s from rank %d (message %d)", name, instruction->peer,
                 instruction->message);
        return;
    default:
        snprintf(text, (size_t)room, "%s, chunk %d", name, instruction->chunk);
    }
}
