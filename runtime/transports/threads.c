/* threads: ranks of one process. Whoever reaches an entry of a queue second copies the bytes, from
 * the sender's arena to the receiver's, and so never waits. Earlier entries are done by then: a
 * rank comes to an entry only after it has copied all those before it that were its to copy, and
 * this holds for both sides. A side that waits spins for a while where each rank has a core, and
 * sleeps on a futex. */
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/stored_program.h"
#include "runtime/transports/transport.h"

/* An entry's state: how many sides have reached it, then DONE; SLEEPER beside it: somebody must be
 * woken. */
enum { SECOND = 1, SIDES = 3, DONE = 4, SLEEPER = 8, SPINS = 20000 };

typedef struct Entry {
    _Alignas(64) _Atomic uint32_t state;
    const void *from;
    void       *to;
    int64_t     sent_bytes, received_bytes;
} Entry;

typedef struct Queue {
    Entry  *entries;
    int64_t sent, received; /* entries that the sender, the receiver has reached               */
} Queue;

/* One rank's messages; on cache lines of its own. */
typedef struct Side {
    _Alignas(64) Entry **entry; /* [messages]                                                  */
    int64_t room;
} Side;

typedef struct Threads {
    PwTransport transport; /* first: the interface's pointer is this one                       */
    bool        spin;
    Queue      *queues; /* [from][to]                                                          */
    Side       *sides;  /* [rank]                                                              */
    bool       *here;   /* [rank] all true                                                     */
    Entry      *entries;
    int64_t     room; /* of entries                                                            */
} Threads;

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_until_done(const Threads *threads, Entry *entry)
{
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    for (int i = 0; threads->spin && i < SPINS && !(state & DONE); i++) {
        pause_a_little();
        state = atomic_load_explicit(&entry->state, memory_order_acquire);
    }
    while (!(state & DONE)) {
        if (atomic_compare_exchange_weak(&entry->state, &state, state | SLEEPER))
            syscall(SYS_futex, &entry->state, FUTEX_WAIT_PRIVATE, state | SLEEPER, NULL, NULL, 0);
        state = atomic_load_explicit(&entry->state, memory_order_acquire);
    }
}

