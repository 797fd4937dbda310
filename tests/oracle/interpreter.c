/* interpreter: runs a program's instructions in a random interleaving; see the header. */
#include <stdio.h>
#include <string.h>

#include "gen/base/random.h"
#include "tests/oracle/machine.h"

void go_wrong(Machine *machine, const char *why)
{
    if (!machine->wrong)
        machine->wrong = region_format(machine->region, "rank %d, instruction %d: %s",
                                       machine->rank, machine->ranks[machine->rank].at, why);
}

uint32_t *words_at(Machine *machine, int rank, int64_t at, int64_t bytes)
{
    MachineRank *of = &machine->ranks[rank];
    if (at >= 0 && at % 4 == 0 && bytes >= 0 && bytes % 4 == 0 && at / 4 <= of->nwords &&
        bytes / 4 <= of->nwords - at / 4)
        return &of->words[at / 4];
    go_wrong(machine, "touches bytes outside the arena");
    return NULL;
}

void make_garbage(Machine *machine, uint32_t *words, int64_t count)
{
    uint64_t seed = random_next(&machine->random);
    for (int64_t i = 0; i < count; i++) {
        seed     = seed * 6364136223846793005u + 1442695040888963407u;
        words[i] = (uint32_t)(seed >> 32);
    }
}

Bytes rows_of(Machine *machine, int number, int64_t row, int64_t rows)
{
    const RankProgram *rank = &machine->program->ranks[machine->rank];
    if (number < 0 || number >= rank->nbuffers) {
        go_wrong(machine, "names no buffer");
        return (Bytes){0};
    }
    const Buffer *buffer = &rank->buffers[number];
    int64_t       bytes  = rows * buffer->row_bytes;
    return (Bytes){
        words_at(machine, machine->rank, buffer->offset + row * buffer->row_bytes, bytes),
        bytes / 4};
}

static Bytes operand_bytes(Machine *machine, const Operand *operand)
{
    return rows_of(machine, operand->buffer, operand->row, operand->rows);
}

/* One row of an operand that has `rows`. */
Bytes one_row(Bytes all, int64_t rows, int64_t row)
{
    int64_t count = rows > 0 ? all.count / rows : 0;
    return (Bytes){all.words && row < rows ? all.words + row * count : NULL, count};
}

static void run_load(Machine *machine, const Instruction *load)
{
    static const char *const what[] = {"tokens", "targets", "weights"};
    for (int i = 0; i < load->noperands && i < COUNT(what); i++) {
        if (load->operands[i].buffer < 0)
            continue;
        Bytes all = operand_bytes(machine, &load->operands[i]);
        for (int s = 0; s < load->nsources; s++)
            for (int t = 0; t < load->sources[s].tokens; t++) {
                const PwSource *source = &load->sources[s];
                Bytes           at     = one_row(all, load->operands[i].rows, source->row + t);
                if (at.words)
                    at.words[0] = token_word(what[i], source->document, source->start + t);
                else
                    go_wrong(machine, "has too few rows");
            }
    }
}

static void run_add(Machine *machine, const Instruction *add)
{
    if (add->noperands != 2) {
        go_wrong(machine, "has not two operands");
        return;
    }
    Bytes to   = operand_bytes(machine, &add->operands[0]);
    Bytes from = operand_bytes(machine, &add->operands[1]);
    if (machine->wrong || add->count > to.count || add->count > from.count)
        go_wrong(machine, "adds beyond its operands");
    else
        for (int64_t i = 0; i < add->count; i++)
            to.words[i] += from.words[i];
}

static Channel *channel_between(Machine *machine, int from, int to)
{
    return &machine->channels[from * machine->program->nranks + to];
}

static bool is_out(const Instruction *instruction)
{
    return instruction->kind == PW_SEND || instruction->kind == PW_SENT;
}

static Channel *channel_of(Machine *machine, const Instruction *instruction)
{
    return is_out(instruction) ? channel_between(machine, machine->rank, instruction->peer)
                               : channel_between(machine, instruction->peer, machine->rank);
}

