/* recorder: when each instruction of the last steps began and ended, per rank; written as a trace
 * that Perfetto reads. Room is made between steps, so that recording allocates nothing. */
#ifndef PW_RECORDER_H
#define PW_RECORDER_H

#include "runtime/stored_program.h"
#include "runtime/transports/transport.h"

typedef struct PwEvent {
    int64_t       begin, end;  /* nanoseconds of the monotonic clock                            */
    PwInstruction instruction; /* a copy: the ring may give the program's place to a later one  */
    int64_t       bytes;       /* of a message                                                 */
} PwEvent;

typedef struct PwRecord { /* one rank's share of one step                                      */
    PwEvent *events;
    int64_t  nevents, room;
} PwRecord;

typedef struct PwRecorder {
    PwTransport *transport;
    int          nranks, keep; /* the last so many steps                                         */
    int64_t      first, last;  /* only steps [first, last]                                       */
    int64_t     *steps;        /* [keep] which step a place holds; -1: none                      */
    PwRecord    *records;      /* [keep][nranks]; only those of this process are filled          */
} PwRecorder;

bool pw_recorder_open(PwRecorder *recorder, PwTransport *transport, int keep, int64_t first,
                      int64_t last, PwError *error);
/* Before a step: the records of its ranks, [nranks], or NULL if it is not recorded. */
PwRecord *pw_recorder_begin(PwRecorder *recorder, const PwProgram *program);
/* Seconds that ranks stood in sent and wait, on average. `records` may be NULL. */
double pw_recorder_waited(const PwRecorder *recorder, const PwRecord *records);
/* The leader writes what all processes recorded. Clocks are those of the machines. */
bool pw_recorder_write(PwRecorder *recorder, const PwJob *job, const char *folder, const char *name,
                       PwError *error);
void pw_recorder_close(PwRecorder *recorder);

int64_t pw_now(void); /* nanoseconds of the monotonic clock */

#endif
