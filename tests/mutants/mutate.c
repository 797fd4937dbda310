/* mutate: see the header. Every kind picks its place at random among all where it may do harm: a
 * swap of two instructions that have nothing to do with each other would say little about prove. */
#include "tests/mutants/mutate.h"

#include <string.h>

#include "gen/base/random.h"

/* ---- copies and orders ---- */

static void *copy_of(Region *region, const void *from, size_t bytes)
{
    void *copy = region_alloc(region, bytes);
    if (bytes)
        memcpy(copy, from, bytes);
    return copy;
}

static void copy_rank(Region *region, RankProgram *rank)
{
    rank->buffers = copy_of(region, rank->buffers, sizeof(Buffer) * (size_t)rank->nbuffers);
    rank->instructions =
        copy_of(region, rank->instructions, sizeof(Instruction) * (size_t)rank->ninstructions);
    for (int i = 0; i < rank->ninstructions; i++) {
        Instruction *at = &rank->instructions[i];
        at->operands    = copy_of(region, at->operands, sizeof(Operand) * (size_t)at->noperands);
        at->segments = copy_of(region, at->segments, sizeof(CallSegment) * (size_t)at->nsegments);
        at->sources  = copy_of(region, at->sources, sizeof(PwSource) * (size_t)at->nsources);
    }
}

static Program *copy_program(Region *region, const Program *program)
{
    Program *copy = copy_of(region, program, sizeof *program);
    copy->region  = region;
    copy->ranks   = copy_of(region, program->ranks, sizeof(RankProgram) * (size_t)program->nranks);
    for (int rank = 0; rank < copy->nranks; rank++)
        copy_rank(region, &copy->ranks[rank]);
    return copy;
}

/* How many sends (receives) with this peer the rank has among its first `count` instructions. */
static int opened(const Program *program, int rank, int count, PwInstructionKind kind, int peer)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        const Instruction *at = &program->ranks[rank].instructions[i];
        found += at->kind == kind && at->peer == peer;
    }
    return found;
}

static bool may_issue(const Program *program, const int *issued, int rank)
{
    const Instruction *at  = &program->ranks[rank].instructions[issued[rank]];
    bool               out = at->kind == PW_SENT;
    if (at->kind != PW_SENT && at->kind != PW_WAIT)
        return true;
    PwInstructionKind opening = out ? PW_SEND : PW_RECEIVE;
    int               first   = issued[rank] - 1;
    while (first >= 0 && (program->ranks[rank].instructions[first].kind != opening ||
                          program->ranks[rank].instructions[first].message != at->message))
        first--;
    if (first < 0 || at->peer < 0 || at->peer >= program->nranks)
        return true;
    int before = opened(program, rank, first + 1, opening, at->peer);
    return opened(program, at->peer, issued[at->peer], out ? PW_RECEIVE : PW_SEND, rank) >= before;
}

void order_instructions(Program *program)
{
    int    *issued = REGION_ARRAY(program->region, int, program->nranks);
    int64_t total  = 0;
    for (int rank = 0; rank < program->nranks; rank++)
        total += program->ranks[rank].ninstructions;
    program->order  = REGION_ARRAY(program->region, PwOrder, total);
    program->norder = 0;
    for (bool stuck = false; program->norder < total;) {
        int64_t before = program->norder;
        for (int rank = 0; rank < program->nranks; rank++)
            while (issued[rank] < program->ranks[rank].ninstructions &&
                   (stuck || may_issue(program, issued, rank)))
                program->order[program->norder++] = (PwOrder){rank, issued[rank]++};
        stuck = program->norder == before;
    }
}

/* ---- places ---- */

typedef struct Spot {
    int rank, number, operand; /* operand: or segment, or buffer; -1                            */
} Spot;

typedef struct Spots {
    Spot *at;
    int   count, room;
} Spots;

static Instruction *instruction_at(const Mutation *mutation, Spot spot)
{
    return &mutation->program->ranks[spot.rank].instructions[spot.number];
}

static int below(Mutation *mutation, int64_t limit)
{
    return (int)random_below(&mutation->random, limit);
}

