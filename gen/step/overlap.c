/* overlap: posts receives early, so that bytes travel while the rank still computes.
 *   reads    a program with messages
 *   writes   the places of receives, their notes, Program.order
 *   fails    never on what communicate made
 *   stands   before allocate: a receive holds its buffer from its post on
 * A receive goes to the beginning of the operation that lies `ahead` operations before, but not
 * before the receive that is posted before it in its queue, nor before an instruction that touches
 * its buffer. Earlier posts cannot make anyone wait: nobody waits for a receive's post but `sent`.
 */
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

/* The earliest place for the receive, walking back over `ahead` operations and the rest of its own.
 */
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

bool overlap(Program *program, const Codelets *codelets, int ahead, Error *error)
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
    for (int rank = 0; rank < program->nranks; rank++)
        note_receives(region, &program->ranks[rank]);
    return true;
}
