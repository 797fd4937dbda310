/* overlap: posts receives early, so that bytes travel while the rank still computes, and asks late
 * whether what it sent has gone, so that no sender waits for a receiver.
 *   reads    a program with messages; the cost table
 *   writes   the places of receives and `sent`s, notes of receives, Program.order
 *   fails    never on what communicate made
 *   stands   before allocate: a receive holds its buffer from its post on, a send until its `sent`
 * A receive goes to the beginning of the operation that lies `ahead` operations before, but not
 * before the receive that is posted before it in its queue, nor before an instruction that touches
 * its buffer. Earlier posts cannot make anyone wait: nobody waits for a receive's post but `sent`.
 * A `sent` goes to the first border between operations by which its message is done, as far as the
 * cost table knows, but not behind an instruction that writes its rows. */
#include "gen/cost/simulate.h"
#include "gen/step/touch.h"
#include "gen/step/weakest.h"

/* Receives that go before one instruction, in their old order. */
typedef struct Moved {
    int *receives, count, room;
} Moved;

typedef struct Mover {
    Region         *region;
    RankProgram    *rank;
    const Codelets *codelets;
    int            *target; /* [ninstructions] where a receive goes; its own place: it stays */
    int            *last;   /* [nranks] behind the last receive from that peer               */
    Touches         touches;
} Mover;

static bool touches_buffer(Mover *mover, int instruction, int buffer)
{
    find_touches(&mover->touches, &mover->rank->instructions[instruction], mover->codelets);
    for (int i = 0; i < mover->touches.count; i++)
        if (mover->touches.items[i].buffer == buffer)
            return true;
    return false;
}

/* The earliest place for the receive, walking back over `ahead` operations and the rest of its
 * own. */
static int earliest(Mover *mover, int receive, int ahead)
{
    const Instruction *instructions = mover->rank->instructions;
    int                buffer       = instructions[receive].operands[0].buffer;
    int                least        = mover->last[instructions[receive].peer];
    int                at           = receive;
    for (int marks = 0; at > least; at--) {
        marks += instructions[at - 1].kind == PW_MARK;
        if (marks > ahead || touches_buffer(mover, at - 1, buffer))
            break;
    }
    return at;
}

static void find_targets(Mover *mover, int ahead)
{
    for (int i = 0; i < mover->rank->ninstructions; i++) {
        mover->target[i]      = i;
        const Instruction *at = &mover->rank->instructions[i];
        if (at->kind != PW_RECEIVE)
            continue;
        mover->target[i]      = earliest(mover, i, ahead);
        mover->last[at->peer] = mover->target[i] < i ? mover->target[i] : i + 1;
    }
}

static void move_receives(Mover *mover)
{
    RankProgram *rank = mover->rank;
    int          n = rank->ninstructions, count = 0;
    Moved       *moved = REGION_ARRAY(mover->region, Moved, n);
    Instruction *made  = REGION_ARRAY(mover->region, Instruction, n);
    for (int i = 0; i < n; i++)
        if (mover->target[i] != i) {
            Moved *to = &moved[mover->target[i]];
            REGION_APPEND(mover->region, to->receives, to->count, to->room, i);
        }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < moved[i].count; k++)
            made[count++] = rank->instructions[moved[i].receives[k]];
        if (mover->target[i] == i)
            made[count++] = rank->instructions[i];
    }
    rank->instructions = made;
}

/* Where the wait of an early receive stands now. */
static void note_receives(Region *region, RankProgram *rank)
{
    int *posted = REGION_ARRAY(region, int, rank->ninstructions);
    for (int i = 0; i < rank->ninstructions; i++) {
        Instruction *at = &rank->instructions[i];
        if (at->kind == PW_RECEIVE)
            posted[at->message] = i;
        if (at->kind != PW_WAIT)
            continue;
        Instruction *receive = &rank->instructions[posted[at->message]];
        receive->note        = NULL;
        for (int k = posted[at->message]; k < i && !receive->note; k++)
            if (rank->instructions[k].kind == PW_MARK)
                receive->note = region_format(region, "early: needed at %d", i);
    }
}

