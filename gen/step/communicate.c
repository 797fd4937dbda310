/* communicate: adds the messages that bring a value from its maker's rank to one that uses it.
 *   reads    a program as expand makes it: a value has the same name on every rank
 *   writes   send, sent, receive, wait; their numbers; Program.order
 *   fails    where some rank would wait for ever: never for a plan that plan_check let through
 *   stands   after expand, which knows no messages; before overlap and allocate, which move and
 *            count what is added here
 * A value has pieces: rows that one rank writes. Whatever a rank reads of a value and no
 * instruction of its own makes is the intersection with the others' pieces; adjacent rows of one
 * maker are one message. A piece is sent when its maker is done with it, and awaited where its
 * user's operation begins; what stands in a static buffer at the step's start is sent as early as
 * the order of needs allows; what only the end of the step needs, in the user's order, when the
 * maker's own operations are done. Each ordered pair of ranks is one queue, in the order of sends;
 * receives are posted in that order, at the latest when one of them is needed. `sent` stands after
 * the rank's next operation. Then all ranks run on the weakest machine (weakest.h): where `sent`s
 * would hold up everyone, they go later. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "gen/step/touch.h"
#include "gen/step/weakest.h"

/* Rows of a value that one rank's instructions make. */
typedef struct Piece {
    int64_t row, rows;
    int     rank, buffer;
    int     ready; /* the last instruction that makes them; -1: there from the start        */
} Piece;

/* What all buffers of one name hold. */
typedef struct Value {
    const char *name;
    Piece      *pieces;
    int         npieces, room;
    int         static_rank, static_buffer; /* the first rank that has it from the start, or -1 */
    int         static_until;               /* the instruction there that first writes it       */
} Value;

typedef struct Message {
    int     from, to; /* ranks                                                */
    int     from_buffer, to_buffer;
    int64_t row, rows;
    int     ready, need; /* instructions; ready -1: there from the start         */
    int     position;    /* the send stands before this instruction of `from`    */
    int     next_needed; /* by the same instruction; -1: none                    */
} Message;

typedef struct Work {
    Region         *region;
    const Codelets *codelets;
    Program        *program;
    Value          *values;
    int             nvalues, value_room;
    int            *slots, nslots; /* hash of names to values                                   */
    int           **value;         /* [nranks][nbuffers]                                        */
    Message        *messages;
    int             nmessages, message_room;
    int           **needed;  /* [nranks][ninstructions] first message that it waits for, or -1   */
    int            *end;     /* [nranks] the instruction that ends the plan's operations         */
    int            *opening; /* [nranks] the first instruction of the operation at hand; -1: none */
} Work;

/* ---- pieces ---- */

static int *value_slot(const Work *work, const char *name)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (const char *at = name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    uint64_t slot = hash & (uint64_t)(work->nslots - 1);
    while (work->slots[slot] >= 0 && strcmp(work->values[work->slots[slot]].name, name) != 0)
        slot = (slot + 1) & (uint64_t)(work->nslots - 1);
    return &work->slots[slot];
}

static void find_values(Work *work)
{
    const Program *program  = work->program;
    int            nbuffers = 0;
    for (int rank = 0; rank < program->nranks; rank++)
        nbuffers += program->ranks[rank].nbuffers;
    for (work->nslots = 64; work->nslots < 2 * nbuffers;)
        work->nslots *= 2;
    work->slots = REGION_ARRAY(work->region, int, work->nslots);
    for (int i = 0; i < work->nslots; i++)
        work->slots[i] = -1;
    work->value = REGION_ARRAY(work->region, int *, program->nranks);
    for (int rank = 0; rank < program->nranks; rank++) {
        const RankProgram *at = &program->ranks[rank];
        work->value[rank]     = REGION_ARRAY(work->region, int, at->nbuffers);
        for (int i = 0; i < at->nbuffers; i++) {
            int *slot = value_slot(work, at->buffers[i].name);
            if (*slot < 0) {
                *slot       = work->nvalues;
                Value value = {
                    .name = at->buffers[i].name, .static_rank = -1, .static_until = INT_MAX};
                REGION_APPEND(work->region, work->values, work->nvalues, work->value_room, value);
            }
            work->value[rank][i] = *slot;
            Value *value         = &work->values[*slot];
            if (at->buffers[i].is_static && value->static_rank < 0) {
                value->static_rank   = rank;
                value->static_buffer = i;
            }
        }
    }
}

