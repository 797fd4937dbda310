/* program: names, a look-up, and whether a program is well made.
 *   checks   indices in range, operands as the codelet table has them, sends paired with sents and
 *            receives with waits; the door of every pass that reads a program
 *   not      whether it trains the right thing: that is prove's
 * Listings are in program_listing.c and program_listing_read.c, the stored form in
 * program_store.c. */
#include <string.h>

#include "gen/forms/program.h"

const char *const instruction_names[PW_NINSTRUCTIONS] = {
#define PW_INSTRUCTION(kind, name, meaning) [kind] = name,
#include "runtime/instructions.def"
#undef PW_INSTRUCTION
};

const char *const program_kind_names[] = {"train", "evaluate", "generate", NULL};

int program_buffer(const RankProgram *rank, const char *name)
{
    for (int i = 0; i < rank->nbuffers; i++)
        if (!strcmp(rank->buffers[i].name, name))
            return i;
    return -1;
}

int64_t program_peak(const Program *program)
{
    int64_t most = -1;
    for (int rank = 0; rank < program->nranks; rank++)
        most = program->ranks[rank].peak > most ? program->ranks[rank].peak : most;
    return most;
}

/* Where the check stands; complaints begin with it. */
typedef struct Check {
    const Program  *program;
    const Codelets *codelets;
    const Model    *model; /* may be NULL: weights and layers are not looked at */
    int             rank, instruction;
    Error          *error;
} Check;

