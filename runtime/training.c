/* training: the loop. For each step: wait for its program, check it, run it on all ranks, look at
 * the result. What may stop it: the last step, a signal (state saved, status 0), the ring's end, a
 * loss that is no number (state not saved, status 1), an error. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/learning_rate.h"
#include "runtime/memory.h"
#include "runtime/metrics.h"
#include "runtime/ring.h"
#include "runtime/run.h"
#include "runtime/watchdog.h"
#include "runtime/weights.h"

enum { TRACED_STEPS = 3 };

typedef struct Training {
    PwRun        run;
    PwPrograms   programs;
    PwRecorder   recorder;
    PwWatchdog   watchdog;
    PwMetrics    metrics;
    PwWatermark *watermarks; /* [nranks], or NULL                                              */
    char         evaluation[PW_PATH_MAX]; /* "": there is none                                  */
    int64_t      steps; /* train up to so many in all                                           */
    int64_t      step;  /* the next one                                                         */
    int64_t      position;
    int          lock; /* of RUN/                                                              */
} Training;

static volatile sig_atomic_t stop_signal;
static volatile int          stop_asked;

/* The first signal asks; the second one, if the step takes too long, is the system's. */
static void on_signal(int number)
{
    stop_signal = number;
    stop_asked  = 1;
    signal(number, SIG_DFL);
}

static void listen_to_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static bool open_watermarks(Training *training, PwError *error)
{
    PwTeam *team = &training->run.team;
    if (!training->run.options->watermark)
        return true;
    training->watermarks = calloc((size_t)team->nranks, sizeof *training->watermarks);
    if (!training->watermarks)
        return pw_fail(error, "no memory for watermarks");
    for (int rank = 0; rank < team->nranks; rank++)
        team->workers[rank].watermark = &training->watermarks[rank];
    return true;
}

static bool open_recorder(Training *training, PwError *error)
{
    const PwOptions *options = training->run.options;
    if (options->trace_first < 0)
        return pw_recorder_open(&training->recorder, training->run.job->nranks, TRACED_STEPS, 0,
                                INT64_MAX, error);
    return pw_recorder_open(&training->recorder, training->run.job->nranks,
                            (int)(options->trace_last - options->trace_first + 1),
                            options->trace_first, options->trace_last, error);
}

static bool find_evaluation(Training *training, PwError *error)
{
    const PwOptions *options = training->run.options;
    struct stat      status;
    if (options->evaluation) {
        snprintf(training->evaluation, sizeof training->evaluation, "%s", options->evaluation);
        return true;
    }
    if (!pw_disk_join(training->evaluation, options->home, "evaluate.pw", error))
        return false;
    if (stat(training->evaluation, &status) != 0)
        training->evaluation[0] = 0;
    return true;
}

static void say_how_it_starts(Training *training)
{
    const PwRun *run = &training->run;
    int          n = run->job->nranks, cores = run->team.ncores;
    pw_metrics_note(&training->metrics, "%s: %d rank%s on %d core%s, %s, %s%s", run->job->name, n,
                    n == 1 ? "" : "s", cores, cores == 1 ? "" : "s", pw_toolchain(),
                    run->resumed ? "goes on from " : "from step 0",
                    run->resumed ? run->state.folder : "");
    if (!run->resumed)
        return;
    if (strcmp(run->state.code_hash, run->job->code_hash) != 0)
        pw_metrics_note(&training->metrics,
                        "the state was written by other code (%.16s; this is "
                        "%.16s): another policy, layout or cadence",
                        run->state.code_hash, run->job->code_hash);
    if (strcmp(run->state.toolchain, pw_toolchain()) != 0)
        pw_metrics_note(&training->metrics,
                        "the state was written by another toolchain (%s), "
                        "accepted",
                        run->state.toolchain);
}

/* Memory is taken before the first step, not in the middle of one that happens to be larger. */
static void touch_arena(PwWorker *worker, void *programs)
{
    int64_t needed = pw_ring_forecast(programs, worker->rank);
    pw_arena_touch(&worker->arena,
                   needed < worker->arena.capacity ? needed : worker->arena.capacity);
}

static bool check_memory(const Training *training, PwError *error)
{
    const PwTeam *team   = &training->run.team;
    int64_t       needed = 0;
    for (int rank = 0; rank < team->nranks; rank++) {
        int64_t arena = pw_ring_forecast(&training->programs, rank);
        if (arena > team->workers[rank].arena.touched)
            needed += arena - team->workers[rank].arena.touched;
    }
    return pw_memory_check(needed, error);
}