static void reach(Entry *entry, int rank, int peer)
{
    uint32_t before = atomic_fetch_add_explicit(&entry->state, 1, memory_order_acq_rel);
    if ((before & SIDES) != SECOND)
        return;
    if (entry->sent_bytes != entry->received_bytes)
        pw_die(PW_EXIT_FAILED,
               "rank %d: a message of %lld bytes meets a receive of %lld; the other "
               "side is rank %d",
               rank, (long long)entry->sent_bytes, (long long)entry->received_bytes, peer);
    memcpy(entry->to, entry->from, (size_t)entry->sent_bytes);
    before = atomic_exchange_explicit(&entry->state, DONE, memory_order_acq_rel);
    if (before & SLEEPER)
        syscall(SYS_futex, &entry->state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void send_bytes(PwTransport *transport, int rank, int peer, int message, const void *bytes,
                       int64_t count)
{
    Threads *threads                    = (Threads *)transport;
    Queue   *queue                      = &threads->queues[rank * threads->transport.nranks + peer];
    Entry   *entry                      = &queue->entries[queue->sent++];
    entry->from                         = bytes;
    entry->sent_bytes                   = count;
    threads->sides[rank].entry[message] = entry;
    reach(entry, rank, peer);
}

static void receive_bytes(PwTransport *transport, int rank, int peer, int message, void *bytes,
                          int64_t count)
{
    Threads *threads                    = (Threads *)transport;
    Queue   *queue                      = &threads->queues[peer * threads->transport.nranks + rank];
    Entry   *entry                      = &queue->entries[queue->received++];
    entry->to                           = bytes;
    entry->received_bytes               = count;
    threads->sides[rank].entry[message] = entry;
    reach(entry, rank, peer);
}

static void wait_for(PwTransport *transport, int rank, int message)
{
    Threads *threads = (Threads *)transport;
    Entry   *entry   = threads->sides[rank].entry[message];
    if (!entry)
        pw_die(PW_EXIT_FAILED, "rank %d: message %d was never begun", rank, message);
    wait_until_done(threads, entry);
}

/* How many messages each queue will carry: what its sender sends or its receiver opens itself to,
 * the larger. For now `sent` and `received` are those numbers. */
static void count_messages(Threads *threads, const PwProgram *program)
{
    memset(threads->queues, 0,
           (size_t)(threads->transport.nranks * threads->transport.nranks) * sizeof(Queue));
    for (int number = 0; number < threads->transport.nranks; number++) {
        const PwRank        *rank = pw_program_rank(program, number);
        const PwInstruction *list = pw_rank_instructions(program, rank);
        for (uint64_t i = 0; i < rank->ninstructions; i++) {
            if (list[i].kind == PW_SEND)
                threads->queues[number * threads->transport.nranks + list[i].peer].sent++;
            if (list[i].kind == PW_RECEIVE)
                threads->queues[list[i].peer * threads->transport.nranks + number].received++;
        }
    }
}

static bool make_room(Threads *threads, int64_t needed)
{
    if (needed <= threads->room)
        return true;
    free(threads->entries);
    threads->room    = needed + needed / 2;
    threads->entries = aligned_alloc(64, (size_t)threads->room * sizeof(Entry));
    return threads->entries != NULL;
}

static bool make_sides(Threads *threads, const PwProgram *program)
{
    for (int i = 0; i < threads->transport.nranks; i++) {
        Side   *side   = &threads->sides[i];
        int64_t needed = pw_rank_messages(program, pw_program_rank(program, i));
        if (needed > side->room) {
            free(side->entry);
            side->room  = needed + needed / 2;
            side->entry = malloc((size_t)side->room * sizeof(Entry *));
        }
        if (side->room > 0 && !side->entry)
            return false;
        if (needed > 0)
            memset(side->entry, 0, (size_t)needed * sizeof(Entry *));
    }
    return true;
}

static bool begin_step(PwTransport *transport, const PwProgram *program, PwError *error)
{
    Threads *threads = (Threads *)transport;
    int      pairs   = threads->transport.nranks * threads->transport.nranks;
    int64_t  total   = 0;
    count_messages(threads, program);
    for (Queue *queue = threads->queues; queue < threads->queues + pairs; queue++) {
        int64_t messages = queue->sent > queue->received ? queue->sent : queue->received;
        queue->sent      = total; /* for now: where its entries begin */
        total += messages;
    }
    if (!make_room(threads, total) || !make_sides(threads, program))
        return pw_fail(error, "no memory for the queues of %lld messages", (long long)total);
    if (total > 0)
        memset(threads->entries, 0, (size_t)total * sizeof(Entry));
    for (Queue *queue = threads->queues; queue < threads->queues + pairs; queue++)
        *queue = (Queue){.entries = threads->entries + queue->sent};
    return true;
}

/* Whoever comes second copies: nothing waits for a call. */
static void poll_nothing(PwTransport *transport)
{
    (void)transport;
}

static void close_threads(PwTransport *transport)
{
    Threads *threads = (Threads *)transport;
    for (int i = 0; threads->sides && i < threads->transport.nranks; i++)
        free(threads->sides[i].entry);
    free(threads->here);
    free(threads->sides);
    free(threads->queues);
    free(threads->entries);
    free(threads);
}

PwTransport *pw_threads_open(int nranks, bool spin)
{
    Threads *threads = calloc(1, sizeof *threads);
    if (!threads)
        return NULL;
    *threads = (Threads){.transport = {.name    = "threads",
                                       .nranks  = nranks,
                                       .count   = nranks,
                                       .ncores  = pw_cores(),
                                       .awaited = -1,
                                       .begin   = begin_step,
                                       .send    = send_bytes,
                                       .sent    = wait_for,
                                       .receive = receive_bytes,
                                       .wait    = wait_for,
                                       .poll    = poll_nothing,
                                       .close   = close_threads},
                         .spin      = spin,
                         .queues    = calloc((size_t)(nranks * nranks), sizeof(Queue)),
                         .sides     = aligned_alloc(64, (size_t)nranks * sizeof(Side)),
                         .here      = malloc((size_t)nranks)};
    if (threads->sides) /* zeroed whatever else fails: closing looks at them */
        memset(threads->sides, 0, (size_t)nranks * sizeof(Side));
    if (!threads->queues || !threads->sides || !threads->here)
        return close_threads(&threads->transport), NULL;
    memset(threads->here, true, (size_t)nranks);
    threads->transport.here = threads->here;
    return &threads->transport;
}
