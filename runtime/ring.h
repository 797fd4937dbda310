/* ring: the coming steps' programs. One file, finished (`build --steps N`) or fed by a planner that
 * runs beside; the trainer sees no difference but the waiting. */
#ifndef PW_RING_H
#define PW_RING_H

#include "runtime/stored_program.h"

typedef struct PwPrograms {
    char     path[PW_PATH_MAX];
    PwRing  *ring;  /* mapped, shared                                                           */
    uint64_t bytes; /* of the map: the file may still grow to so many                     */
    int      descriptor;
} PwPrograms;

typedef enum PwRingAnswer {
    PW_RING_READY,
    PW_RING_END,     /* the ring is finished, and this step is not in it                       */
    PW_RING_STOPPED, /* `stop` was set while waiting                                           */
    PW_RING_WRONG,   /* see the error                                                          */
} PwRingAnswer;

bool         pw_ring_open(PwPrograms *programs, const char *path, PwError *error);
PwRingAnswer pw_ring_wait(PwPrograms *programs, int64_t step, const volatile int *stop,
                          PwError *error);
/* Hash and form checked. NULL on error. */
const PwProgram *pw_ring_program(const PwPrograms *programs, int64_t step, const PwJob *job,
                                 PwError *error);
/* The largest arena of a rank in the programs that are there; unchecked, a forecast. */
int64_t pw_ring_forecast(const PwPrograms *programs, int rank);
void    pw_ring_consume(PwPrograms *programs, int64_t step); /* done with all up to it */
void    pw_ring_close(PwPrograms *programs);

#endif
