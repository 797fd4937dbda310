/* executor: a step of one rank. A straight walk over the instructions of a program that was
 * checked; nothing is allocated, nothing is decided. */
#ifndef PW_EXECUTOR_H
#define PW_EXECUTOR_H

#include "runtime/arena.h"
#include "runtime/recorder.h"
#include "runtime/tokens.h"
#include "runtime/transports/transport.h"

typedef struct PwWatermark { /* tests only: how much of the arena a step really used           */
    int64_t highest;     /* bytes, static part included                                        */
    int64_t instruction; /* the first one after which so much was used                         */
} PwWatermark;

typedef struct PwWorker { /* a rank                                                            */
    int          rank;
    const PwJob *job;
    PwArena      arena;
    PwTransport *transport;
    PwTokens    *tokens;     /* may be NULL where no program loads                              */
    PwRecord    *record;     /* of the step that runs, or NULL                                  */
    PwWatermark *watermark;  /* NULL: not asked for                                             */
    int64_t      text_bytes; /* targets that count and are bytes of text, since it was set to 0 */
    /* What the watchdog looks at: program of the step that runs (NULL: none), instruction. */
    _Alignas(64) const PwProgram *_Atomic program;
    _Atomic int32_t instruction;
} PwWorker;

void pw_execute(PwWorker *worker, const PwProgram *program, const PwStepNumbers *step);

#endif