static Message *message_at(Machine *machine, Channel *channel, int place)
{
    if (place >= channel->count) {
        int      room = place < 8 ? 16 : 2 * place;
        Message *more = REGION_ARRAY(machine->region, Message, room);
        if (channel->count)
            memcpy(more, channel->messages, sizeof *more * (size_t)channel->count);
        for (int i = channel->count; i < room; i++)
            more[i] = (Message){.receive = -1, .send = -1};
        channel->messages = more;
        channel->count    = room;
    }
    return &channel->messages[place];
}

static void open_message(Machine *machine, const Instruction *instruction)
{
    MachineRank *rank    = &machine->ranks[machine->rank];
    Channel     *channel = channel_of(machine, instruction);
    bool         out     = instruction->kind == PW_SEND;
    int          place   = out ? channel->sends++ : channel->receives++;
    Message     *message = message_at(machine, channel, place);
    Bytes        bytes   = {0};
    if (instruction->noperands == 1)
        bytes = operand_bytes(machine, &instruction->operands[0]);
    else
        go_wrong(machine, "has not one operand");
    rank->entry[rank->at] = place;
    if (!out) {
        message->receive = rank->at;
        return;
    }
    message->send = rank->at;
    if (machine->buffered && bytes.words) {
        message->bytes = REGION_ARRAY(machine->region, uint32_t, bytes.count);
        memcpy(message->bytes, bytes.words, 4 * (size_t)bytes.count);
    }
}

static Bytes message_bytes(Machine *machine, int rank, int instruction)
{
    int running   = machine->rank;
    machine->rank = rank;
    Bytes bytes   = operand_bytes(
          machine, &machine->program->ranks[rank].instructions[instruction].operands[0]);
    machine->rank = running;
    return bytes;
}

/* The next message of a channel arrives. */
static void carry(Machine *machine, int from, int to)
{
    Channel *channel = channel_between(machine, from, to);
    Message *message = &channel->messages[channel->done++];
    Bytes    out     = message_bytes(machine, from, message->send);
    Bytes    in      = message_bytes(machine, to, message->receive);
    if (machine->wrong || out.count != in.count)
        go_wrong(machine, "gets a message of another size");
    else if (in.count > 0)
        memmove(in.words, message->bytes ? message->bytes : out.words, 4 * (size_t)in.count);
    message->done = true;
}

static bool may_carry(Machine *machine, int from, int to)
{
    const Channel *channel = channel_between(machine, from, to);
    return channel->done < channel->sends && channel->done < channel->receives;
}

/* The send or receive that this `sent` or `wait` closes; -1: none. */
static int opening_of(const Machine *machine, const Instruction *closing)
{
    const RankProgram *rank   = &machine->program->ranks[machine->rank];
    PwInstructionKind  wanted = closing->kind == PW_SENT ? PW_SEND : PW_RECEIVE;
    for (int i = machine->ranks[machine->rank].at - 1; i >= 0; i--)
        if (rank->instructions[i].kind == wanted && rank->instructions[i].peer == closing->peer &&
            rank->instructions[i].message == closing->message)
            return i;
    return -1;
}

static bool is_blocked(Machine *machine, const Instruction *instruction)
{
    if (instruction->kind != PW_SENT && instruction->kind != PW_WAIT)
        return false;
    int opening = opening_of(machine, instruction);
    if (opening < 0) {
        go_wrong(machine, "waits for no message");
        return false;
    }
    const Message *message =
        &channel_of(machine, instruction)->messages[machine->ranks[machine->rank].entry[opening]];
    return !message->done && !(message->bytes && instruction->kind == PW_SENT);
}

