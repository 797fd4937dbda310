/* watchdog: ends a run in which no rank of this process gets on, and says who waits for whom. */
#ifndef PW_WATCHDOG_H
#define PW_WATCHDOG_H

#include "runtime/launch.h"

typedef struct PwWatchdog {
    const PwTeam   *team;
    double          always; /* seconds; 0: from what was predicted                        */
    _Atomic int64_t limit;  /* nanoseconds without a move that are too long               */
    bool            runs;
    pthread_t       thread;
    pthread_mutex_t mutex;
    pthread_cond_t  condition;
    bool            stop;
} PwWatchdog;

bool pw_watchdog_open(PwWatchdog *watchdog, const PwTeam *team, double always, PwError *error);
void pw_watchdog_expect(PwWatchdog *watchdog, double predicted_seconds); /* of the coming step */
void pw_watchdog_close(PwWatchdog *watchdog);

#endif