static void add_spot(Mutation *mutation, Spots *spots, int rank, int number, int operand)
{
    Spot spot = {rank, number, operand};
    REGION_APPEND(mutation->program->region, spots->at, spots->count, spots->room, spot);
}

static bool pick(Mutation *mutation, const Spots *spots, Spot *spot)
{
    if (spots->count)
        *spot = spots->at[below(mutation, spots->count)];
    return spots->count > 0;
}

/* All instructions for which `fits` holds. */
static Spots instructions_that(Mutation *mutation,
                               bool (*fits)(const Mutation *, const Instruction *))
{
    Spots spots = {0};
    for (int rank = 0; rank < mutation->program->nranks; rank++)
        for (int i = 0; i < mutation->program->ranks[rank].ninstructions; i++)
            if (fits(mutation, &mutation->program->ranks[rank].instructions[i]))
                add_spot(mutation, &spots, rank, i, -1);
    return spots;
}

static const Codelet *codelet_of(const Mutation *mutation, const Instruction *instruction)
{
    return instruction->kind == PW_CALL ? &mutation->codelets->items[instruction->codelet] : NULL;
}

static bool is_scratch(const Mutation *mutation, const Instruction *instruction, int operand)
{
    const Codelet *codelet = codelet_of(mutation, instruction);
    return codelet && codelet->operands[operand].role == ROLE_SCRATCH;
}

/* Whether the instruction reads (or writes) the buffer; a wait writes what it waited for. */
static bool uses(const Mutation *mutation, int rank, int number, int buffer, bool writes)
{
    const RankProgram *program     = &mutation->program->ranks[rank];
    const Instruction *instruction = &program->instructions[number];
    const Codelet     *codelet     = codelet_of(mutation, instruction);
    if (instruction->kind == PW_RECEIVE)
        return false;
    if (instruction->kind == PW_WAIT) {
        int opening = number - 1;
        while (opening >= 0 && (program->instructions[opening].kind != PW_RECEIVE ||
                                program->instructions[opening].message != instruction->message))
            opening--;
        return writes && opening >= 0 &&
               program->instructions[opening].operands[0].buffer == buffer;
    }
    for (int i = 0; i < instruction->noperands; i++) {
        bool write = instruction->operands[i].access != ACCESS_READ;
        bool read  = instruction->operands[i].access != ACCESS_WRITE;
        if (instruction->operands[i].buffer == buffer && (writes ? write : read))
            return !is_scratch(mutation, instruction, i);
    }
    for (int i = 0; codelet && i < codelet->noperands; i++) {
        bool kv = codelet->operands[i].role == ROLE_KV, dkv = codelet->operands[i].role == ROLE_DKV;
        bool write = codelet->operands[i].access != ACCESS_READ;
        bool read  = codelet->operands[i].access != ACCESS_WRITE;
        for (int s = 0; s < instruction->nsegments && (kv || dkv); s++)
            if ((kv ? instruction->segments[s].kv : instruction->segments[s].dkv) == buffer &&
                (writes ? write : read) &&
                !(kv && write && instruction->segments[s].flags & PW_SEGMENT_KV_KEPT))
                return true;
    }
    return false;
}

static void remove_instruction(Mutation *mutation, Spot spot)
{
    RankProgram *rank = &mutation->program->ranks[spot.rank];
    memmove(&rank->instructions[spot.number], &rank->instructions[spot.number + 1],
            sizeof(Instruction) * (size_t)(rank->ninstructions - spot.number - 1));
    rank->ninstructions--;
}

/* Moves an instruction to stand before `to`, which is earlier. */
static void move_earlier(Mutation *mutation, Spot spot, int to)
{
    RankProgram *rank  = &mutation->program->ranks[spot.rank];
    Instruction  moved = rank->instructions[spot.number];
    memmove(&rank->instructions[to + 1], &rank->instructions[to],
            sizeof(Instruction) * (size_t)(spot.number - to));
    rank->instructions[to] = moved;
}

