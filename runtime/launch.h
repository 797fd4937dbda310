/* launch: the ranks of this process, a thread each. They start once, wait for work, and do it all
 * together; the caller sleeps meanwhile. Ranks of other processes are in the team by number only:
 * each process calls what is below for its own, at the same point of its work. */
#ifndef PW_LAUNCH_H
#define PW_LAUNCH_H

#include <pthread.h>

#include "runtime/executor.h"

typedef void (*PwWork)(PwWorker *worker, void *context);

typedef struct PwTeam {
    const PwJob    *job;
    PwWorker       *workers; /* [nranks]; only those of this process have an arena             */
    int             nranks, nstarted;
    PwTransport    *transport;
    pthread_t      *threads;
    pthread_mutex_t mutex;
    pthread_cond_t  start, done;
    uint64_t        round;   /* counts the pieces of work that were given out                  */
    int             running; /* ranks that have not finished this one                          */
    PwWork          work;
    void           *context;
    double         *sums; /* [nsums] losses of sequences, while they are added                 */
    int32_t         nsums;
} PwTeam;

/* Arenas are reserved; the static part is touched, each by its rank. The transport remains the
 * caller's. */
bool pw_team_open(PwTeam *team, const PwJob *job, PwTransport *transport, PwTokens *tokens,
                  PwError *error);
void pw_team_do(PwTeam *team, PwWork work, void *context);
void pw_team_close(PwTeam *team);
/* So many bytes more, [nranks], are touched next; those of this machine's ranks must be there. */
bool pw_team_memory(const PwTeam *team, const int64_t *bytes, PwError *error);

/* One program on all ranks. `records`: [nranks], or NULL. */
bool pw_team_step(PwTeam *team, const PwProgram *program, const PwStepNumbers *numbers,
                  PwRecord *records, PwError *error);

/* Sums after a step, the same in every process: of the sequences' losses in order; the clip's
 * factor and norm, where the program has one (else 1 and 0). Both come from the first rank that has
 * them. */
typedef struct PwOutcome {
    double loss_sum, factor, norm;
    bool   clipped; /* the program has a clip                                                  */
} PwOutcome;

PwOutcome pw_team_outcome(PwTeam *team, const PwProgram *program);

#endif