static bool open_training(Training *training, const PwJob *job, const PwOptions *options,
                          PwError *error)
{
    char beside[PW_PATH_MAX];
    if (!pw_disk_make_folders(options->out, error) ||
        !pw_disk_lock(options->out, &training->lock, error) ||
        !pw_disk_join(beside, options->home, "programs.pw", error) ||
        !pw_ring_open(&training->programs, options->programs ? options->programs : beside, error) ||
        !pw_run_open(&training->run, job, options, false, error))
        return false;
    if (!check_memory(training, error))
        return false;
    pw_team_do(&training->run.team, touch_arena, &training->programs);
    training->step     = training->run.state.step;
    training->position = training->run.state.position;
    training->steps    = options->steps >= 0 ? options->steps : job->steps;
    if (!pw_metrics_open(&training->metrics, job, options->out, training->step, error) ||
        !open_recorder(training, error) || !open_watermarks(training, error) ||
        !find_evaluation(training, error) ||
        !pw_watchdog_open(&training->watchdog, &training->run.team, options->watchdog, error))
        return false;
    training->metrics.peak_flops = pw_measure_peak(&training->run.team, 0.03);
    say_how_it_starts(training);
    return true;
}

static void close_training(Training *training)
{
    pw_watchdog_close(&training->watchdog);
    pw_metrics_close(&training->metrics);
    pw_recorder_close(&training->recorder);
    pw_ring_close(&training->programs);
    pw_run_close(&training->run);
    free(training->watermarks);
    if (training->lock >= 0)
        close(training->lock);
}

static bool save(Training *training, PwError *error)
{
    PwSavedState *newest = &training->run.state;
    if (newest->step == training->step)
        return true;
    int64_t begin = pw_now();
    if (!pw_state_save(&training->run.team, training->run.options->out, training->step,
                       training->position, newest, error))
        return false;
    return pw_metrics_saved(&training->metrics, training->step, newest->hash,
                            (double)(pw_now() - begin) / 1e9, error);
}

static bool evaluate(Training *training, PwError *error)
{
    PwEvaluation result;
    if (!training->evaluation[0])
        return true;
    pw_watchdog_expect(&training->watchdog, 0);
    if (!pw_evaluate_programs(&training->run.team, training->evaluation, &result, error))
        return false;
    if (result.bits_per_byte > 0)
        pw_metrics_note(&training->metrics,
                        "after step %lld: held-out loss %.4f, %.4f bits per byte",
                        (long long)training->step, result.loss, result.bits_per_byte);
    else
        pw_metrics_note(&training->metrics, "after step %lld: held-out loss %.4f",
                        (long long)training->step, result.loss);
    return pw_metrics_evaluation(&training->metrics, training->step, result.loss,
                                 result.bits_per_byte, error);
}

/* The weights are as they were before the step: clip saw it first. */
static bool not_finite(const Training *training, double loss, double norm, PwError *error)
{
    bool            in_gradient = false;
    const PwTensor *broken      = pw_weights_broken(&training->run.team, &in_gradient);
    char            where[300]  = "no weight or gradient is broken, seen by rank 0; ";
    if (broken)
        snprintf(where, sizeof where, "not finite: %s%s, on rank %d; ",
                 in_gradient ? "the gradient of " : "", broken->name, broken->rank);
    return pw_fail(error,
                   "step %lld: loss %g, norm of the gradient %g; %sno update was made and this "
                   "state is not saved; the newest saved one is step %lld's",
                   (long long)training->step, loss, norm, where,
                   (long long)training->run.state.step);
}