static void insert_copy(Mutation *mutation, Spot spot)
{
    RankProgram *rank = &mutation->program->ranks[spot.rank];
    Instruction *more =
        REGION_ARRAY(mutation->program->region, Instruction, rank->ninstructions + 1);
    memcpy(more, rank->instructions, sizeof(Instruction) * (size_t)(spot.number + 1));
    memcpy(more + spot.number + 1, rank->instructions + spot.number,
           sizeof(Instruction) * (size_t)(rank->ninstructions - spot.number));
    rank->instructions = more;
    rank->ninstructions++;
}

static int insert_buffer(Mutation *mutation, int number, Buffer buffer)
{
    RankProgram *rank = &mutation->program->ranks[number];
    Buffer      *more = REGION_ARRAY(mutation->program->region, Buffer, rank->nbuffers + 1);
    memcpy(more, rank->buffers, sizeof(Buffer) * (size_t)rank->nbuffers);
    more[rank->nbuffers] = buffer;
    rank->buffers        = more;
    return rank->nbuffers++;
}

/* ---- kinds ---- */

static bool does_something(const Mutation *mutation, const Instruction *instruction)
{
    (void)mutation;
    return instruction->kind == PW_CALL || instruction->kind == PW_LOAD ||
           instruction->kind == PW_ADD_TO || instruction->kind == PW_CLEAR;
}

static bool drop(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, does_something);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    remove_instruction(mutation, spot);
    return true;
}

static bool is_opening(const Mutation *mutation, const Instruction *instruction)
{
    (void)mutation;
    return instruction->kind == PW_SEND || instruction->kind == PW_RECEIVE;
}

/* A send or a receive together with what closes it. */
static bool drop_message(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, is_opening);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Instruction  opening = *instruction_at(mutation, spot);
    int          closing = opening.kind == PW_SEND ? PW_SENT : PW_WAIT;
    Spot         end     = spot;
    RankProgram *rank    = &mutation->program->ranks[spot.rank];
    while (end.number < rank->ninstructions &&
           ((int)instruction_at(mutation, end)->kind != closing ||
            instruction_at(mutation, end)->message != opening.message))
        end.number++;
    if (end.number < rank->ninstructions)
        remove_instruction(mutation, end);
    remove_instruction(mutation, spot);
    return true;
}

/* The later of two neighbours (marks do not count) uses what the earlier makes. */
static bool swap(Mutation *mutation)
{
    Spots spots = {0};
    for (int r = 0; r < mutation->program->nranks; r++) {
        const RankProgram *rank = &mutation->program->ranks[r];
        for (int i = 0; i < rank->ninstructions; i++) {
            int next = i + 1;
            while (next < rank->ninstructions && rank->instructions[next].kind == PW_MARK)
                next++;
            bool depends = false;
            for (int b = 0; b < rank->nbuffers && next < rank->ninstructions; b++)
                depends =
                    depends || (uses(mutation, r, i, b, true) && uses(mutation, r, next, b, false));
            if (depends)
                add_spot(mutation, &spots, r, next, i);
        }
    }
    Spot spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    move_earlier(mutation, spot, spot.operand);
    return true;
}

/* Operands that matter, of calls; `role` NROLES: of any. */
static Spots operands_of(Mutation *mutation, Role role)
{
    Spots spots = {0};
    for (int r = 0; r < mutation->program->nranks; r++)
        for (int i = 0; i < mutation->program->ranks[r].ninstructions; i++) {
            const Instruction *instruction = &mutation->program->ranks[r].instructions[i];
            const Codelet     *codelet     = codelet_of(mutation, instruction);
            for (int o = 0; codelet && o < instruction->noperands; o++)
                if (instruction->operands[o].buffer >= 0 && !is_scratch(mutation, instruction, o) &&
                    (role == NROLES || codelet->operands[o].role == role))
                    add_spot(mutation, &spots, r, i, o);
        }
    return spots;
}

