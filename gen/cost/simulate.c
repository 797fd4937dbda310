/* simulate: how long a program takes by the cost table, message by message.
 *   reads    a program with messages and its order; the cost table
 *   writes   Instruction.predicted of calls and sends, Program.predicted_seconds
 *   fails    a codelet that the cost table lacks
 * A rank runs its instructions one after the other. A message starts when both sides have reached
 * it and the queue's earlier ones are done, and takes what the cost table says, beside the ranks'
 * work; `sent` and `wait` last until it is done. What moves no bytes between ranks and calls
 * nothing takes no time: a load, an add, a clear are small beside the codelets. */
#include "gen/cost/simulate.h"

/* One direction between two ranks: when each side reached each entry, and when it was done. */
typedef struct Queue {
    double  *sent, *received, *done;
    int      nsent, nreceived, ndone, sent_room, received_room, done_room;
    int64_t *bytes;
    int      nbytes, bytes_room;
} Queue;

typedef struct Simulation {
    Program            *program;
    const Codelets     *codelets;
    const Cost         *cost;
    const CodeletCost **entries; /* [codelets->count] NULL: not looked up                   */
    Queue              *queues;  /* [nranks][nranks] from, to                               */
    double             *now;     /* [nranks]                                                */
    int               **place;   /* [nranks][message] its entry in its queue               */
    CostSegment        *segments;
    int                 segment_room;
    bool                freely; /* no `sent` waits                                         */
} Simulation;

static bool call_seconds(Simulation *simulation, const Instruction *call, double *seconds,
                         Error *error)
{
    const CodeletCost **entry = &simulation->entries[call->codelet];
    const char         *name  = simulation->codelets->items[call->codelet].name;
    if (!*entry)
        *entry = cost_entry(simulation->cost, name);
    if (!*entry)
        return error_input(error, "cost table %s has no entry for %s; run `pipewright tune`",
                           simulation->cost->name, name);
    int count = 0;
    for (int s = 0; s < call->nsegments; s++)
        REGION_APPEND(simulation->program->region, simulation->segments, count,
                      simulation->segment_room,
                      ((CostSegment){call->segments[s].tokens, call->segments[s].context}));
    *seconds = seconds_of_entry(*entry, call->chunk >= 0 ? call->tokens : call->count,
                                simulation->segments, count);
    return true;
}

/* Entries that both sides have reached are done one after the other. */
static void advance(const Simulation *simulation, Queue *queue)
{
    Region *region = simulation->program->region;
    while (queue->ndone < queue->nsent && queue->ndone < queue->nreceived) {
        int    i     = queue->ndone;
        double begin = queue->sent[i] > queue->received[i] ? queue->sent[i] : queue->received[i];
        if (i && queue->done[i - 1] > begin)
            begin = queue->done[i - 1];
        double done = begin + seconds_of_message(simulation->cost, queue->bytes[i]);
        REGION_APPEND(region, queue->done, queue->ndone, queue->done_room, done);
    }
}

static int64_t operand_bytes(const RankProgram *rank, const Operand *operand)
{
    return operand->rows * rank->buffers[operand->buffer].row_bytes;
}

static void reach(Simulation *simulation, int rank, const Instruction *instruction)
{
    Region *region = simulation->program->region;
    bool    send   = instruction->kind == PW_SEND;
    int     from = send ? rank : instruction->peer, to = send ? instruction->peer : rank;
    Queue  *queue = &simulation->queues[from * simulation->program->nranks + to];
    simulation->place[rank][instruction->message] = send ? queue->nsent : queue->nreceived;
    if (send) {
        int64_t bytes = operand_bytes(&simulation->program->ranks[rank], instruction->operands);
        REGION_APPEND(region, queue->bytes, queue->nbytes, queue->bytes_room, bytes);
        REGION_APPEND(region, queue->sent, queue->nsent, queue->sent_room, simulation->now[rank]);
    } else {
        REGION_APPEND(region, queue->received, queue->nreceived, queue->received_room,
                      simulation->now[rank]);
    }
    advance(simulation, queue);
}