static void run_instruction(Machine *machine, const Instruction *instruction)
{
    switch (instruction->kind) {
    case PW_LOAD:
        run_load(machine, instruction);
        break;
    case PW_CALL:
        run_call(machine, instruction);
        break;
    case PW_SEND:
    case PW_RECEIVE:
        open_message(machine, instruction);
        break;
    case PW_ADD_TO:
        run_add(machine, instruction);
        break;
    case PW_CLEAR: {
        Bytes bytes = operand_bytes(machine, &instruction->operands[0]);
        if (bytes.words)
            memset(bytes.words, 0, 4 * (size_t)bytes.count);
        break;
    }
    default:
        break;
    }
}

/* Results of a rank, taken when its last instruction has run. */
static void judge_state(Machine *machine, const Tensor *tensor, const StaticBuffer *buffer,
                        uint32_t expected)
{
    const uint32_t *words = words_at(machine, machine->rank, buffer->offset, buffer->bytes);
    if (words && gather(words, buffer->bytes / 4) != expected)
        go_wrong(machine, region_format(
                              machine->region, "ends with a wrong %s (%s, layer %d)", buffer->name,
                              machine->oracle->model->weights[tensor->weight].name, tensor->layer));
}

static void judge_losses(Machine *machine)
{
    const RankProgram *rank   = &machine->program->ranks[machine->rank];
    int                buffer = program_buffer(rank, "losses");
    if (buffer < 0)
        return;
    Bytes    all      = rows_of(machine, buffer, 0, rank->buffers[buffer].rows);
    uint32_t expected = 0;
    for (int s = 0; s < machine->oracle->batch->nsequences; s++)
        expected += sequence_loss(s, machine->oracle->losses[s]);
    if (!all.words || losses_in(machine, all.words, all.count) != expected)
        go_wrong(machine, "ends with wrong losses");
}

static void end_rank(Machine *machine)
{
    const Oracle *oracle = machine->oracle;
    MachineRank  *rank   = &machine->ranks[machine->rank];
    bool          trains = machine->program->kind == PW_TRAIN;
    rank->ended          = true;
    judge_losses(machine);
    for (int i = 0; i < oracle->ntensors; i++) {
        const Tensor       *tensor  = &oracle->tensors[i];
        const StaticBuffer *state[] = {tensor->master, tensor->moment1, tensor->moment2};
        for (int kind = 0; kind < 3 && tensor->home == machine->rank; kind++)
            judge_state(machine, tensor, state[kind],
                        trains
                            ? tensor->result[kind]
                            : first_value((int)state[kind]->kind, tensor->weight, tensor->layer));
    }
    const StaticBuffer *rope = layout_static(oracle->layout, machine->rank, STATIC_TABLE, -1, -1);
    if (gather(words_at(machine, machine->rank, rope->offset, rope->bytes), rope->bytes / 4) !=
        first_value(STATIC_TABLE, 0, 0))
        go_wrong(machine, "ends with a wrong table");
    int64_t fixed =
        oracle->layout->ranks[machine->rank].static_bytes / 4; /* the next step begins */
    make_garbage(machine, rank->words + fixed, rank->nwords - fixed);
}

static void fill_statics(Machine *machine, int rank)
{
    const RankLayout *layout = &machine->oracle->layout->ranks[rank];
    for (const StaticBuffer *buffer = layout->buffers; buffer < layout->buffers + layout->nbuffers;
         buffer++) {
        uint32_t *words = &machine->ranks[rank].words[buffer->offset / 4];
        if (buffer->kind == STATIC_TABLE)
            spread(words, buffer->bytes / 4, first_value(STATIC_TABLE, 0, 0));
        else if (buffer->kind == STATIC_WEIGHT || buffer->kind == STATIC_MOMENT1 ||
                 buffer->kind == STATIC_MOMENT2)
            spread(words, buffer->bytes / 4,
                   first_value((int)buffer->kind, buffer->weight, buffer->layer));
    }
}