/* Another buffer of the rank with the same shape, or -1. */
static int twin_of(Mutation *mutation, int r, int buffer)
{
    const RankProgram *rank  = &mutation->program->ranks[r];
    const Buffer      *like  = &rank->buffers[buffer];
    int                twins = 0, twin = -1;
    for (int b = 0; b < rank->nbuffers; b++)
        if (b != buffer && rank->buffers[b].offset != like->offset &&
            rank->buffers[b].rows == like->rows && rank->buffers[b].row_bytes == like->row_bytes &&
            below(mutation, ++twins) == 0)
            twin = b;
    return twin;
}

static bool retarget_one(Mutation *mutation, Role role)
{
    Spots spots = operands_of(mutation, role);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Operand *operand = &instruction_at(mutation, spot)->operands[spot.operand];
    int      twin    = twin_of(mutation, spot.rank, operand->buffer);
    if (twin >= 0)
        operand->buffer = twin;
    return twin >= 0;
}

static bool retarget(Mutation *mutation)
{
    return retarget_one(mutation, NROLES);
}

static bool wrong_weight(Mutation *mutation)
{
    return retarget_one(mutation, ROLE_WEIGHT);
}

static bool wrong_gradient(Mutation *mutation)
{
    return retarget_one(mutation, ROLE_DWEIGHT);
}

static bool resize(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, is_opening);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Operand *operand = &instruction_at(mutation, spot)->operands[0];
    if (operand->rows < 2)
        return false;
    operand->rows -= 1 + below(mutation, operand->rows - 1);
    return true;
}

/* The receive that last filled what this add adds, or -1: the rank made it itself. */
static int receive_of_share(const RankProgram *rank, int add)
{
    const Operand *share = &rank->instructions[add].operands[1];
    for (int i = add - 1; i >= 0; i--)
        if (rank->instructions[i].kind == PW_RECEIVE &&
            rank->instructions[i].operands[0].buffer == share->buffer)
            return i;
    return -1;
}

/* The send that this receive gets, or -1. */
static int send_of(const Program *program, int rank, int receive)
{
    int                peer  = program->ranks[rank].instructions[receive].peer;
    int                place = opened(program, rank, receive, PW_RECEIVE, peer);
    const RankProgram *from  = &program->ranks[peer];
    for (int i = 0; i < from->ninstructions; i++)
        if (from->instructions[i].kind == PW_SEND && from->instructions[i].peer == rank &&
            place-- == 0)
            return i;
    return -1;
}

/* As many rows from the same address, of half the bytes each. */
static void halve_rows(Mutation *mutation, int rank, Operand *operand)
{
    Buffer half = mutation->program->ranks[rank].buffers[operand->buffer];
    half.row_bytes /= 2;
    half.bytes      = pw_align(half.rows * half.row_bytes);
    operand->buffer = insert_buffer(mutation, rank, half);
}

/* Half of a share of a gradient is sent, received and said to be there to add: both sides of the
 * message agree, and so do the rows of the sum and the share. */
static bool resize_share(Mutation *mutation)
{
    Program *program = mutation->program;
    Spots    spots   = {0};
    for (int r = 0; r < program->nranks; r++)
        for (int i = 0; i < program->ranks[r].ninstructions; i++)
            if (program->ranks[r].instructions[i].kind == PW_ADD_TO &&
                receive_of_share(&program->ranks[r], i) >= 0)
                add_spot(mutation, &spots, r, i, -1);
    Spot spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    RankProgram *rank    = &program->ranks[spot.rank];
    int          number  = receive_of_share(rank, spot.number);
    int          send    = send_of(program, spot.rank, number);
    Instruction *receive = &rank->instructions[number];
    if (send < 0)
        return false;
    halve_rows(mutation, spot.rank, &receive->operands[0]);
    instruction_at(mutation, spot)->operands[1].buffer = receive->operands[0].buffer;
    halve_rows(mutation, receive->peer,
               &program->ranks[receive->peer].instructions[send].operands[0]);
    return true;
}