static void wait_for(Simulation *simulation, int rank, const Instruction *instruction)
{
    bool         sent = instruction->kind == PW_SENT;
    int          from = sent ? rank : instruction->peer, to = sent ? instruction->peer : rank;
    const Queue *queue = &simulation->queues[from * simulation->program->nranks + to];
    int          place = simulation->place[rank][instruction->message];
    if (place >= queue->ndone)
        bug("the order lets rank %d wait for a message that has not begun", rank);
    if (queue->done[place] > simulation->now[rank])
        simulation->now[rank] = queue->done[place];
}

static bool run(Simulation *simulation, int rank, Instruction *instruction, Error *error)
{
    switch (instruction->kind) {
    case PW_CALL:
        if (!call_seconds(simulation, instruction, &instruction->predicted, error))
            return false;
        simulation->now[rank] += instruction->predicted;
        return true;
    case PW_SEND:
        instruction->predicted =
            seconds_of_message(simulation->cost, operand_bytes(&simulation->program->ranks[rank],
                                                               instruction->operands));
        reach(simulation, rank, instruction);
        return true;
    case PW_RECEIVE:
        reach(simulation, rank, instruction);
        return true;
    case PW_SENT:
        if (!simulation->freely)
            wait_for(simulation, rank, instruction);
        return true;
    case PW_WAIT:
        wait_for(simulation, rank, instruction);
        return true;
    default:
        return true;
    }
}

static Simulation new_simulation(Program *program, const Codelets *codelets, const Cost *cost)
{
    Region    *region     = program->region;
    int        nranks     = program->nranks;
    Simulation simulation = {.program  = program,
                             .codelets = codelets,
                             .cost     = cost,
                             .entries  = REGION_ARRAY(region, const CodeletCost *, codelets->count),
                             .queues   = REGION_ARRAY(region, Queue, nranks * nranks),
                             .now      = REGION_ARRAY(region, double, nranks),
                             .place    = REGION_ARRAY(region, int *, nranks)};
    for (int rank = 0; rank < nranks; rank++)
        simulation.place[rank] = REGION_ARRAY(region, int, program->ranks[rank].ninstructions);
    return simulation;
}

bool simulate(Program *program, const Codelets *codelets, const Cost *cost, Error *error)
{
    Simulation simulation = new_simulation(program, codelets, cost);
    for (int64_t i = 0; i < program->norder; i++) {
        PwOrder at = program->order[i];
        if (!run(&simulation, at.rank, &program->ranks[at.rank].instructions[at.instruction],
                 error))
            return false;
    }
    program->predicted_seconds = 0;
    for (int rank = 0; rank < program->nranks; rank++)
        if (simulation.now[rank] > program->predicted_seconds)
            program->predicted_seconds = simulation.now[rank];
    return true;
}

bool simulate_freely(Program *program, const Codelets *codelets, const Cost *cost, double **begin,
                     double **done, Error *error)
{
    Simulation simulation = new_simulation(program, codelets, cost);
    simulation.freely     = true;
    for (int64_t i = 0; i < program->norder; i++) {
        PwOrder at                     = program->order[i];
        begin[at.rank][at.instruction] = simulation.now[at.rank];
        if (!run(&simulation, at.rank, &program->ranks[at.rank].instructions[at.instruction],
                 error))
            return false;
    }
    for (int rank = 0; rank < program->nranks; rank++)
        for (int i = 0; i < program->ranks[rank].ninstructions; i++) {
            const Instruction *at = &program->ranks[rank].instructions[i];
            if (at->kind == PW_SEND)
                done[rank][at->message] = simulation.queues[rank * program->nranks + at->peer]
                                              .done[simulation.place[rank][at->message]];
        }
    return true;
}