#define COMPLAIN(check, format, ...)                                                               \
    error_input((check)->error, "rank %d, instruction %d: " format, (check)->rank,                 \
                (check)->instruction, ##__VA_ARGS__)

static bool check_buffers(const Check *check, const RankProgram *rank)
{
    for (int i = 0; i < rank->nbuffers; i++) {
        const Buffer *buffer = &rank->buffers[i];
        if (buffer->row_bytes <= 0 || buffer->rows <= 0 ||
            buffer->rows > INT64_MAX / 2 / buffer->row_bytes)
            return error_input(check->error, "rank %d: buffer %s has %lld rows of %lld bytes",
                               check->rank, buffer->name, (long long)buffer->rows,
                               (long long)buffer->row_bytes);
        if (buffer->bytes < buffer->rows * buffer->row_bytes || buffer->bytes % PW_ALIGN)
            return error_input(check->error,
                               "rank %d: buffer %s of %lld bytes is not its rows, "
                               "rounded up to %d",
                               check->rank, buffer->name, (long long)buffer->bytes, PW_ALIGN);
        if (buffer->offset < -1 || buffer->offset > INT64_MAX / 2 ||
            (buffer->offset >= 0 && buffer->offset % PW_ALIGN))
            return error_input(check->error,
                               "rank %d: buffer %s lies at %lld, expected a multiple "
                               "of %d",
                               check->rank, buffer->name, (long long)buffer->offset, PW_ALIGN);
    }
    return true;
}

static bool rows_within(const RankProgram *rank, int buffer, int64_t row, int64_t rows)
{
    return row >= 0 && rows > 0 && rows <= rank->buffers[buffer].rows &&
           row <= rank->buffers[buffer].rows - rows;
}

static bool check_operands(const Check *check, const RankProgram *rank,
                           const Instruction *instruction, bool may_lack)
{
    for (int i = 0; i < instruction->noperands; i++) {
        const Operand *operand = &instruction->operands[i];
        if (operand->buffer < -1 || operand->buffer >= rank->nbuffers)
            return COMPLAIN(check, "operand %d names buffer %d of %d", i, operand->buffer,
                            rank->nbuffers);
        if (operand->buffer < 0 && !may_lack)
            return COMPLAIN(check, "operand %d is missing", i);
        if (operand->buffer >= 0 &&
            !rows_within(rank, operand->buffer, operand->row, operand->rows))
            return COMPLAIN(check, "operand %d is rows [%lld, %lld) of %s, which has %lld", i,
                            (long long)operand->row, (long long)(operand->row + operand->rows),
                            rank->buffers[operand->buffer].name,
                            (long long)rank->buffers[operand->buffer].rows);
    }
    return true;
}

static bool check_segment(const Check *check, const RankProgram *rank,
                          const Instruction *instruction, const CallSegment *segment)
{
    int64_t past = (int64_t)segment->context + segment->tokens;
    if (segment->tokens <= 0 || segment->context < 0 || segment->row < 0 ||
        segment->row > instruction->tokens - segment->tokens)
        return COMPLAIN(check, "segment of sequence %d: rows [%d, %lld) of a chunk of %d tokens",
                        segment->sequence, segment->row, (long long)segment->row + segment->tokens,
                        instruction->tokens);
    if (segment->sequence < 0 || segment->sequence >= check->program->nsequences)
        return COMPLAIN(check, "segment of sequence %d; there are %d", segment->sequence,
                        check->program->nsequences);
    const int     buffers[] = {segment->kv, segment->dkv};
    const int64_t rows[]    = {segment->kv_row, segment->dkv_row};
    for (int i = 0; i < 2; i++) {
        if (buffers[i] < -1 || buffers[i] >= rank->nbuffers)
            return COMPLAIN(check, "segment of sequence %d names buffer %d of %d",
                            segment->sequence, buffers[i], rank->nbuffers);
        if (buffers[i] >= 0 && !rows_within(rank, buffers[i], rows[i], past))
            return COMPLAIN(check, "segment of sequence %d reaches rows [%lld, %lld) of %s",
                            segment->sequence, (long long)rows[i], (long long)(rows[i] + past),
                            rank->buffers[buffers[i]].name);
    }
    return true;
}

/* A call's operands as the table has them: their number, and the bytes of a row. */
static bool check_call(const Check *check, const RankProgram *rank, const Instruction *call)
{
    if (call->codelet < 0 || call->codelet >= check->codelets->count)
        return COMPLAIN(check, "codelet %d; the table has %d", call->codelet,
                        check->codelets->count);
    const Codelet *codelet = &check->codelets->items[call->codelet];
    if (call->noperands != codelet->noperands)
        return COMPLAIN(check, "%s has %d operands, expected %d", codelet->name, call->noperands,
                        codelet->noperands);
    for (int i = 0; i < call->noperands; i++) {
        const CodeletOperand *formal = &codelet->operands[i];
        const Operand        *actual = &call->operands[i];
        if (formal->rows == ROWS_CONTEXT) {
            if (actual->buffer >= 0)
                return COMPLAIN(check, "%s: %s goes by segments", codelet->name, formal->name);
            continue;
        }
        if (actual->buffer < 0)
            return COMPLAIN(check, "%s: no buffer for %s", codelet->name, formal->name);
        if (formal->rows == ROWS_TOKEN && actual->rows != call->tokens)
            return COMPLAIN(check, "%s: %s has %lld rows, the chunk %d tokens", codelet->name,
                            formal->name, (long long)actual->rows, call->tokens);
    }
    for (int i = 0; i < call->nsegments; i++)
        if (!check_segment(check, rank, call, &call->segments[i]))
            return false;
    return true;
}

static bool check_sources(const Check *check, const Instruction *load)
{
    for (int i = 0; i < load->nsources; i++) {
        const PwSource *source = &load->sources[i];
        if (source->tokens <= 0 || source->row < 0 || source->row > load->tokens - source->tokens ||
            source->start < 0 || source->context < 0 || source->document < -1)
            return COMPLAIN(check, "source %d: rows [%d, %lld) of a chunk of %d tokens", i,
                            source->row, (long long)source->row + source->tokens, load->tokens);
        if (source->sequence < 0 || source->sequence >= check->program->nsequences)
            return COMPLAIN(check, "source %d is of sequence %d; there are %d", i, source->sequence,
                            check->program->nsequences);
    }
    return true;
}

/* Messages of one rank: `peer` of each number while it is open, -1 otherwise. */
typedef struct Open {
    int *peer;
    int  count;
} Open;

static bool check_message(const Check *check, const Instruction *instruction, Open *open)
{
    bool opens = instruction->kind == PW_SEND || instruction->kind == PW_RECEIVE;
    if (instruction->peer < 0 || instruction->peer >= check->program->nranks ||
        instruction->peer == check->rank)
        return COMPLAIN(check, "%s: peer %d", instruction_names[instruction->kind],
                        instruction->peer);
    if (instruction->message < 0 || instruction->message >= open->count)
        return COMPLAIN(check, "message %d; a rank of so many instructions has at most %d",
                        instruction->message, open->count);
    int *peer = &open->peer[instruction->message];
    if (opens && *peer >= 0)
        return COMPLAIN(check, "message %d stands twice", instruction->message);
    if (!opens && *peer != instruction->peer)
        return COMPLAIN(check, "%s of message %d, which no %s before it opened",
                        instruction_names[instruction->kind], instruction->message,
                        instruction->kind == PW_SENT ? "send" : "receive");
    *peer = opens ? instruction->peer : -1;
    return true;
}

static bool check_instruction(const Check *check, const RankProgram *rank,
                              const Instruction *instruction, Open *sends, Open *receives)
{
    static const int noperands[PW_NINSTRUCTIONS] = {
        [PW_LOAD] = 3, [PW_SEND] = 1, [PW_RECEIVE] = 1, [PW_ADD_TO] = 2, [PW_CLEAR] = 1};
    int kind = (int)instruction->kind;
    if (kind < 0 || kind >= PW_NINSTRUCTIONS)
        return COMPLAIN(check, "kind %d", kind);
    if (instruction->chunk < -1 || instruction->layer < -2 || instruction->tokens < 0 ||
        (check->model && instruction->layer > check->model->layers))
        return COMPLAIN(check, "chunk %d, layer %d, %d tokens", instruction->chunk,
                        instruction->layer, instruction->tokens);
    if (kind != PW_CALL && instruction->noperands != noperands[kind])
        return COMPLAIN(check, "%s with %d operands, expected %d", instruction_names[kind],
                        instruction->noperands, noperands[kind]);
    if (!check_operands(check, rank, instruction, kind == PW_CALL || kind == PW_LOAD))
        return false;
    switch (instruction->kind) {
    case PW_CALL:
        return check_call(check, rank, instruction);
    case PW_LOAD:
        return check_sources(check, instruction);
    case PW_SEND:
    case PW_SENT:
        return check_message(check, instruction, sends);
    case PW_RECEIVE:
    case PW_WAIT:
        return check_message(check, instruction, receives);
    case PW_ADD_TO:
        if (instruction->operands[0].rows != instruction->operands[1].rows)
            return COMPLAIN(check, "add of %lld rows to %lld",
                            (long long)instruction->operands[1].rows,
                            (long long)instruction->operands[0].rows);
        return true;
    case PW_MARK:
        if (!instruction->letter || !strchr("FBWRHE", instruction->letter))
            return COMPLAIN(check, "mark '%c'", instruction->letter);
        return true;
    default:
        return true;
    }
}

static Open no_messages(Region *region, int count)
{
    Open open = {REGION_ARRAY(region, int, count), count};
    for (int i = 0; i < count; i++)
        open.peer[i] = -1;
    return open;
}

static bool check_rank(Check *check, const RankProgram *rank, Region *region)
{
    Open sends         = no_messages(region, rank->ninstructions);
    Open receives      = no_messages(region, rank->ninstructions);
    check->instruction = -1;
    if (!check_buffers(check, rank))
        return false;
    for (int i = 0; i < rank->ninstructions; i++) {
        check->instruction = i;
        if (!check_instruction(check, rank, &rank->instructions[i], &sends, &receives))
            return false;
    }
    for (int i = 0; i < rank->ninstructions; i++)
        if (sends.peer[i] >= 0 || receives.peer[i] >= 0)
            return COMPLAIN(check, "the program ends and message %d has no `%s`", i,
                            sends.peer[i] >= 0 ? "sent" : "wait");
    return true;
}

static bool check_order(const Program *program, Region *region, Error *error)
{
    int *next = REGION_ARRAY(region, int, program->nranks);
    for (int64_t i = 0; i < program->norder; i++) {
        PwOrder entry = program->order[i];
        if (entry.rank < 0 || entry.rank >= program->nranks ||
            entry.instruction >= program->ranks[entry.rank].ninstructions ||
            entry.instruction != next[entry.rank])
            return error_input(error,
                               "order, entry %lld: instruction %d of rank %d out of its turn",
                               (long long)i, entry.instruction, entry.rank);
        next[entry.rank]++;
    }
    for (int rank = 0; rank < program->nranks && program->norder; rank++)
        if (next[rank] != program->ranks[rank].ninstructions)
            return error_input(error, "order: rank %d has %d instructions, %d are in it", rank,
                               program->ranks[rank].ninstructions, next[rank]);
    return true;
}

bool program_check(const Program *program, const Codelets *codelets, const Model *model,
                   Error *error)
{
    Region *region = region_new();
    Check   check  = {program, codelets, model, 0, -1, error};
    bool    good   = true;
    if (program->nranks <= 0 || program->kind < PW_TRAIN || program->kind > PW_GENERATE)
        good = error_input(error, "a program of kind %d with %d ranks", program->kind,
                           program->nranks);
    for (int i = 0; good && i < program->nlosses; i++)
        if (program->loss_sequence[i] < 0 || program->loss_sequence[i] >= program->nsequences)
            good = error_input(error, "loss row %d is of sequence %d; there are %d", i,
                               program->loss_sequence[i], program->nsequences);
    for (; good && check.rank < program->nranks; check.rank++)
        good = check_rank(&check, &program->ranks[check.rank], region);
    good = good && check_order(program, region, error);
    region_free(region);
    return good;
}
