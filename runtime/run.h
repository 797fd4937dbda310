/* run: what all modes of a trainer share: the open token set, the ranks, their weights. */
#ifndef PW_RUN_H
#define PW_RUN_H

#include "runtime/launch.h"
#include "runtime/options.h"
#include "runtime/saved_state.h"

typedef struct PwRun {
    const PwJob     *job;
    const PwOptions *options;
    char             data[PW_PATH_MAX]; /* prefix of the token set; "": none */
    PwTokens         tokens;
    PwTeam           team;
    PwSavedState     state; /* what the weights were loaded from; step 0: from nothing         */
    bool             resumed;
} PwRun;

/* Opens the token set (that of --data, else the one that RUN/data.txt names) and the ranks; fills
 * tables and weights: from the newest saved state, else, where `needs_state` is not set, from
 * first_weights/ or the seed. */
bool pw_run_open(PwRun *run, const PwJob *job, PwTransport *transport, const PwOptions *options,
                 bool needs_state, PwError *error);
void pw_run_close(PwRun *run);

/* The modes. Each prints its result. Those without a transport need no ranks. The first two work
 * where ranks are processes; the leader prints. After an error they leave the transport as it is:
 * only pw_die is right then. */
bool pw_train(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error);
bool pw_evaluate(const PwJob *job, PwTransport *transport, const PwOptions *options,
                 PwError *error);
bool pw_generate(const PwJob *job, PwTransport *transport, const PwOptions *options,
                 PwError *error);
bool pw_measure(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error);
bool pw_export(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error);
bool pw_where(const PwJob *job, const PwOptions *options, PwError *error);
bool pw_built(const PwOptions *options, PwError *error);

/* Fused multiply-adds a second, counted twice each, of all ranks together, measured now. */
double pw_measure_peak(PwTeam *team, double seconds);

typedef struct PwEvaluation {
    double loss;          /* nats a target                                                     */
    double weight;        /* targets                                                           */
    double bits_per_byte; /* 0: not known, the vocabulary is not bytes                         */
    int    signal;        /* that stopped it; 0: it came to its end                            */
} PwEvaluation;

/* All programs of the ring, one after another, until `*stop` is a signal's number. Without a target
 * (weight 0), or stopped, there is no loss. */
bool pw_evaluate_programs(PwTeam *team, const char *path, const volatile int *stop,
                          PwEvaluation *result, PwError *error);

#endif