/* One instruction looks for an operand at an address beside. */
static bool move_address(Mutation *mutation)
{
    Spots spots = operands_of(mutation, NROLES);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    const RankProgram *rank    = &mutation->program->ranks[spot.rank];
    Operand           *operand = &instruction_at(mutation, spot)->operands[spot.operand];
    Buffer             moved   = rank->buffers[operand->buffer];
    int64_t            step    = PW_ALIGN * (1 + below(mutation, 4));
    moved.offset += below(mutation, 2) && moved.offset >= step ? -step : step;
    if (moved.offset + moved.bytes > rank->peak)
        moved.offset -= 2 * step;
    operand->buffer = insert_buffer(mutation, spot.rank, moved);
    return true;
}

/* Pairs of receives from one peer. */
static Spots receive_pairs(Mutation *mutation)
{
    Spots spots = {0};
    for (int r = 0; r < mutation->program->nranks; r++) {
        const RankProgram *rank = &mutation->program->ranks[r];
        for (int i = 0; i < rank->ninstructions; i++)
            for (int j = i + 1; j < rank->ninstructions && rank->instructions[i].kind == PW_RECEIVE;
                 j++)
                if (rank->instructions[j].kind == PW_RECEIVE &&
                    rank->instructions[j].peer == rank->instructions[i].peer) {
                    add_spot(mutation, &spots, r, j, i);
                    break;
                }
    }
    return spots;
}

static bool reorder_receives(Mutation *mutation)
{
    Spots spots = receive_pairs(mutation);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Instruction *later   = instruction_at(mutation, spot);
    Instruction *earlier = &mutation->program->ranks[spot.rank].instructions[spot.operand];
    Operand      kept    = later->operands[0];
    later->operands[0]   = earlier->operands[0];
    earlier->operands[0] = kept;
    return true;
}

static bool post_out_of_order(Mutation *mutation)
{
    Spots spots = receive_pairs(mutation);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    move_earlier(mutation, spot, spot.operand);
    return true;
}

/* A buffer that comes into use while another is still wanted gets the other's place. */
static bool reuse_early(Mutation *mutation)
{
    Spots spots = {0};
    for (int r = 0; r < mutation->program->nranks; r++) {
        const RankProgram *rank  = &mutation->program->ranks[r];
        int               *first = REGION_ARRAY(mutation->program->region, int, rank->nbuffers);
        int               *last  = REGION_ARRAY(mutation->program->region, int, rank->nbuffers);
        for (int b = 0; b < rank->nbuffers; b++) {
            first[b] = last[b] = -1;
            for (int i = 0; i < rank->ninstructions; i++) {
                if (first[b] < 0 && uses(mutation, r, i, b, true))
                    first[b] = i;
                if (first[b] >= 0 && uses(mutation, r, i, b, false))
                    last[b] = i;
            }
        }
        for (int a = 0; a < rank->nbuffers; a++)
            for (int b = 0; b < rank->nbuffers; b++)
                if (first[a] >= 0 && first[b] > first[a] && last[a] > first[b] &&
                    !rank->buffers[a].is_static && !rank->buffers[b].is_static)
                    add_spot(mutation, &spots, r, a, b);
    }
    Spot spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Buffer *buffers              = mutation->program->ranks[spot.rank].buffers;
    buffers[spot.operand].offset = buffers[spot.number].offset;
    return true;
}

static int opening_of(const RankProgram *rank, int closing)
{
    PwInstructionKind kind = rank->instructions[closing].kind == PW_SENT ? PW_SEND : PW_RECEIVE;
    for (int i = closing - 1; i >= 0; i--)
        if (rank->instructions[i].kind == kind &&
            rank->instructions[i].message == rank->instructions[closing].message)
            return i;
    return -1;
}

static bool overlap_in_arena(const RankProgram *rank, const Operand *a, const Operand *b)
{
    if (a->buffer < 0 || b->buffer < 0)
        return false;
    const Buffer *x = &rank->buffers[a->buffer], *y = &rank->buffers[b->buffer];
    int64_t       from = x->offset + a->row * x->row_bytes, to = y->offset + b->row * y->row_bytes;
    return from < to + b->rows * y->row_bytes && to < from + a->rows * x->row_bytes;
}

