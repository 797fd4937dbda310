/* executor: a step of one rank. A straight walk over the instructions of a program that was
 * checked; nothing is allocated, nothing is decided. Where the artifact was built --as-code a
 * training step is C instead (runtime/step_code.h), around the same instructions. */
#ifndef PW_EXECUTOR_H
#define PW_EXECUTOR_H

#include <stdatomic.h>

#include "runtime/arena.h"
#include "runtime/recorder.h"
#include "runtime/tokens.h"
#include "runtime/transports/transport.h"

typedef struct PwWatermark { /* tests only: how much of the arena a step really used           */
    int64_t highest;     /* bytes, static part included, in whole lines of PW_ALIGN            */
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

/* A step of one rank while it runs. */
typedef struct PwStep {
    PwWorker            *worker;
    const PwProgram     *program;
    const PwRank        *rank;
    const PwStepNumbers *numbers;
    int64_t              begin; /* of the instruction, where the step is recorded                */
} PwStep;

/* What an instruction does, for the walk and for the code alike. Tokens that are not wanted go to
 * NULL. */
void pw_do_load(const PwStep *step, const PwSource *sources, uint32_t nsources, int32_t tokens,
                int32_t *inputs, int32_t *targets, float *weights);
void pw_add_real(real *to, const real *from, int64_t count);
void pw_add_double(double *to, const double *from, int64_t count);

/* Around every instruction: where the rank is, for the watchdog; what it took and touched, where
 * somebody asks. */
void pw_note(PwStep *step, int32_t number);

static inline void pw_begin(const PwStep *step, int32_t number)
{
    atomic_store_explicit(&step->worker->instruction, number, memory_order_relaxed);
}

static inline void pw_end(PwStep *step, int32_t number)
{
    if (step->worker->record || step->worker->watermark)
        pw_note(step, number);
}

void pw_execute(PwWorker *worker, const PwProgram *program, const PwStepNumbers *step);

#endif
