/* mpi: a rank a process, on one machine or several. Compiled by `build --mpi` into a library of its
 * own, transport_mpi.so, with the compiler wrapper of the MPI that will start the processes: MPICH
 * and Open MPI agree on the source, not on what it is compiled to.
 *
 * A queue is what MPI calls messages of one sender, communicator and tag: they match in the order
 * in which they were begun (MPI 4.0, section 3.5, non-overtaking). MPI may carry small messages
 * before the receiver has come; it never carries more than the queue allows where that matters.
 *
 * MPI is called by the rank's thread inside a step and by the main thread outside, never by both at
 * once: MPI_THREAD_SERIALIZED. The one exception is MPI_Abort, which whatever thread fails calls
 * (pw_die), the watchdog's also: after it nothing returns. Waiting is a loop of tests, because
 * MPI_Wait keeps its core busy for as long as it takes, where the planner and other ranks may need
 * it. */
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/stored_program.h"
#include "runtime/transports/transport.h"

#ifndef LARGEST /* bytes that MPI's counts, which are int, can name; the tests take fewer */
#define LARGEST INT_MAX
#define BLOCK 1024 /* more are counted in these */
#endif

enum { TAG = 0, SPINS = 20000 };
enum { SHORTEST = 10000, LONGEST = 1000000, SHARE = 8 }; /* pauses, nanoseconds                */

/* One message of this rank. */
typedef struct Entry {
    MPI_Request request;
    int64_t     expected; /* bytes of a receive; -1: a send                                    */
    int         peer;
    bool        begun;
} Entry;

typedef struct Mpi {
    PwTransport transport; /* first: the interface's pointer is this one                       */
    MPI_Comm    all;
    bool        spin;
    bool       *here;    /* [nranks]                                                           */
    Entry      *entries; /* [room] the one outside of programs, then by message number         */
    int64_t     room;
    int         open; /* begun and not yet complete                                            */
} Mpi;

static void must(const Mpi *mpi, int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING];
    int  length;
    if (code == MPI_SUCCESS)
        return;
    MPI_Error_string(code, text, &length);
    pw_die(PW_EXIT_FAILED, "rank %d: MPI cannot %s: %.*s", mpi->transport.first, what, length,
           text);
}

/* So many bytes as a type of which `*count` go into the message; to be given back where it was
 * made here. */
static MPI_Datatype bytes_type(int64_t bytes, int *count)
{
    if (bytes <= LARGEST)
        return *count = (int)bytes, MPI_BYTE;
    MPI_Datatype whole, types[2] = {MPI_BYTE, MPI_BYTE}; /* blocks, and a rest */
    int          lengths[2] = {(int)(bytes / BLOCK), (int)(bytes % BLOCK)};
    MPI_Aint     places[2]  = {0, (MPI_Aint)lengths[0] * BLOCK};
    MPI_Type_contiguous(BLOCK, MPI_BYTE, &types[0]);
    MPI_Type_create_struct(2, lengths, places, types, &whole);
    MPI_Type_commit(&whole);
    MPI_Type_free(&types[0]);
    return *count = 1, whole;
}

static Entry *begin_entry(Mpi *mpi, int message, int peer, int64_t expected)
{
    Entry *entry = &mpi->entries[message + 1];
    *entry       = (Entry){MPI_REQUEST_NULL, expected, peer, true};
    mpi->open++;
    return entry;
}

static void send_bytes(PwTransport *transport, int rank, int peer, int message, const void *bytes,
                       int64_t count)
{
    Mpi         *mpi   = (Mpi *)transport;
    Entry       *entry = begin_entry(mpi, message, peer, -1);
    int          items;
    MPI_Datatype type = bytes_type(count, &items);
    (void)rank;
    must(mpi, MPI_Isend(bytes, items, type, peer, TAG, mpi->all, &entry->request), "send");
    if (type != MPI_BYTE)
        MPI_Type_free(&type); /* it goes when the message has gone */
}