/* An instruction of the rank makes these rows: a new piece, or the end of one. */
static void add_piece(Work *work, int rank, const Operand *operand, int instruction)
{
    Value *value = &work->values[work->value[rank][operand->buffer]];
    for (int i = value->npieces; i-- > 0;) {
        Piece *piece = &value->pieces[i];
        if (piece->rank == rank && piece->row == operand->row && piece->rows == operand->rows) {
            piece->ready = instruction;
            return;
        }
    }
    if (rank == value->static_rank && instruction < value->static_until)
        value->static_until = instruction;
    Piece piece = {operand->row, operand->rows, rank, operand->buffer, instruction};
    REGION_APPEND(work->region, value->pieces, value->npieces, value->room, piece);
}

static int by_rank_and_row(const void *a, const void *b)
{
    const Piece *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void find_pieces(Work *work)
{
    for (int rank = 0; rank < work->program->nranks; rank++) {
        const RankProgram *at = &work->program->ranks[rank];
        work->end[rank]       = at->ninstructions;
        for (int i = 0; i < at->ninstructions; i++) {
            const Instruction *instruction = &at->instructions[i];
            if (instruction->kind == PW_MARK && instruction->letter == 'E')
                work->end[rank] = i;
            for (int k = 0; k < instruction->noperands; k++)
                if (instruction->operands[k].buffer >= 0 &&
                    instruction->operands[k].access != ACCESS_READ)
                    add_piece(work, rank, &instruction->operands[k], i);
        }
    }
    for (int i = 0; i < work->nvalues; i++)
        if (work->values[i].npieces > 1)
            qsort(work->values[i].pieces, (size_t)work->values[i].npieces, sizeof(Piece),
                  by_rank_and_row);
}

/* ---- messages ---- */

static void add_message(Work *work, Message message)
{
    int *first = &work->needed[message.to][message.need];
    if (*first >= 0) {
        Message *last = &work->messages[*first];
        if (last->from == message.from && last->from_buffer == message.from_buffer &&
            last->to_buffer == message.to_buffer && last->row + last->rows == message.row) {
            last->rows += message.rows;
            last->ready = message.ready > last->ready ? message.ready : last->ready;
            return;
        }
    }
    message.next_needed = *first;
    *first              = work->nmessages;
    REGION_APPEND(work->region, work->messages, work->nmessages, work->message_room, message);
}

/* Whether the rank makes these rows, or (rows 0) any, itself. */
static bool makes(const Value *value, int rank, int64_t row, int64_t rows)
{
    for (int i = 0; i < value->npieces; i++)
        if (value->pieces[i].rank == rank &&
            (!rows || (value->pieces[i].row <= row &&
                       value->pieces[i].row + value->pieces[i].rows >= row + rows)))
            return true;
    return false;
}

/* Rows that the operand reads and others make. A dynamic buffer that nobody fills stands for a
 * static one elsewhere. `had`: by piece, whether the rank has it by now; a static one is piece
 * 0. */
static void need_operand(Work *work, int rank, int instruction, const Operand *operand, bool *had)
{
    const Value  *value   = &work->values[work->value[rank][operand->buffer]];
    const Buffer *buffer  = &work->program->ranks[rank].buffers[operand->buffer];
    Message       message = {.to = rank, .to_buffer = operand->buffer, .need = instruction};
    int           opening = work->opening[rank];
    if (!buffer->is_static && value->static_rank >= 0) {
        message.from        = value->static_rank;
        message.from_buffer = value->static_buffer;
        message.rows        = buffer->rows;
        message.ready       = -1;
        if (!had[0] && !makes(value, rank, 0, 0))
            add_message(work, message);
        had[0] = true;
        return;
    }
    for (int i = 0; i < value->npieces; i++) {
        const Piece *piece = &value->pieces[i];
        if (piece->rank == rank || had[i] || piece->row >= operand->row + operand->rows ||
            piece->row + piece->rows <= operand->row || makes(value, rank, piece->row, piece->rows))
            continue;
        had[i]              = true;
        message.need        = opening >= 0 && opening < work->end[rank] ? opening : instruction;
        message.from        = piece->rank;
        message.from_buffer = piece->buffer;
        message.row         = piece->row;
        message.rows        = piece->rows;
        message.ready       = piece->ready;
        add_message(work, message);
    }
}

/* An operation begins when its input is there, as in the rule by which a plan is predicted: what
 * may run ahead of a gradient is the plan's to say, by R. */
static void find_messages(Work *work, int rank)
{
    const RankProgram *at  = &work->program->ranks[rank];
    bool             **had = REGION_ARRAY(work->region, bool *, at->nbuffers);
    work->needed[rank]     = REGION_ARRAY(work->region, int, at->ninstructions);
    work->opening[rank]    = -1;
    for (int i = 0; i < at->ninstructions; i++)
        work->needed[rank][i] = -1;
    for (int i = 0; i < at->ninstructions; i++) {
        const Instruction *instruction = &at->instructions[i];
        if (instruction->kind == PW_MARK)
            work->opening[rank] = i + 1;
        for (int k = 0; k < instruction->noperands; k++) {
            int buffer = instruction->operands[k].buffer;
            if (buffer < 0 || instruction->operands[k].access == ACCESS_WRITE)
                continue;
            if (!had[buffer])
                had[buffer] = REGION_ARRAY(work->region, bool,
                                           work->values[work->value[rank][buffer]].npieces + 1);
            need_operand(work, rank, i, &instruction->operands[k], had[buffer]);
        }
    }
}

/* ---- where sends stand ---- */

/* What is made goes when it is made, but what only the end of the step needs not before the maker's
 * own operations are done. What stands from the start goes with the message `before` it that its
 * user needs from this rank, at the latest before its maker writes something else there: so each
 * queue carries things in the order of need, and nothing is late. */
static int send_position(const Work *work, const Message *message, int before)
{
    int end = work->end[message->from];
    if (message->ready < 0) {
        int until = work->values[work->value[message->from][message->from_buffer]].static_until;
        return before < until ? before : until;
    }
    return message->need > work->end[message->to] && message->ready < end ? end
                                                                          : message->ready + 1;
}

static void place_sends(Work *work)
{
    int nranks = work->program->nranks;
    for (int to = 0; to < nranks; to++) {
        int *before = REGION_ARRAY(work->region, int, nranks); /* by maker */
        for (int i = 0; i < work->program->ranks[to].ninstructions; i++)
            for (int m = work->needed[to][i]; m >= 0; m = work->messages[m].next_needed) {
                Message *message  = &work->messages[m];
                int     *latest   = &before[message->from];
                message->position = send_position(work, message, *latest);
                *latest           = message->position > *latest ? message->position : *latest;
            }
    }
}

/* ---- the queues ---- */

/* The messages of one rank in the order of its sends, or of one queue. */
typedef struct Line {
    int *messages;
    int  count, room;
} Line;

typedef struct Sortable {
    int position, need, message;
} Sortable;

static int by_position(const void *a, const void *b)
{
    const Sortable *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    if (x->need != y->need)
        return x->need < y->need ? -1 : 1;
    return x->message < y->message ? -1 : x->message > y->message;
}

/* sends [nranks], by rank; queues [nranks][nranks], from, to: both in the order of sends. */
static void line_up(Work *work, Line *sends, Line *queues)
{
    int       nranks = work->program->nranks;
    Sortable *sorted = REGION_ARRAY(work->region, Sortable, work->nmessages);
    for (int m = 0; m < work->nmessages; m++)
        sorted[m] = (Sortable){work->messages[m].position, work->messages[m].need, m};
    qsort(sorted, (size_t)work->nmessages, sizeof *sorted, by_position);
    for (int i = 0; i < work->nmessages; i++) {
        const Message *message = &work->messages[sorted[i].message];
        Line          *send    = &sends[message->from];
        Line          *queue   = &queues[message->from * nranks + message->to];
        REGION_APPEND(work->region, send->messages, send->count, send->room, sorted[i].message);
        REGION_APPEND(work->region, queue->messages, queue->count, queue->room, sorted[i].message);
    }
}

/* A send whose `sent` is still to come: before which of the rank's marks, at the latest before its
 * rows are written. */
typedef struct Unsent {
    int     peer, number, mark;
    Operand operand;
} Unsent;

/* A rank's instructions while messages are put between them. */
typedef struct Writing {
    Work        *work;
    int          rank, marks; /* passed so far                                                  */
    Instruction *instructions;
    int          count, room;
    int          next_number; /* of a message                                                   */
    Unsent      *unsent;      /* in the order of sends                                          */
    int          nunsent, unsent_room;
    Touches      touches;
    Line         sends;
    int          next_send;
    Line       **from;   /* [nranks] queues to this rank                                        */
    int         *posted; /* [nranks] how many of the queue have their receive                   */
    int         *number; /* [nmessages] of receives                                             */
} Writing;

static void write_message(Writing *writing, PwInstructionKind kind, int peer, int number,
                          const Message *message)
{
    const Work        *work = writing->work;
    const Instruction *user = &work->program->ranks[message->to].instructions[message->need];
    bool               send = kind == PW_SEND;
    Instruction        made = {.kind      = kind,
                               .chunk     = user->chunk,
                               .layer     = user->layer,
                               .peer      = peer,
                               .message   = number,
                               .operands  = REGION_NEW(work->region, Operand),
                               .noperands = 1};
    *made.operands = (Operand){send ? message->from_buffer : message->to_buffer, message->row,
                               message->rows, send ? ACCESS_READ : ACCESS_WRITE};
    REGION_APPEND(work->region, writing->instructions, writing->count, writing->room, made);
}

static void write_end(Writing *writing, PwInstructionKind kind, int peer, int number,
                      const Instruction *user)
{
    Instruction made = {.kind    = kind,
                        .chunk   = user ? user->chunk : -1,
                        .layer   = user ? user->layer : -2,
                        .peer    = peer,
                        .message = number};
    REGION_APPEND(writing->work->region, writing->instructions, writing->count, writing->room,
                  made);
}

static void write_sends(Writing *writing, int position)
{
    for (; writing->next_send < writing->sends.count; writing->next_send++) {
        const Message *message =
            &writing->work->messages[writing->sends.messages[writing->next_send]];
        if (message->position > position)
            return;
        Unsent unsent = {message->to,
                         writing->next_number++,
                         writing->marks + 2,
                         {message->from_buffer, message->row, message->rows, ACCESS_READ}};
        write_message(writing, PW_SEND, message->to, unsent.number, message);
        REGION_APPEND(writing->work->region, writing->unsent, writing->nunsent,
                      writing->unsent_room, unsent);
    }
}

/* `sent` of what has waited long enough, and of what the next instruction writes. */
static void write_sents(Writing *writing, const Instruction *next)
{
    int left = 0;
    for (int i = 0; i < writing->nunsent; i++) {
        const Unsent *unsent = &writing->unsent[i];
        bool          keep =
            next && unsent->mark > writing->marks &&
            !writes_rows(&writing->touches, next, writing->work->codelets, &unsent->operand);
        if (keep)
            writing->unsent[left++] = *unsent;
        else
            write_end(writing, PW_SENT, unsent->peer, unsent->number, NULL);
    }
    writing->nunsent = left;
}

/* All receives of the queue up to this message, as far as they are not posted. */
static void post_receives(Writing *writing, int m)
{
    int   peer  = writing->work->messages[m].from;
    Line *queue = writing->from[peer];
    while (writing->number[m] < 0) {
        int next              = queue->messages[writing->posted[peer]++];
        writing->number[next] = writing->next_number++;
        write_message(writing, PW_RECEIVE, peer, writing->number[next],
                      &writing->work->messages[next]);
    }
}

static void write_receives(Writing *writing, int instruction)
{
    const Work        *work  = writing->work;
    const Instruction *user  = &work->program->ranks[writing->rank].instructions[instruction];
    int                first = work->needed[writing->rank][instruction];
    for (int m = first; m >= 0; m = work->messages[m].next_needed)
        post_receives(writing, m);
    for (int m = first; m >= 0; m = work->messages[m].next_needed)
        write_end(writing, PW_WAIT, work->messages[m].from, writing->number[m], user);
}

static void write_rank(Writing *writing)
{
    RankProgram *rank = &writing->work->program->ranks[writing->rank];
    for (int i = 0; i < rank->ninstructions; i++) {
        write_sends(writing, i);
        writing->marks += rank->instructions[i].kind == PW_MARK;
        write_sents(writing, &rank->instructions[i]);
        write_receives(writing, i);
        REGION_APPEND(writing->work->region, writing->instructions, writing->count, writing->room,
                      rank->instructions[i]);
    }
    write_sends(writing, rank->ninstructions);
    write_sents(writing, NULL);
}

static void write_ranks(Work *work)
{
    int      nranks   = work->program->nranks;
    Line    *sends    = REGION_ARRAY(work->region, Line, nranks);
    Line    *queues   = REGION_ARRAY(work->region, Line, nranks * nranks);
    Writing *writings = REGION_ARRAY(work->region, Writing, nranks);
    line_up(work, sends, queues);
    for (int rank = 0; rank < nranks; rank++) {
        Writing *writing = &writings[rank];
        *writing         = (Writing){.work    = work,
                                     .touches = {.region = work->region},
                                     .rank    = rank,
                                     .sends   = sends[rank],
                                     .from    = REGION_ARRAY(work->region, Line *, nranks),
                                     .posted  = REGION_ARRAY(work->region, int, nranks),
                                     .number  = REGION_ARRAY(work->region, int, work->nmessages)};
        for (int from = 0; from < nranks; from++)
            writing->from[from] = &queues[from * nranks + rank];
        for (int m = 0; m < work->nmessages; m++)
            writing->number[m] = -1;
        write_rank(writing);
    }
    for (int rank = 0; rank < nranks; rank++) { /* only now: messages name old instructions */
        work->program->ranks[rank].instructions  = writings[rank].instructions;
        work->program->ranks[rank].ninstructions = writings[rank].count;
    }
}

bool communicate(Program *program, const Codelets *codelets, Error *error)
{
    if (!program_check(program, codelets, NULL, error))
        return false;
    Work work    = {.region = program->region, .codelets = codelets, .program = program};
    work.end     = REGION_ARRAY(program->region, int, program->nranks);
    work.needed  = REGION_ARRAY(program->region, int *, program->nranks);
    work.opening = REGION_ARRAY(program->region, int, program->nranks);
    find_values(&work);
    find_pieces(&work);
    for (int rank = 0; rank < program->nranks; rank++)
        find_messages(&work, rank);
    place_sends(&work);
    write_ranks(&work);
    return run_weakest(program, codelets, error);
}