static bool writes_bytes(const RankProgram *rank, const Instruction *instruction,
                         const Operand *bytes)
{
    for (int o = 0; o < instruction->noperands; o++)
        if (instruction->operands[o].access != ACCESS_READ &&
            overlap_in_arena(rank, &instruction->operands[o], bytes))
            return true;
    return false;
}

/* Whether the rank uses the bytes of a message (writes those of a send, reads those of a receive)
 * without waiting for anything but `closing` since it was opened. Where it waits for something
 * else, that may well imply what `closing` says; where it receives into a send's bytes what the
 * same peer sends back, that often does. */
static bool rests_on(const Mutation *mutation, int r, int opening, int closing)
{
    const RankProgram *rank  = &mutation->program->ranks[r];
    const Instruction *open  = &rank->instructions[opening];
    const Operand     *bytes = &open->operands[0];
    bool               sent  = rank->instructions[closing].kind == PW_SENT;
    for (int i = opening + 1; i < rank->ninstructions; i++) {
        const Instruction *at = &rank->instructions[i];
        if (i != closing && (at->kind == PW_WAIT || at->kind == PW_SENT))
            return false;
        bool answer = at->kind == PW_RECEIVE && at->peer == open->peer;
        if (i > closing && (sent ? !answer && writes_bytes(rank, at, bytes)
                                 : uses(mutation, r, i, bytes->buffer, false)))
            return true;
    }
    return false;
}

static bool drop_closing(Mutation *mutation, PwInstructionKind kind)
{
    Spots spots = {0};
    for (int r = 0; r < mutation->program->nranks; r++) {
        const RankProgram *rank = &mutation->program->ranks[r];
        for (int i = 0; i < rank->ninstructions; i++) {
            int opening = rank->instructions[i].kind == kind ? opening_of(rank, i) : -1;
            if (opening >= 0 && rests_on(mutation, r, opening, i))
                add_spot(mutation, &spots, r, i, -1);
        }
    }
    Spot spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    remove_instruction(mutation, spot);
    return true;
}

static bool drop_sent(Mutation *mutation)
{
    return drop_closing(mutation, PW_SENT);
}

static bool drop_wait(Mutation *mutation)
{
    return drop_closing(mutation, PW_WAIT);
}

static bool has_gradients(const Mutation *mutation, const Instruction *instruction)
{
    const Codelet *codelet = codelet_of(mutation, instruction);
    for (int i = 0; codelet && i < codelet->noperands; i++)
        if (codelet->operands[i].role == ROLE_DWEIGHT && codelet->operands[i].access == ACCESS_ADD)
            return true;
    return false;
}

static bool flip_first(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, has_gradients);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    instruction_at(mutation, spot)->flags ^= PW_CALL_FIRST;
    return true;
}

static bool has_chains(const Mutation *mutation, const Instruction *instruction)
{
    const Codelet *codelet = codelet_of(mutation, instruction);
    for (int i = 0; codelet && i < codelet->noperands; i++)
        if (codelet->operands[i].role == ROLE_KV || codelet->operands[i].role == ROLE_DKV)
            return instruction->nsegments > 0;
    return false;
}

static bool adds_to_chains(const Mutation *mutation, const Instruction *instruction)
{
    const Codelet *codelet = codelet_of(mutation, instruction);
    for (int i = 0; codelet && i < codelet->noperands; i++)
        if (codelet->operands[i].role == ROLE_DKV && codelet->operands[i].access == ACCESS_ADD)
            return instruction->nsegments > 0;
    return false;
}

static CallSegment *some_segment(Mutation *mutation,
                                 bool (*fits)(const Mutation *, const Instruction *))
{
    Spots spots = instructions_that(mutation, fits);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return NULL;
    Instruction *call = instruction_at(mutation, spot);
    return &call->segments[below(mutation, call->nsegments)];
}

static bool flip_chain_first(Mutation *mutation)
{
    CallSegment *segment = some_segment(mutation, adds_to_chains);
    if (segment)
        segment->flags ^= PW_SEGMENT_DKV_FIRST;
    return segment != NULL;
}