static void receive_bytes(PwTransport *transport, int rank, int peer, int message, void *bytes,
                          int64_t count)
{
    Mpi         *mpi   = (Mpi *)transport;
    Entry       *entry = begin_entry(mpi, message, peer, count);
    int          items;
    MPI_Datatype type = bytes_type(count, &items);
    (void)rank;
    must(mpi, MPI_Irecv(bytes, items, type, peer, TAG, mpi->all, &entry->request), "receive");
    if (type != MPI_BYTE)
        MPI_Type_free(&type);
}

/* Where each rank has a core it looks again at once, for a while; then it sleeps between two looks,
 * never longer than a part of what it has slept already. */
static void pause_after(const Mpi *mpi, int looks, int64_t *slept)
{
    if (mpi->spin && looks < SPINS)
        return;
    int64_t pause = *slept / SHARE;
    pause         = pause < SHORTEST ? SHORTEST : pause > LONGEST ? LONGEST : pause;
    nanosleep(&(struct timespec){.tv_nsec = (long)pause}, NULL);
    *slept += pause;
}

static void wait_for(PwTransport *transport, int rank, int message)
{
    Mpi       *mpi   = (Mpi *)transport;
    Entry     *entry = &mpi->entries[message + 1];
    MPI_Status status;
    int        done  = 0;
    int64_t    slept = 0;
    if (!entry->begun)
        pw_die(PW_EXIT_FAILED, "rank %d: message %d was never begun", rank, message);
    for (int looks = 0; !done; looks += looks < SPINS) {
        must(mpi, MPI_Test(&entry->request, &done, &status),
             entry->expected < 0 ? "finish a send" : "finish a receive");
        if (!done)
            pause_after(mpi, looks, &slept);
    }
    entry->begun = false;
    mpi->open--;
    MPI_Count got = -1;
    if (entry->expected >= 0)
        MPI_Get_elements_x(&status, MPI_BYTE, &got);
    if (got != entry->expected)
        pw_die(PW_EXIT_FAILED,
               "rank %d: a message of %lld bytes meets a receive of %lld; the other "
               "side is rank %d",
               rank, (long long)got, (long long)entry->expected, entry->peer);
}

/* A look for messages is what makes the library move those that are under way. */
static void poll_library(PwTransport *transport)
{
    Mpi *mpi = (Mpi *)transport;
    int  found;
    if (mpi->open > 0)
        must(mpi, MPI_Iprobe(MPI_ANY_SOURCE, TAG, mpi->all, &found, MPI_STATUS_IGNORE), "look");
}

static bool make_room(Mpi *mpi, int64_t messages, PwError *error)
{
    int64_t needed = messages + 1;
    if (needed > mpi->room) {
        free(mpi->entries);
        mpi->room    = needed + needed / 2;
        mpi->entries = malloc((size_t)mpi->room * sizeof *mpi->entries);
    }
    if (!mpi->entries)
        return pw_fail(error, "no memory for %lld messages", (long long)needed);
    memset(mpi->entries, 0, (size_t)needed * sizeof *mpi->entries);
    return true;
}

static bool begin_step(PwTransport *transport, const PwProgram *program, PwError *error)
{
    Mpi          *mpi  = (Mpi *)transport;
    const PwRank *rank = pw_program_rank(program, transport->first);
    if (mpi->open > 0)
        return pw_fail(error, "rank %d: %d messages of the last program are not done",
                       transport->first, mpi->open);
    return make_room(mpi, pw_rank_messages(program, rank), error);
}

