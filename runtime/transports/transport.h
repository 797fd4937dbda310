/* transport: what carries messages between ranks. All entries are required.
 * Each ordered pair of ranks is one queue; its sends and receives match in program order, and an
 * entry is carried only when both sides have reached it and all earlier ones are done. `send` and
 * `receive` begin and go on; `sent` and `wait` return when the bytes are free, or there. A message
 * number is the rank's own: it pairs its send with its sent, its receive with its wait. */
#ifndef PW_TRANSPORT_H
#define PW_TRANSPORT_H

#include "runtime/failure.h"
#include "runtime/program_format.h"

typedef struct PwTransport PwTransport;
struct PwTransport {
    const char *name;
    /* Before a step, while no rank runs: room for its messages, all queues empty. */
    bool (*begin)(PwTransport *transport, const PwProgram *program, PwError *error);
    void (*send)(PwTransport *transport, int rank, int peer, int message, const void *bytes,
                 int64_t count);
    void (*sent)(PwTransport *transport, int rank, int message);
    void (*receive)(PwTransport *transport, int rank, int peer, int message, void *bytes,
                    int64_t count);
    void (*wait)(PwTransport *transport, int rank, int message);
    void (*close)(PwTransport *transport);
};

/* Ranks are threads of this process. `spin`: there is a core for each of them. NULL: no memory. */
PwTransport *pw_threads_open(int nranks, bool spin);

#endif