static void note_watermarks(Training *training, const PwProgram *program)
{
    for (int rank = 0; training->watermarks && rank < program->nranks; rank++) {
        const PwRank      *promised = pw_program_rank(program, rank);
        const PwWatermark *used     = &training->watermarks[rank];
        pw_metrics_note(&training->metrics,
                        "step %lld, rank %d: arena used up to %lld at instruction "
                        "%lld; the program says %lld at %lld",
                        (long long)program->step, rank,
                        (long long)(used->highest + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN,
                        (long long)used->instruction, (long long)promised->arena_bytes,
                        (long long)promised->peak_instruction);
    }
}

static int64_t fullest_arena(const PwProgram *program)
{
    int64_t bytes = 0;
    for (int rank = 0; rank < program->nranks; rank++)
        if (pw_program_rank(program, rank)->arena_bytes > bytes)
            bytes = pw_program_rank(program, rank)->arena_bytes;
    return bytes;
}

static bool run_program(Training *training, const PwProgram *program, double waited, PwError *error)
{
    PwTeam       *team    = &training->run.team;
    PwStepNumbers numbers = pw_step_numbers(training->run.job, program->step, program->weight);
    PwRecord     *records = pw_recorder_begin(&training->recorder, program);
    if (!pw_tokens_check(&training->run.tokens, error))
        return false;
    pw_watchdog_expect(&training->watchdog, program->predicted_seconds);
    int64_t begin = pw_now();
    if (!pw_team_step(team, program, &numbers, records, error))
        return false;
    double    seconds = (double)(pw_now() - begin) / 1e9;
    PwOutcome outcome = pw_team_outcome(team, program);
    double    loss    = outcome.loss_sum * numbers.inverse_weight;
    if (!isfinite(loss) || !isfinite(outcome.factor) || !isfinite(outcome.norm))
        return not_finite(training, loss, outcome.norm, error);
    note_watermarks(training, program);
    if (!(program->weight > 0))
        pw_metrics_note(&training->metrics, "step %lld: no target of the batch counts: no update",
                        (long long)program->step);
    PwStepMetrics metrics = {
        .step          = program->step,
        .tokens        = program->ntokens,
        .sequences     = program->nsequences,
        .peak_bytes    = fullest_arena(program),
        .loss          = loss,
        .norm          = outcome.norm,
        .learning_rate = numbers.learning_rate,
        .seconds       = seconds,
        .predicted     = program->predicted_seconds,
        .wait_program  = waited,
        .wait_messages = records ? pw_recorder_waited(records, team->nranks) : 0,
        .plan_hash     = program->plan_hash,
    };
    pw_metrics_progress(&training->metrics, training->run.job, &metrics, training->steps);
    return pw_metrics_step(&training->metrics, &metrics, error);
}

static bool is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static bool run_step(Training *training, double waited, PwError *error)
{
    const PwJob     *job     = training->run.job;
    const PwProgram *program = pw_ring_program(&training->programs, training->step, job, error);
    if (!program || !run_program(training, program, waited, error))
        return false;
    training->position = program->position;
    pw_ring_consume(&training->programs, training->step++);
    if (is_due(job->evaluate_every, training->step) && !evaluate(training, error))
        return false;
    return !is_due(job->save_every, training->step) || save(training, error);
}

static bool loop(Training *training, PwError *error)
{
    while (training->step < training->steps && !stop_asked) {
        int64_t      begin  = pw_now();
        PwRingAnswer answer = pw_ring_wait(&training->programs, training->step, &stop_asked, error);
        if (answer == PW_RING_STOPPED)
            break;
        if (answer == PW_RING_END) {
            pw_metrics_note(&training->metrics,
                            "the programs end with step %lld of %lld; build or run "
                            "with --steps %lld for the others",
                            (long long)training->step, (long long)training->steps,
                            (long long)training->steps);
            break;
        }
        if (answer == PW_RING_WRONG) /* the planner's end is not the weights' */
            return save(training, &(PwError){{0}, 0}) && false;
        if (!run_step(training, (double)(pw_now() - begin) / 1e9, error))
            return false;
    }
    return true;
}

static bool finish(Training *training, PwError *error)
{
    const PwOptions *options = training->run.options;
    bool             stopped = stop_asked && training->step < training->steps;
    if (!stopped && training->step > training->run.state.step &&
        !is_due(training->run.job->evaluate_every, training->step) && !evaluate(training, error))
        return false;
    if (!save(training, error) || !pw_recorder_write(&training->recorder, training->run.job,
                                                     options->out, "trace.json", error))
        return false;
    if (stopped)
        pw_metrics_note(&training->metrics,
                        "stopped by signal %d after step %lld; saved; the same "
                        "command goes on",
                        (int)stop_signal, (long long)training->step);
    else
        pw_metrics_note(&training->metrics, "%lld step%s done; state, metrics and trace are in %s",
                        (long long)training->step, training->step == 1 ? "" : "s", options->out);
    return true;
}

bool pw_train(const PwJob *job, const PwOptions *options, PwError *error)
{
    Training *training = calloc(1, sizeof *training);
    if (!training)
        return pw_fail(error, "no memory to start");
    training->lock = -1;
    listen_to_signals();
    bool good = open_training(training, job, options, error) && loop(training, error) &&
                finish(training, error);
    close_training(training);
    free(training);
    return good;
}