static bool wrong_context(Mutation *mutation)
{
    CallSegment *segment = some_segment(mutation, has_chains);
    if (!segment)
        return false;
    int step = 1 + below(mutation, segment->tokens);
    segment->context += segment->context >= step && below(mutation, 2) ? -step : step;
    return true;
}

static bool wrong_row(Mutation *mutation)
{
    CallSegment *segment = some_segment(mutation, has_chains);
    if (!segment)
        return false;
    int64_t *row = segment->dkv >= 0 && below(mutation, 2) ? &segment->dkv_row : &segment->kv_row;
    if (row == &segment->kv_row && segment->kv < 0)
        return false;
    *row += *row > 0 && below(mutation, 2) ? -1 : 1;
    return true;
}

static bool writes_keys(const Mutation *mutation, const Instruction *instruction)
{
    const Codelet *codelet = codelet_of(mutation, instruction);
    for (int i = 0; codelet && i < codelet->noperands; i++)
        if (codelet->operands[i].role == ROLE_KV && codelet->operands[i].access == ACCESS_WRITE)
            return instruction->nsegments > 0;
    return false;
}

/* Says that keys and values are there already. */
static bool claim_kept(Mutation *mutation)
{
    CallSegment *segment = some_segment(mutation, writes_keys);
    if (!segment || segment->flags & PW_SEGMENT_KV_KEPT)
        return false;
    segment->flags |= PW_SEGMENT_KV_KEPT;
    return true;
}

/* A segment's call that begins a chain's gradients may run twice. */
static bool goes_on_in_chains(const Mutation *mutation, const Instruction *instruction)
{
    if (!adds_to_chains(mutation, instruction))
        return false;
    for (int s = 0; s < instruction->nsegments; s++)
        if (!(instruction->segments[s].flags & PW_SEGMENT_DKV_FIRST))
            return true;
    return false;
}

static bool adds(const Mutation *mutation, const Instruction *instruction)
{
    return instruction->kind == PW_ADD_TO ||
           (has_gradients(mutation, instruction) && !(instruction->flags & PW_CALL_FIRST)) ||
           goes_on_in_chains(mutation, instruction);
}

static bool repeat_add(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, adds);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    insert_copy(mutation, spot);
    return true;
}

static bool is_load(const Mutation *mutation, const Instruction *instruction)
{
    (void)mutation;
    return instruction->kind == PW_LOAD && instruction->nsources > 0;
}

static bool wrong_tokens(Mutation *mutation)
{
    Spots spots = instructions_that(mutation, is_load);
    Spot  spot;
    if (!pick(mutation, &spots, &spot))
        return false;
    Instruction *load   = instruction_at(mutation, spot);
    PwSource    *source = &load->sources[below(mutation, load->nsources)];
    if (below(mutation, 2))
        source->start++;
    else
        source->document++;
    return true;
}

const MutationKind mutation_kinds[] = {
    {"drop an instruction", drop},
    {"drop a message's one side", drop_message},
    {"swap neighbours", swap},
    {"retarget an operand", retarget},
    {"wrong layer's weight", wrong_weight},
    {"wrong gradient", wrong_gradient},
    {"resize a message", resize},
    {"resize a share", resize_share},
    {"move an address", move_address},
    {"exchange receives", reorder_receives},
    {"receive out of order", post_out_of_order},
    {"reuse a buffer early", reuse_early},
    {"drop sent", drop_sent},
    {"drop wait", drop_wait},
    {"flip first", flip_first},
    {"flip a chain's first", flip_chain_first},
    {"wrong context", wrong_context},
    {"wrong row of a chain", wrong_row},
    {"keys said to be kept", claim_kept},
    {"add twice", repeat_add},
    {"wrong tokens", wrong_tokens},
};
const int mutation_kinds_count = COUNT(mutation_kinds);

Program *mutant(Region *region, const Program *program, const Codelets *codelets,
                const Model *model, int kind, uint64_t seed)
{
    Mutation mutation = {copy_program(region, program), codelets, model, seed};
    if (!mutation_kinds[kind].damage(&mutation))
        return NULL;
    order_instructions(mutation.program);
    return mutation.program;
}