static bool begin(Machine *machine)
{
    const Program *program = machine->program;
    machine->ranks         = REGION_ARRAY(machine->region, MachineRank, program->nranks);
    machine->channels = REGION_ARRAY(machine->region, Channel, program->nranks * program->nranks);
    for (int rank = 0; rank < program->nranks; rank++) {
        MachineRank *of = &machine->ranks[rank];
        machine->rank   = rank;
        of->nwords      = program->ranks[rank].peak / 4;
        if (program->ranks[rank].peak < machine->oracle->layout->ranks[rank].static_bytes ||
            program->ranks[rank].peak > machine->oracle->layout->ranks[rank].capacity) {
            go_wrong(machine, "has an arena that is too small or too large");
            return false;
        }
        of->words = REGION_ARRAY(machine->region, uint32_t, of->nwords);
        of->entry = REGION_ARRAY(machine->region, int, program->ranks[rank].ninstructions + 1);
        make_garbage(machine, of->words, of->nwords);
        fill_statics(machine, rank);
    }
    return true;
}

/* What can move: ranks (their number), channels (nranks + from * nranks + to). */
static int choices(Machine *machine, int *choice)
{
    int nranks = machine->program->nranks, count = 0;
    for (int rank = 0; rank < nranks; rank++) {
        machine->rank              = rank;
        const RankProgram *program = &machine->program->ranks[rank];
        int                at      = machine->ranks[rank].at;
        if (!machine->ranks[rank].ended &&
            (at == program->ninstructions || !is_blocked(machine, &program->instructions[at])))
            choice[count++] = rank;
    }
    for (int pair = 0; pair < nranks * nranks && !(machine->lazy && count); pair++)
        if (may_carry(machine, pair / nranks, pair % nranks))
            choice[count++] = nranks + pair;
    return count;
}

static void move(Machine *machine, int choice)
{
    int nranks = machine->program->nranks;
    if (choice >= nranks) {
        machine->rank = (choice - nranks) / nranks;
        carry(machine, (choice - nranks) / nranks, (choice - nranks) % nranks);
        return;
    }
    machine->rank     = choice;
    MachineRank *rank = &machine->ranks[choice];
    if (rank->at == machine->program->ranks[choice].ninstructions) {
        end_rank(machine);
        return;
    }
    run_instruction(machine, &machine->program->ranks[choice].instructions[rank->at]);
    rank->at++;
}

static void judge_end(Machine *machine)
{
    int nranks = machine->program->nranks;
    for (int rank = 0; rank < nranks; rank++)
        if (!machine->ranks[rank].ended) {
            machine->rank = rank;
            go_wrong(machine, "waits for ever");
        }
    for (int pair = 0; pair < nranks * nranks; pair++)
        if (machine->channels[pair].sends != machine->channels[pair].receives) {
            machine->rank = pair / nranks;
            go_wrong(machine, "ends with a message that was sent or received by one side only");
        }
}

/* A rank runs for a while before another does, so that they also get far apart. */
static void run_program(Machine *machine)
{
    int  nranks = machine->program->nranks;
    int *choice = REGION_ARRAY(machine->region, int, nranks + nranks * nranks);
    int  favour = 0;
    if (!begin(machine))
        return;
    for (int count; !machine->wrong && (count = choices(machine, choice)) > 0;) {
        int next = choice[random_below(&machine->random, count)];
        for (int i = 0; i < count; i++)
            next = choice[i] == favour ? favour : next;
        move(machine, next);
        if (random_below(&machine->random, 8) == 0)
            favour = (int)random_below(&machine->random, nranks + nranks * nranks);
    }
    if (!machine->wrong)
        judge_end(machine);
}

const char *interpret(const Oracle *oracle, const Program *program, int runs, uint64_t seed)
{
    static char why[500];
    for (int i = 0; i < runs; i++) {
        Machine machine = {.oracle   = oracle,
                           .program  = program,
                           .buffered = i % 2,
                           .lazy     = i % 4 >= 2,
                           .random   = random_at(seed, (uint64_t)i),
                           .region   = region_new()};
        run_program(&machine);
        if (machine.wrong)
            snprintf(why, sizeof why, "run %d: %s", i, machine.wrong);
        bool wrong = machine.wrong != NULL;
        region_free(machine.region);
        if (wrong)
            return why;
    }
    return NULL;
}
