/* metrics: RUN/metrics.jsonl, an object a step; RUN/log.txt, what a person should know later; an
 * event file for TensorBoard; and the progress line. */
#ifndef PW_METRICS_H
#define PW_METRICS_H

#include <stdio.h>

#include "runtime/failure.h"
#include "runtime/json.h"
#include "runtime/trainer.h"

typedef struct PwStepMetrics {
    int64_t     step, tokens, sequences, peak_bytes; /* peak: of the fullest rank              */
    double      loss, norm, learning_rate;
    double      seconds, predicted, wait_program, wait_messages; /* seconds                    */
    const char *plan_hash; /* 64 digits, not ended                                             */
} PwStepMetrics;

typedef struct PwMetrics {
    FILE      *file, *log, *events; /* events: for TensorBoard                                  */
    PwJsonText line;   /* the one that is being made                                             */
    bool       silent; /* another process, the leader, writes and prints             */
    bool       terminal, line_open; /* a progress line stands on the terminal                     */
    int64_t    printed;             /* when the last progress line was, nanoseconds               */
    double     average_seconds;     /* of the last steps, for the time left                       */
    double     peak_flops;          /* of all ranks together; 0: not known                        */
} PwMetrics;

/* Lines of steps that will be run again are cut. */
bool pw_metrics_open(PwMetrics *metrics, const PwJob *job, const char *run, int64_t first_step,
                     const char *transport, PwError *error);
bool pw_metrics_step(PwMetrics *metrics, const PwStepMetrics *step, PwError *error);
bool pw_metrics_evaluation(PwMetrics *metrics, int64_t step, double loss, double bits_per_byte,
                           PwError *error);
bool pw_metrics_saved(PwMetrics *metrics, int64_t step, const char *hash, double seconds,
                      PwError *error);
void pw_metrics_progress(PwMetrics *metrics, const PwJob *job, const PwStepMetrics *step,
                         int64_t steps);
/* A note for people: on stdout and in the log. */
void pw_metrics_note(PwMetrics *metrics, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What ends the run: in the log; who started it prints it. */
void pw_metrics_failure(PwMetrics *metrics, const PwError *error);
void pw_metrics_close(PwMetrics *metrics);

#endif