/* ---- sents ---- */

/* A rank's instructions while its `sent`s move. */
typedef struct Releaser {
    const RankProgram  *rank;
    const Codelets     *codelets;
    const double       *begin, *done; /* by instruction, by message                              */
    Instruction        *made;
    int                 count;
    const Instruction **open, **closing; /* sends on their way, oldest first; by message: `sent` */
    int                 nopen;
    Touches             touches;
} Releaser;

/* Closes what is done before instruction `i`, or what it writes; at the rank's end everything. */
static void release(Releaser *releaser, int i)
{
    const Instruction *next =
        i < releaser->rank->ninstructions ? &releaser->rank->instructions[i] : NULL;
    int left = 0;
    for (int k = 0; k < releaser->nopen; k++) {
        const Instruction *send = releaser->open[k];
        bool               keeps =
            next &&
            !(next->kind == PW_MARK && releaser->done[send->message] <= releaser->begin[i]) &&
            !writes_rows(&releaser->touches, next, releaser->codelets, send->operands);
        if (keeps)
            releaser->open[left++] = send;
        else
            releaser->made[releaser->count++] = *releaser->closing[send->message];
    }
    releaser->nopen = left;
}

static void move_sents(Releaser *releaser)
{
    const RankProgram *rank = releaser->rank;
    for (int i = 0; i < rank->ninstructions; i++)
        if (rank->instructions[i].kind == PW_SENT)
            releaser->closing[rank->instructions[i].message] = &rank->instructions[i];
    for (int i = 0; i < rank->ninstructions; i++) {
        const Instruction *at = &rank->instructions[i];
        if (at->kind == PW_SENT)
            continue;
        release(releaser, i);
        if (at->kind == PW_SEND)
            releaser->open[releaser->nopen++] = at;
        releaser->made[releaser->count++] = *at;
    }
    release(releaser, rank->ninstructions);
}

static bool release_sends(Program *program, const Codelets *codelets, const Cost *cost,
                          Error *error)
{
    Region  *region = program->region;
    double **begin  = REGION_ARRAY(region, double *, program->nranks);
    double **done   = REGION_ARRAY(region, double *, program->nranks);
    for (int rank = 0; rank < program->nranks; rank++) {
        begin[rank] = REGION_ARRAY(region, double, program->ranks[rank].ninstructions);
        done[rank]  = REGION_ARRAY(region, double, program->ranks[rank].ninstructions);
    }
    if (!simulate_freely(program, codelets, cost, begin, done, error))
        return false;
    for (int rank = 0; rank < program->nranks; rank++) {
        RankProgram *own      = &program->ranks[rank];
        int          n        = own->ninstructions;
        Releaser     releaser = {.rank     = own,
                                 .codelets = codelets,
                                 .begin    = begin[rank],
                                 .done     = done[rank],
                                 .made     = REGION_ARRAY(region, Instruction, n),
                                 .open     = REGION_ARRAY(region, const Instruction *, n),
                                 .closing  = REGION_ARRAY(region, const Instruction *, n),
                                 .touches  = {.region = region}};
        move_sents(&releaser);
        own->instructions = releaser.made;
    }
    return true;
}

bool overlap(Program *program, const Codelets *codelets, const Cost *cost, int ahead, Error *error)
{
    if (!program_check(program, codelets, NULL, error))
        return false;
    Region *region = program->region;
    for (int rank = 0; rank < program->nranks && ahead > 0; rank++) {
        RankProgram *own   = &program->ranks[rank];
        Mover        mover = {region,
                              own,
                              codelets,
                              REGION_ARRAY(region, int, own->ninstructions),
                              REGION_ARRAY(region, int, program->nranks),
                              {.region = region}};
        find_targets(&mover, ahead);
        move_receives(&mover);
    }
    if (!run_weakest(program, codelets, error))
        return false;
    if (cost &&
        (!release_sends(program, codelets, cost, error) || !run_weakest(program, codelets, error)))
        return false;
    for (int rank = 0; rank < program->nranks; rank++)
        note_receives(region, &program->ranks[rank]);
    return true;
}
