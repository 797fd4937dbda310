/* coming: the program of the coming step, in every process. The leader reads it from the ring; the
 * others get its bytes, so that they need neither the file nor a memory that is shared with the
 * planner. Where all ranks are threads this is the ring and nothing more. */
#ifndef PW_COMING_H
#define PW_COMING_H

#include "runtime/ring.h"
#include "runtime/transports/transport.h"

typedef struct PwComing {
    PwPrograms   ring; /* the leader's                                                         */
    PwTransport *transport;
    int64_t      first;  /* step that the ring begins with                                      */
    int64_t      end;    /* behind the last one of a finished ring; -1: more may come          */
    int          signal; /* what stopped the wait, in whichever process it came                */
    char        *bytes;  /* [room] the program, in a process that does not lead                */
    uint64_t     room;
} PwComing;

bool pw_coming_open(PwComing *coming, PwTransport *transport, const char *path, PwError *error);
/* Waits for the step's program and checks it; the same answer, and error, in every process. `stop`
 * is each process's own: the number of a signal, 0 before one comes. */
PwRingAnswer pw_coming_wait(PwComing *coming, int64_t step, const volatile int *stop,
                            const PwJob *job, const PwProgram **program, PwError *error);
/* The largest arenas, [nranks], of the programs that are there: a forecast. */
void pw_coming_forecast(const PwComing *coming, int64_t *bytes);
void pw_coming_done(PwComing *coming, int64_t step); /* with all up to it */
void pw_coming_close(PwComing *coming);

#endif
