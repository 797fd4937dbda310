/* watchdog: looks ten times a second at the instruction that each rank works on. A step may stand
 * still for 5 times its predicted seconds + 10 s; where nothing was predicted, for ten minutes. */
#include "runtime/watchdog.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { INTERVAL = 100000000 }; /* nanoseconds between two looks */

#define UNKNOWN_SECONDS 600.0
#define NEVER_SECONDS 9e9 /* 63 bits hold 9.2e18 nanoseconds */

typedef struct Sight { /* where all ranks are, in one number that changes when any of them moves  */
    uint64_t trace;
    int      running;
} Sight;

/* Between steps others wait for the leader, and it for the planner or the disk, as long as it
 * takes; but nothing that it waits for there takes long. */
static bool leader_waits(const PwTransport *transport)
{
    return pw_leads(transport) && transport->awaited >= 0;
}

static Sight look(const PwTeam *team)
{
    const PwTransport *transport = team->transport;
    Sight              sight     = {0, 0};
    for (int rank = transport->first; rank < transport->first + transport->count; rank++) {
        PwWorker *worker = &team->workers[rank];
        uint64_t  at     = 0;
        if (atomic_load_explicit(&worker->program, memory_order_acquire)) {
            at = 1 + (uint64_t)atomic_load_explicit(&worker->instruction, memory_order_relaxed);
            sight.running++;
        }
        sight.trace = sight.trace * UINT64_C(0x9e3779b97f4a7c15) + at;
    }
    sight.trace = sight.trace * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)transport->carried;
    sight.running += leader_waits(transport);
    return sight;
}

/* Where the ranks of this process are, a line each, with a newline before it. */
static void describe_ranks(const PwTeam *team, char *text, int room)
{
    const PwTransport *transport = team->transport;
    int                length    = 0;
    if (leader_waits(transport)) {
        snprintf(text, (size_t)room, "\n  between steps, rank 0: waits for rank %d",
                 transport->awaited);
        return;
    }
    for (int rank = transport->first; rank < transport->first + transport->count; rank++) {
        PwWorker        *worker    = &team->workers[rank];
        const PwProgram *program   = atomic_load_explicit(&worker->program, memory_order_acquire);
        char             what[200] = "finished";
        long long        number = -1, step = program ? (long long)program->step : -1;
        if (program) {
            number = atomic_load_explicit(&worker->instruction, memory_order_relaxed);
            pw_describe(pw_rank_instructions(program, pw_program_rank(program, rank)) + number,
                        team->job, what, sizeof what);
        }
        if (length < room - 300)
            length +=
                snprintf(text + length, (size_t)(room - length),
                         "\n  step %lld, rank %d, instruction %lld: %s", step, rank, number, what);
    }
}

/* The culprit is a rank that computes; where all wait, every rank is named. Ranks of other
 * processes are accused by their own watchdogs: they get a moment before all are ended. */
static void accuse(const PwTeam *team, double seconds)
{
    char ranks[sizeof((PwError *)NULL)->text - 300];
    describe_ranks(team, ranks, sizeof ranks);
    if (team->transport->processes) {
        fprintf(stderr, "%s\n", ranks + 1);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        ranks[0] = 0;
    }
    pw_die(PW_EXIT_FAILED, "no rank got on for %.1f s; the run ends%s", seconds, ranks);
}

/* A look adds one interval at most: while this process is stopped (SIGSTOP) its clock goes on. */
static void *watch(void *argument)
{
    PwWatchdog *watchdog = argument;
    Sight       before   = look(watchdog->team);
    int64_t     looked = pw_now(), stood = 0; /* nanoseconds */
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += INTERVAL;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&watchdog->condition, &watchdog->mutex, &until);
        Sight   sight = look(watchdog->team);
        int64_t now   = pw_now();
        stood += now - looked < INTERVAL ? now - looked : INTERVAL;
        if (sight.running == 0 || sight.trace != before.trace)
            stood = 0;
        before = sight;
        looked = now;
        if (stood > atomic_load_explicit(&watchdog->limit, memory_order_relaxed))
            accuse(watchdog->team, (double)stood / 1e9);
    }
    pthread_mutex_unlock(&watchdog->mutex);
    return NULL;
}

void pw_watchdog_expect(PwWatchdog *watchdog, double predicted_seconds)
{
    double limit = watchdog->always > 0    ? watchdog->always
                   : predicted_seconds > 0 ? 5 * predicted_seconds + 10
                                           : UNKNOWN_SECONDS;
    atomic_store_explicit(&watchdog->limit,
                          limit < NEVER_SECONDS ? (int64_t)(limit * 1e9) : INT64_MAX,
                          memory_order_relaxed);
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