static void abort_all(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

/* Collective, like all of opening: every process comes here when its work is done. */
static void close_mpi(PwTransport *transport)
{
    Mpi *mpi = (Mpi *)transport;
    MPI_Comm_free(&mpi->all);
    MPI_Finalize();
    free(mpi->entries);
    free(mpi->here);
    free(mpi);
}

/* Which ranks are on this machine, and the cores that any of them may use: a launcher may have
 * given each its own. */
static void look_around(Mpi *mpi)
{
    MPI_Comm  here;
    int       rank = mpi->transport.first, count;
    cpu_set_t mine, cores;
    CPU_ZERO(&mine);
    sched_getaffinity(0, sizeof mine, &mine);
    must(mpi, MPI_Comm_split_type(mpi->all, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here),
         "find the ranks of this machine");
    MPI_Comm_size(here, &count);
    int *numbers = malloc((size_t)count * sizeof *numbers);
    if (!numbers)
        pw_die(PW_EXIT_FAILED, "rank %d: no memory for %d numbers", rank, count);
    must(mpi, MPI_Allgather(&rank, 1, MPI_INT, numbers, 1, MPI_INT, here), "gather numbers");
    must(mpi, MPI_Allreduce(&mine, &cores, (int)sizeof cores, MPI_BYTE, MPI_BOR, here),
         "gather cores");
    for (int i = 0; i < count; i++)
        mpi->here[numbers[i]] = true;
    mpi->transport.here   = mpi->here;
    mpi->transport.ncores = CPU_COUNT(&cores);
    mpi->spin             = count <= mpi->transport.ncores;
    free(numbers);
    MPI_Comm_free(&here);
}

/* "MPICH Version:\t4.0.2\n...", "Open MPI v4.1.4, package: ...": up to the first comma or line's
 * end. */
static void name_library(char name[120])
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int  length, end = 0;
    MPI_Get_library_version(text, &length);
    while (end < length && end < 100 && text[end] != ',' && text[end] != '\n') {
        text[end] = text[end] == '\t' ? ' ' : text[end];
        end++;
    }
    snprintf(name, 120, "MPI (%.*s)", end, text);
}

static void start_mpi(Mpi *mpi, int nranks)
{
    int level, size, rank;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS)
        pw_die(PW_EXIT_FAILED, "MPI cannot be started");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    pw_die_together(rank, abort_all); /* from here on the others wait for this process */
    name_library(mpi->transport.name);
    mpi->transport.first = rank;
    if (size != nranks)
        pw_die(PW_EXIT_INPUT,
               "the job has %d ranks, and %s knows of %d process%s; start it with `mpirun -n %d` "
               "of that library",
               nranks, mpi->transport.name, size, size == 1 ? "" : "es", nranks);
    if (level < MPI_THREAD_SERIALIZED)
        pw_die(PW_EXIT_INPUT, "%s does not let threads call it in turn", mpi->transport.name);
    must(mpi, MPI_Comm_dup(MPI_COMM_WORLD, &mpi->all), "copy the communicator");
    MPI_Comm_set_errhandler(mpi->all, MPI_ERRORS_RETURN);
}

PwTransport *pw_library_open(int version, int nranks, PwError *error)
{
    if (version != PW_TRANSPORT_VERSION)
        return pw_input(
                   error,
                   "transport_mpi.so is of version %d, the trainer needs %d; run `build --mpi` "
                   "again",
                   PW_TRANSPORT_VERSION, version),
               NULL;
    Mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi)
        return pw_fail(error, "no memory for %d ranks", nranks), NULL;
    mpi->transport = (PwTransport){.nranks    = nranks,
                                   .processes = true,
                                   .count     = 1,
                                   .awaited   = -1,
                                   .begin     = begin_step,
                                   .send      = send_bytes,
                                   .sent      = wait_for,
                                   .receive   = receive_bytes,
                                   .wait      = wait_for,
                                   .poll      = poll_library,
                                   .close     = close_mpi,
                                   .abort     = abort_all};
    start_mpi(mpi, nranks);
    mpi->here = calloc((size_t)nranks, sizeof *mpi->here);
    if (!mpi->here || !make_room(mpi, 0, error))
        pw_die(PW_EXIT_FAILED, "rank %d: no memory for %d ranks", mpi->transport.first, nranks);
    look_around(mpi);
    return &mpi->transport;
}
