/* prove_messages: every message sent once and received once, with the same size, on the weakest
 * machine: each ordered pair of ranks is one queue; its k-th send meets its k-th receive, once both
 * sides have reached it and the entries before it are done (NCCL's rules). `send` and `receive`
 * never block, `sent` and `wait` do. What runs here runs on every transport that is stronger. */
#include "gen/step/prove_state.h"

static bool is_opening(PwInstructionKind kind)
{
    return kind == PW_SEND || kind == PW_RECEIVE;
}

static bool is_message(PwInstructionKind kind)
{
    return is_opening(kind) || kind == PW_SENT || kind == PW_WAIT;
}

static Site site_of(Prover *prover, int rank, int number)
{
    return (Site){prover, rank, number, &prover->program->ranks[rank].instructions[number]};
}

static Queue *queue_of(Site site)
{
    const Prover *prover   = site.prover;
    bool          outwards = site.instruction->kind == PW_SEND || site.instruction->kind == PW_SENT;
    int           from     = outwards ? site.rank : site.instruction->peer;
    int           to       = outwards ? site.instruction->peer : site.rank;
    return &prover->queues[from * prover->program->nranks + to];
}

/* The entry that this send or receive is one side of. */
static void join_queue(Site site)
{
    Prover *prover = site.prover;
    Queue  *queue  = queue_of(site);
    bool    sends  = site.instruction->kind == PW_SEND;
    int     entry  = sends ? queue->sends++ : queue->receives++;
    if (entry == queue->count)
        REGION_APPEND(prover->region, queue->entries, queue->count, queue->room,
                      ((Entry){.send = -1, .receive = -1}));
    *(sends ? &queue->entries[entry].send : &queue->entries[entry].receive) = site.number;
    prover->ranks[site.rank].entry[site.number]                             = entry;
}

static const char *closing_of(PwInstructionKind kind)
{
    return kind == PW_SEND ? "sent" : "wait";
}

/* `open[message]`: its send or receive, + 1. */
static bool pair_one(Site site, int *open)
{
    const Instruction *instruction = site.instruction;
    ProvenRank        *rank        = &site.prover->ranks[site.rank];
    int                message     = instruction->message;
    if (instruction->peer < 0 || instruction->peer >= site.prover->program->nranks ||
        instruction->peer == site.rank)
        return refuse(site, "found peer %d, expected another rank", instruction->peer);
    if (message < 0 || message >= site.prover->program->ranks[site.rank].ninstructions)
        return refuse(site, "found message %d, expected a number of this rank's messages", message);
    if (is_opening(instruction->kind)) {
        if (open[message])
            return refuse(site, "found message %d of instruction %d, expected one of its own",
                          message, open[message] - 1);
        open[message] = site.number + 1;
        join_queue(site);
        return true;
    }
    PwInstructionKind  wanted = instruction->kind == PW_SENT ? PW_SEND : PW_RECEIVE;
    int                first  = open[message] - 1;
    const Instruction *opening =
        first < 0 ? NULL : &site.prover->program->ranks[site.rank].instructions[first];
    if (!opening || opening->kind != wanted || opening->peer != instruction->peer)
        return refuse(site, "found message %d, expected that of a %s %d before it", message,
                      wanted == PW_SEND ? "send to" : "receive from", instruction->peer);
    if (rank->partner[first] >= 0)
        return refuse(site,
                      "found message %d, which instruction %d has ended, expected one %s a "
                      "message",
                      message, rank->partner[first], closing_of(wanted));
    rank->partner[first]       = site.number;
    rank->partner[site.number] = first;
    rank->entry[site.number]   = rank->entry[first];
    return true;
}

static bool pair_rank(Prover *prover, int number)
{
    const RankProgram *program = &prover->program->ranks[number];
    int               *open    = REGION_ARRAY(prover->region, int, program->ninstructions);
    for (int i = 0; i < program->ninstructions; i++) {
        prover->ranks[number].partner[i] = prover->ranks[number].entry[i] = -1;
        Site site = site_of(prover, number, i);
        if (is_message(site.instruction->kind) && !pair_one(site, open))
            return false;
    }
    for (int i = 0; i < program->ninstructions; i++) {
        Site site = site_of(prover, number, i);
        if (is_opening(site.instruction->kind) && prover->ranks[number].partner[i] < 0)
            return refuse(site, "found no %s, expected one", closing_of(site.instruction->kind));
    }
    return true;
}

static int64_t message_bytes(Site site)
{
    const Instruction *instruction = site.instruction;
    const RankProgram *rank        = &site.prover->program->ranks[site.rank];
    if (instruction->noperands != 1 || instruction->operands[0].buffer < 0 ||
        instruction->operands[0].buffer >= rank->nbuffers)
        return -1;
    return instruction->operands[0].rows * rank->buffers[instruction->operands[0].buffer].row_bytes;
}

static bool match_entry(Prover *prover, int from, int to, const Entry *entry)
{
    if (entry->receive < 0)
        return refuse(site_of(prover, from, entry->send),
                      "found no receive on rank %d, expected one", to);
    Site receive = site_of(prover, to, entry->receive);
    if (entry->send < 0)
        return refuse(receive, "found no send on rank %d, expected one", from);
    Site    send  = site_of(prover, from, entry->send);
    int64_t bytes = message_bytes(receive), sent = message_bytes(send);
    if (bytes < 0 || sent < 0)
        return refuse(bytes < 0 ? receive : send, "found no operand, expected one");
    return bytes == sent || refuse(receive,
                                   "found a message of %lld bytes from instruction %d of rank %d, "
                                   "expected %lld bytes",
                                   (long long)sent, entry->send, from, (long long)bytes);
}

