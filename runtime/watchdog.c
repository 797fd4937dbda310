/* watchdog: looks ten times a second at the instruction that each rank works on. A step may stand
 * still for 5 times its predicted seconds + 10 s; where nothing was predicted, for ten minutes. */
#include "runtime/watchdog.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNKNOWN_SECONDS 600.0

typedef struct Sight { /* where all ranks are, in one number that changes when any of them moves  */
    uint64_t trace;
    int      running;
} Sight;

static Sight look(const PwTeam *team)
{
    Sight sight = {0, 0};
    for (int rank = 0; rank < team->nranks; rank++) {
        PwWorker *worker = &team->workers[rank];
        uint64_t  at     = 0;
        if (atomic_load_explicit(&worker->program, memory_order_acquire)) {
            at = 1 + (uint64_t)atomic_load_explicit(&worker->instruction, memory_order_relaxed);
            sight.running++;
        }
        sight.trace = sight.trace * UINT64_C(0x9e3779b97f4a7c15) + at;
    }
    return sight;
}

/* The culprit is a rank that computes; where all wait, every rank is named. */
static void accuse(const PwTeam *team, double seconds)
{
    PwError report = {{0}, 0};
    int     length = snprintf(report.text, sizeof report.text,
                              "no rank got on for %.1f s; the run ends", seconds);
    for (int rank = 0; rank < team->nranks; rank++) {
        PwWorker        *worker    = &team->workers[rank];
        const PwProgram *program   = atomic_load_explicit(&worker->program, memory_order_acquire);
        char             what[200] = "finished";
        long long        number = -1, step = program ? (long long)program->step : -1;
        if (program) {
            number = atomic_load_explicit(&worker->instruction, memory_order_relaxed);
            pw_describe(pw_rank_instructions(program, pw_program_rank(program, rank)) + number,
                        team->job, what, sizeof what);
        }
        if (length < (int)sizeof report.text - 300)
            length +=
                snprintf(report.text + length, sizeof report.text - (size_t)length,
                         "\n  step %lld, rank %d, instruction %lld: %s", step, rank, number, what);
    }
    pw_die(PW_EXIT_FAILED, "%s", report.text);
}

static void *watch(void *argument)
{
    PwWatchdog *watchdog = argument;
    Sight       before   = look(watchdog->team);
    int64_t     since    = pw_now();
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&watchdog->condition, &watchdog->mutex, &until);
        Sight   sight = look(watchdog->team);
        int64_t now   = pw_now();
        if (sight.running == 0 || sight.trace != before.trace)
            since = now;
        before = sight;
        if (now - since > atomic_load_explicit(&watchdog->limit, memory_order_relaxed))
            accuse(watchdog->team, (double)(now - since) / 1e9);
    }
    pthread_mutex_unlock(&watchdog->mutex);
    return NULL;
}

void pw_watchdog_expect(PwWatchdog *watchdog, double predicted_seconds)
{
    double limit = watchdog->always > 0    ? watchdog->always
                   : predicted_seconds > 0 ? 5 * predicted_seconds + 10
                                           : UNKNOWN_SECONDS;
    atomic_store_explicit(&watchdog->limit, (int64_t)(limit * 1e9), memory_order_relaxed);
}

bool pw_watchdog_open(PwWatchdog *watchdog, const PwTeam *team, double always, PwError *error)
{
    *watchdog = (PwWatchdog){.team = team, .always = always};
    pw_watchdog_expect(watchdog, 0);
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->condition, NULL);
    int code       = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    watchdog->runs = code == 0;
    return code == 0 || pw_fail(error, "cannot start the watchdog: %s", strerror(code));
}

void pw_watchdog_close(PwWatchdog *watchdog)
{
    if (!watchdog->runs)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stop = true;
    pthread_cond_signal(&watchdog->condition);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->condition);
    pthread_mutex_destroy(&watchdog->mutex);
    watchdog->runs = false;
}
