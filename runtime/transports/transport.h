/* transport: what carries messages between ranks. All entries are required but
 * `abort`, which only processes have.
 * Each ordered pair of ranks is one queue; its sends and receives match in program order, and an
 * entry is carried only when both sides have reached it and all earlier ones are done. `send` and
 * `receive` begin and go on; `sent` and `wait` return when the bytes are free, or there. A message
 * number is the rank's own: it pairs its send with its sent, its receive with its wait.
 *
 * Ranks share a process or they do not: either all are of this one, or one is. What the ranks'
 * processes do together outside of steps is made of the same four functions (pw_carry and those
 * after it); every process comes to these calls in the same order. Rank 0's process leads: it alone
 * reads programs and writes in RUN/. */
#ifndef PW_TRANSPORT_H
#define PW_TRANSPORT_H

#include "runtime/failure.h"
#include "runtime/program_format.h"

enum { PW_OUTSIDE = -1 }; /* number of a message that is outside of programs                  */

typedef struct PwTransport PwTransport;
struct PwTransport {
    char        name[120]; /* for people: "threads"                                        */
    int         nranks;
    bool        processes; /* ranks are processes: pw_die must end the others too               */
    int         first, count; /* ranks [first, first + count) are of this process: all, or one */
    const bool *here;         /* [nranks] is the rank on this machine?                        */
    int         ncores;       /* of this machine, that ranks on it may use                    */
    /* For the watchdog: messages between steps; the rank that is waited for there, -1: none. */
    _Atomic int64_t carried;
    _Atomic int     awaited;
    /* Before a step, while no rank runs: room for its messages, all queues empty. */
    bool (*begin)(PwTransport *transport, const PwProgram *program, PwError *error);
    void (*send)(PwTransport *transport, int rank, int peer, int message, const void *bytes,
                 int64_t count);
    void (*sent)(PwTransport *transport, int rank, int message);
    void (*receive)(PwTransport *transport, int rank, int peer, int message, void *bytes,
                    int64_t count);
    void (*wait)(PwTransport *transport, int rank, int message);
    /* Between two codelets: a library that moves bytes only while it is called is called here. */
    void (*poll)(PwTransport *transport);
    /* All ranks have come to their end; for a failure there is pw_die. */
    void (*close)(PwTransport *transport);
    void (*abort)(int status); /* ends the other processes                                        */
};

/* By name: one of the table in transport.c. Some are a library beside the trainer, in `folder`.
 * NULL on error. Where ranks are processes, from now on pw_die ends them all. */
PwTransport *pw_transport_open(const char *name, const char *folder, int nranks, PwError *error);

/* The transport whose launcher started this process as one of several; else the first of the
 * table. */
const char *pw_transport_by_launcher(void);

/* Ranks are threads of this process. `spin`: there is a core for each of them. NULL: no memory. */
PwTransport *pw_threads_open(int nranks, bool spin);

/* What a transport_NAME.so defines under this name. It refuses another version than its own: it may
 * be older than the trainer beside it. To be counted up where PwTransport or PwProgram change. */
#define PW_TRANSPORT_LIBRARY "pw_library_open"
enum { PW_TRANSPORT_VERSION = 1 };
typedef PwTransport *PwTransportLibrary(int version, int nranks, PwError *error);
PwTransportLibrary   pw_library_open;

static inline bool pw_is_mine(const PwTransport *transport, int rank)
{
    return rank >= transport->first && rank < transport->first + transport->count;
}

static inline bool pw_leads(const PwTransport *transport)
{
    return transport->first == 0;
}

int pw_ranks_here(const PwTransport *transport); /* how many ranks are on this machine */
int pw_cores(void);                              /* that this process may use */

/* Bytes that both ranks' processes name: those of `from` come to stand at `to`'s. Nothing to do
 * where the process is the same. */
void pw_carry(PwTransport *transport, int from, int to, void *bytes, int64_t count);
/* Those of rank `from`'s process come to stand in every process. */
void pw_share(PwTransport *transport, int from, void *bytes, int64_t count);
/* The greatest of all processes' numbers; the sum, in order of ranks: in every process. */
int64_t pw_greatest(PwTransport *transport, int64_t number);
double  pw_sum(PwTransport *transport, double number);
/* Nobody goes on before all are here. */
void pw_meet(PwTransport *transport);

#endif