bool pair_messages(Prover *prover)
{
    int nranks = prover->program->nranks;
    for (int rank = 0; rank < nranks; rank++)
        if (!pair_rank(prover, rank))
            return false;
    for (int from = 0; from < nranks; from++)
        for (int to = 0; to < nranks; to++) {
            const Queue *queue = &prover->queues[from * nranks + to];
            for (int i = 0; i < queue->count; i++)
                if (!match_entry(prover, from, to, &queue->entries[i]))
                    return false;
        }
    return true;
}

/* The other side's instruction that must be issued before this one may block. */
static bool other_side_is_issued(Site site, const int *issued)
{
    const Entry *entry = &queue_of(site)->entries[site.prover->ranks[site.rank].entry[site.number]];
    int          other = site.instruction->kind == PW_SENT ? entry->receive : entry->send;
    return other < issued[site.instruction->peer];
}

bool order_respects_messages(Prover *prover)
{
    const Program *program = prover->program;
    int           *issued  = REGION_ARRAY(prover->region, int, program->nranks);
    for (int64_t i = 0; i < program->norder; i++) {
        int rank = program->order[i].rank, number = program->order[i].instruction;
        if (rank < 0 || rank >= program->nranks || number != issued[rank] ||
            number >= program->ranks[rank].ninstructions)
            return error_fail(prover->error,
                              "order of all ranks, place %lld: found instruction %d of rank %d, "
                              "expected the next one of a rank",
                              (long long)i, number, rank);
        Site site = site_of(prover, rank, number);
        if ((site.instruction->kind == PW_SENT || site.instruction->kind == PW_WAIT) &&
            !other_side_is_issued(site, issued))
            return refuse(site,
                          "found it at place %lld of the order of all ranks, expected it "
                          "behind rank %d's side of the message",
                          (long long)i, site.instruction->peer);
        issued[rank]++;
    }
    for (int rank = 0; rank < program->nranks; rank++)
        if (issued[rank] < program->ranks[rank].ninstructions)
            return refuse(site_of(prover, rank, issued[rank]),
                          "found nothing of it in the order of all ranks, expected it once");
    return true;
}

static void lock_range(Site site, int64_t at, int64_t past)
{
    ProvenRank *rank = &site.prover->ranks[site.rank];
    Lock        lock = {at, past, site.number, site.instruction->kind == PW_RECEIVE};
    REGION_APPEND(site.prover->region, rank->locks, rank->nlocks, rank->lock_room, lock);
}

static void unlock(Site site)
{
    ProvenRank *rank    = &site.prover->ranks[site.rank];
    int         opening = rank->partner[site.number];
    for (int i = 0; i < rank->nlocks; i++)
        if (rank->locks[i].instruction == opening) {
            rank->locks[i] = rank->locks[--rank->nlocks];
            return;
        }
}

static int64_t address_of(Site site)
{
    const Operand *operand = &site.instruction->operands[0];
    const Buffer  *buffer  = &site.prover->program->ranks[site.rank].buffers[operand->buffer];
    return buffer->offset + operand->row * buffer->row_bytes;
}

/* Carries over all entries that both sides have reached. The bytes are locked on both sides. */
static void advance(Prover *prover, int from, int to)
{
    Queue *queue = &prover->queues[from * prover->program->nranks + to];
    for (; queue->done < queue->count; queue->done++) {
        Entry *entry = &queue->entries[queue->done];
        if (!entry->send_reached || !entry->receive_reached)
            return;
        Site send    = site_of(prover, from, entry->send),
             receive = site_of(prover, to, entry->receive);
        memory_copy(prover, &prover->ranks[from].memory, address_of(send),
                    &prover->ranks[to].memory, address_of(receive), message_bytes(receive),
                    prover->ranks[to].partner[entry->receive]);
        entry->done = true;
    }
}

static bool open_message(Site site, Entry *entry)
{
    bool    sends = site.instruction->kind == PW_SEND;
    int64_t at, past;
    if (!operand_range(site, "bytes", &site.instruction->operands[0], &at, &past) ||
        !may_touch(site, "bytes", at, past, !sends) ||
        (sends && !expect_written(site, "bytes", at, past)) ||
        (!sends && !may_write(site, "bytes", at, past)))
        return false;
    lock_range(site, at, past);
    *(sends ? &entry->send_reached : &entry->receive_reached) = true;
    advance(site.prover, sends ? site.rank : site.instruction->peer,
            sends ? site.instruction->peer : site.rank);
    return true;
}

bool prove_message(Site site, bool *blocked)
{
    Entry *entry = &queue_of(site)->entries[site.prover->ranks[site.rank].entry[site.number]];
    if (is_opening(site.instruction->kind))
        return open_message(site, entry);
    *blocked = !entry->done;
    if (entry->done)
        unlock(site);
    return true;
}

const char *why_stuck(Site site)
{
    const Queue *queue = queue_of(site);
    const Entry *first = &queue->entries[queue->done];
    bool         out   = site.instruction->kind == PW_SENT;
    int          from  = out ? site.rank : site.instruction->peer;
    int          to    = out ? site.instruction->peer : site.rank;
    return region_format(
        site.prover->region,
        "rank %d stands at %d (%s); the next message from %d to %d is send %d, %s, "
        "to receive %d, %s",
        site.rank, site.number, in_words(site), from, to, first->send,
        first->send_reached ? "reached" : "not reached", first->receive,
        first->receive_reached ? "reached" : "not reached");
}
