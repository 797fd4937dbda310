/* weakest: a run without times, see weakest.h.
 *   reads    a program with messages
 *   writes   Program.order; the places of `sent`s that would stop everyone
 *   fails    a wait for ever: the rank and instruction
 * A rank runs an operation or until it has to wait, then the next one does. Whether all come to
 * their end does not depend on that choice, since nothing that one rank does takes anything from
 * another. */
#include "gen/step/weakest.h"

#include "gen/step/touch.h"

/* One direction between two ranks. */
typedef struct Queue {
    int sends, receives; /* reached so far */
} Queue;

typedef struct Runner {
    const Instruction  *at, *past; /* what is left of the rank's instructions                 */
    Instruction        *done;      /* in the order in which they ran                          */
    int                 ndone;
    int                *entry;  /* [message] its place in its queue                           */
    const Instruction **opener; /* [message] its send or receive                              */
    const Instruction **held;   /* `sent`s that were put off, oldest first                    */
    int                 nheld;
} Runner;

typedef struct Machine {
    Program        *program;
    const Codelets *codelets;
    Touches         touches;
    Runner *runners; /* [nranks]                                                           */
    Queue  *queues;  /* [nranks][nranks]: from, to                                         */
} Machine;

static Queue *queue_of(const Machine *machine, int from, int to)
{
    return &machine->queues[from * machine->program->nranks + to];
}

static bool may_run(const Machine *machine, int rank, const Instruction *instruction)
{
    const Queue *queue = NULL;
    if (instruction->kind == PW_SENT)
        queue = queue_of(machine, rank, instruction->peer);
    if (instruction->kind == PW_WAIT)
        queue = queue_of(machine, instruction->peer, rank);
    if (!queue)
        return true;
    int entry = machine->runners[rank].entry[instruction->message];
    return entry < queue->sends && entry < queue->receives;
}

static void run_instruction(Machine *machine, int rank, const Instruction *instruction)
{
    Runner *runner = &machine->runners[rank];
    if (instruction->kind == PW_SEND || instruction->kind == PW_RECEIVE)
        runner->opener[instruction->message] = instruction;
    if (instruction->kind == PW_SEND)
        runner->entry[instruction->message] = queue_of(machine, rank, instruction->peer)->sends++;
    if (instruction->kind == PW_RECEIVE)
        runner->entry[instruction->message] =
            queue_of(machine, instruction->peer, rank)->receives++;
    Program *program                  = machine->program;
    program->order[program->norder++] = (PwOrder){rank, runner->ndone};
    runner->done[runner->ndone++]     = *instruction;
}

/* `sent`s that were put off and would not wait now. Returns whether any ran. */
static bool run_held(Machine *machine, int rank)
{
    Runner *runner = &machine->runners[rank];
    int     left = 0, before = runner->nheld;
    for (int i = 0; i < before; i++) {
        if (may_run(machine, rank, runner->held[i]))
            run_instruction(machine, rank, runner->held[i]);
        else
            runner->held[left++] = runner->held[i];
    }
    runner->nheld = left;
    return left < before;
}

/* Whether the instruction writes what a send that has no `sent` yet still reads. */
static bool writes_sent_rows(Machine *machine, int rank, const Instruction *instruction)
{
    const Runner *runner = &machine->runners[rank];
    for (int i = 0; i < runner->nheld; i++)
        if (writes_rows(&machine->touches, instruction, machine->codelets,
                        runner->opener[runner->held[i]->message]->operands))
            return true;
    return false;
}

/* Runs the rank to its next mark, or until it has to wait. Returns whether it came any further. */
static bool run_rank(Machine *machine, int rank)
{
    Runner            *runner   = &machine->runners[rank];
    const Instruction *before   = runner->at;
    bool               released = false;
    for (; runner->at < runner->past && may_run(machine, rank, runner->at); runner->at++) {
        if (runner->at->kind == PW_MARK && runner->at > before)
            break;
        if (runner->at->kind == PW_MARK || writes_sent_rows(machine, rank, runner->at))
            released = run_held(machine, rank) || released;
        if (writes_sent_rows(machine, rank, runner->at))
            break;
        run_instruction(machine, rank, runner->at);
    }
    if (runner->at == runner->past)
        released = run_held(machine, rank) || released;
    return released || runner->at > before;
}

/* Puts off every `sent` that a rank waits at. Returns whether there was one. */
static bool put_off(Machine *machine)
{
    bool any = false;
    for (int rank = 0; rank < machine->program->nranks; rank++) {
        Runner *runner = &machine->runners[rank];
        if (runner->at == runner->past || runner->at->kind != PW_SENT)
            continue;
        runner->held[runner->nheld++] = runner->at++;
        any                           = true;
    }
    return any;
}

static void start(Machine *machine)
{
    Program *program = machine->program;
    Region  *region  = program->region;
    int64_t  all     = 0;
    for (int rank = 0; rank < program->nranks; rank++) {
        const RankProgram *own = &program->ranks[rank];
        machine->runners[rank] =
            (Runner){.at     = own->instructions,
                     .past   = own->instructions + own->ninstructions,
                     .done   = REGION_ARRAY(region, Instruction, own->ninstructions),
                     .entry  = REGION_ARRAY(region, int, own->ninstructions),
                     .opener = REGION_ARRAY(region, const Instruction *, own->ninstructions),
                     .held   = REGION_ARRAY(region, const Instruction *, own->ninstructions)};
        all += own->ninstructions;
    }
    program->order  = REGION_ARRAY(region, PwOrder, all);
    program->norder = 0;
}

bool run_weakest(Program *program, const Codelets *codelets, Error *error)
{
    Region *region  = program->region;
    int     nranks  = program->nranks;
    Machine machine = {program,
                       codelets,
                       {.region = region},
                       REGION_ARRAY(region, Runner, nranks),
                       REGION_ARRAY(region, Queue, nranks * nranks)};
    start(&machine);
    for (bool moved = true; moved; moved = moved || put_off(&machine)) {
        moved = false;
        for (int rank = 0; rank < nranks; rank++)
            moved = run_rank(&machine, rank) || moved;
    }
    for (int rank = 0; rank < nranks; rank++) {
        Runner *runner = &machine.runners[rank];
        if (runner->at == runner->past && !runner->nheld)
            continue;
        const Instruction *at = runner->at < runner->past ? runner->at : runner->held[0];
        return error_input(error, "rank %d waits for ever at instruction %d: %s, message %d", rank,
                           runner->ndone, instruction_names[at->kind], at->message);
    }
    for (int rank = 0; rank < nranks; rank++)
        program->ranks[rank].instructions = machine.runners[rank].done;
    return true;
}
