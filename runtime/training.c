/* training: the loop. For each step: wait for its program, check it, run it on all ranks, look at
 * the result. What may stop it: the last step, a signal (state saved, status 0), the ring's end, a
 * loss that is no number (state not saved, status 1), an error. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/coming.h"
#include "runtime/disk.h"
#include "runtime/learning_rate.h"
#include "runtime/metrics.h"
#include "runtime/run.h"
#include "runtime/watchdog.h"
#include "runtime/weights.h"

enum { TRACED_STEPS = 3 };

typedef struct Training {
    PwRun        run;
    PwComing     coming;
    PwRecorder   recorder;
    PwWatchdog   watchdog;
    PwMetrics    metrics;
    PwWatermark *watermarks; /* [nranks], or NULL                                              */
    char         programs[PW_PATH_MAX];   /* the ring                                          */
    char         evaluation[PW_PATH_MAX]; /* "": there is none                                  */
    int64_t      steps; /* train up to so many in all                                           */
    int64_t      step;  /* the next one                                                         */
    int64_t      position;
    int64_t      evaluated; /* the step that was next at the last evaluation, or at the start  */
    bool         stopped;   /* by a signal                                                        */
    int          lock;      /* of RUN/                                                            */
} Training;

static volatile int stop_asked; /* the signal's number */

/* The first signal asks; the second one, if the step takes too long, is the system's. */
static void on_signal(int number)
{
    stop_asked = number;
    signal(number, SIG_DFL);
}

static void listen_to_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL); /* launchers pass it on to every process */
    signal(SIGPIPE, SIG_IGN);          /* whoever read the progress may stop reading: train on */
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
    const PwOptions *options   = training->run.options;
    PwTransport     *transport = training->run.team.transport;
    if (options->trace_first < 0)
        return pw_recorder_open(&training->recorder, transport, TRACED_STEPS, 0, INT64_MAX, error);
    return pw_recorder_open(&training->recorder, transport,
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
    const PwRun       *run       = &training->run;
    const PwTransport *transport = run->team.transport;
    int                n = transport->nranks, cores = transport->ncores;
    pw_metrics_note(&training->metrics, "%s: %d rank%s on %d core%s by %s, %s, %s%s",
                    run->job->name, n, n == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
                    transport->name, pw_toolchain(), run->resumed ? "goes on from " : "from step 0",
                    run->resumed ? run->state.folder : "");
    if (!run->resumed)
        return;
    if (strcmp(run->state.code_hash, run->job->code_hash) != 0)
        pw_metrics_note(&training->metrics, "since the state was saved, the trainer changed: %s",
                        run->state.changes[0] ? run->state.changes
                        : run->state.tells    ? "its code, no field of the job"
                                              : "policy, layout, cadence or curve; the state is "
                                                "of an older Pipewright and does not say which");
    if (strcmp(run->state.toolchain, pw_toolchain()) != 0)
        pw_metrics_note(&training->metrics,
                        "the state was written by another toolchain (%s), "
                        "accepted",
                        run->state.toolchain);
}

/* Memory is taken before the first step, not in the middle of one that happens to be larger. */
static void touch_arena(PwWorker *worker, void *bytes)
{
    pw_arena_touch(&worker->arena, ((const int64_t *)bytes)[worker->rank]);
}

static bool touch_arenas(Training *training, PwError *error)
{
    PwTeam      *team  = &training->run.team;
    const PwJob *job   = team->job;
    int64_t     *bytes = calloc((size_t)team->nranks, 2 * sizeof *bytes), *more;
    if (!bytes)
        return pw_fail(error, "no memory for %d ranks", team->nranks);
    more = bytes + team->nranks;
    pw_coming_forecast(&training->coming, bytes);
    for (int rank = 0; rank < team->nranks; rank++) {
        int64_t touched = job->static_bytes[rank];
        bytes[rank]     = bytes[rank] < job->capacity[rank] ? bytes[rank] : job->capacity[rank];
        more[rank]      = bytes[rank] > touched ? bytes[rank] - touched : 0;
    }
    bool good = pw_team_memory(team, more, error);
    if (good)
        pw_team_do(team, touch_arena, bytes);
    free(bytes);
    return good;
}

/* RUN/ is the leader's. */
static bool open_folder(Training *training, const PwOptions *options, PwError *error)
{
    return pw_disk_make_folders(options->out, error) &&
           pw_disk_lock(options->out, &training->lock, error);
}

static bool open_metrics(Training *training, PwError *error)
{
    const PwRun       *run       = &training->run;
    const PwTransport *transport = run->team.transport;
    if (!pw_leads(transport))
        return training->metrics.silent = true;
    bool good = pw_metrics_open(&training->metrics, run->job, run->options->out, training->step,
                                transport->name, error);
    if (transport->processes) /* a launcher may give each process a terminal; nobody looks at it */
        training->metrics.terminal = false;
    return good;
}

static bool too_few(const Training *training, int64_t end, int64_t asked, PwError *error)
{
    return pw_input(error,
                    "--steps: found %lld, expected at most %lld: %s has no programs of later "
                    "steps; ask for fewer, or build with --steps %lld: that trainer goes on with "
                    "the same --out",
                    (long long)asked, (long long)end, training->programs, (long long)asked);
}

/* Of a finished ring it is known before the first step whether it has all that are asked for. */
static bool open_programs(Training *training, PwTransport *transport, const PwOptions *options,
                          PwError *error)
{
    if (options->programs)
        snprintf(training->programs, sizeof training->programs, "%s", options->programs);
    else if (!pw_disk_join(training->programs, options->home, "programs.pw", error))
        return false;
    if (!pw_coming_open(&training->coming, transport, training->programs, error))
        return false;
    int64_t end = training->coming.end;
    return end < 0 || options->steps <= end || too_few(training, end, options->steps, error);
}

static bool open_training(Training *training, const PwJob *job, PwTransport *transport,
                          const PwOptions *options, PwError *error)
{
    if (!open_programs(training, transport, options, error) ||
        (pw_leads(transport) && !open_folder(training, options, error)) ||
        !pw_run_open(&training->run, job, transport, options, false, error) ||
        !touch_arenas(training, error))
        return false;
    training->step      = training->run.state.step;
    training->position  = training->run.state.position;
    training->evaluated = training->step;
    training->steps     = options->steps >= 0 ? options->steps : job->steps;
    if (!open_metrics(training, error) || !open_recorder(training, error) ||
        !open_watermarks(training, error) || !find_evaluation(training, error) ||
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
    pw_coming_close(&training->coming);
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

static void say_evaluation(Training *training, const PwEvaluation *result)
{
    PwMetrics *metrics = &training->metrics;
    long long  step    = training->step;
    if (result->signal)
        pw_metrics_note(metrics, "after step %lld: evaluation stopped by signal %d", step,
                        result->signal);
    else if (!(result->weight > 0))
        pw_metrics_note(metrics, "after step %lld: no held-out target counts: no held-out loss",
                        step);
    else if (result->bits_per_byte > 0)
        pw_metrics_note(metrics, "after step %lld: held-out loss %.4f, %.4f bits per byte", step,
                        result->loss, result->bits_per_byte);
    else
        pw_metrics_note(metrics, "after step %lld: held-out loss %.4f", step, result->loss);
}

/* Saves first: whatever becomes of the evaluation, the steps are not lost. */
static bool evaluate(Training *training, PwError *error)
{
    PwEvaluation result;
    if (!training->evaluation[0])
        return true;
    if (!save(training, error))
        return false;
    training->evaluated = training->step;
    pw_watchdog_expect(&training->watchdog, 0);
    if (!pw_evaluate_programs(&training->run.team, training->evaluation, &stop_asked, &result,
                              error))
        return false;
    say_evaluation(training, &result);
    if (result.signal || !(result.weight > 0))
        return true;
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
    const PwSavedState *newest    = &training->run.state;
    char                saved[60] = "none is saved yet";
    if (newest->folder[0])
        snprintf(saved, sizeof saved, "the newest saved one is step %lld's",
                 (long long)newest->step);
    return pw_fail(error,
                   "step %lld: loss %g, norm of the gradient %g; %sno update was made and this "
                   "state is not saved; %s",
                   (long long)training->step, loss, norm, where, saved);
}

static void note_watermarks(Training *training, const PwProgram *program)
{
    PwTransport *transport = training->run.team.transport;
    for (int rank = 0; training->watermarks && rank < program->nranks; rank++) {
        const PwRank *promised = pw_program_rank(program, rank);
        PwWatermark  *used     = &training->watermarks[rank];
        pw_carry(transport, rank, 0, used, sizeof *used);
        pw_metrics_note(&training->metrics,
                        "step %lld, rank %d: arena used up to %lld at instruction "
                        "%lld; the program says %lld at %lld",
                        (long long)program->step, rank, (long long)used->highest,
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

/* Where something went wrong in one process, all hear of it, and save the steps that are made. */
static bool all_good(Training *training, bool good, PwError *error)
{
    PwTransport *transport = training->run.team.transport;
    int64_t      rank      = pw_greatest(transport, good ? -1 : transport->first);
    if (rank < 0)
        return true;
    pw_share(transport, (int)rank, error, sizeof *error);
    return save(training, &(PwError){{0}, 0}) && false;
}

/* The programs were made for them. The steps before were of the tokens as they were. */
static bool tokens_hold(Training *training, PwError *error)
{
    return all_good(training, pw_tokens_check(&training->run.tokens, error), error);
}

/* Its update is made, whatever becomes of its metrics: the next one is counted first. */
static bool end_step(Training *training, const PwProgram *program, const PwStepMetrics *metrics,
                     PwError *error)
{
    training->position = program->position;
    training->step++;
    pw_metrics_progress(&training->metrics, training->run.job, metrics, training->steps);
    return all_good(training, pw_metrics_step(&training->metrics, metrics, error), error);
}

static bool run_program(Training *training, const PwProgram *program, double waited, PwError *error)
{
    PwTeam       *team    = &training->run.team;
    PwStepNumbers numbers = pw_step_numbers(training->run.job, program->step, program->weight);
    PwRecord     *records = pw_recorder_begin(&training->recorder, program);
    if (!tokens_hold(training, error))
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
        .wait_messages = pw_recorder_waited(&training->recorder, records),
        .plan_hash     = program->plan_hash,
    };
    return end_step(training, program, &metrics, error);
}

static bool is_due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static bool run_step(Training *training, const PwProgram *program, double waited, PwError *error)
{
    const PwJob *job = training->run.job;
    if (!run_program(training, program, waited, error))
        return false;
    pw_coming_done(&training->coming, training->step - 1);
    if (is_due(job->save_every, training->step) && !save(training, error))
        return false;
    return !is_due(job->evaluate_every, training->step) || evaluate(training, error);
}

/* Where the job alone says how many steps there are, a trainer of fewer has done its part. */
static bool end_early(Training *training, PwError *error)
{
    int64_t asked = training->run.options->steps;
    if (asked >= 0)
        return save(training, error) && too_few(training, training->step, asked, error);
    pw_metrics_note(&training->metrics,
                    "the programs end with step %lld of %lld; build or run with --steps %lld for "
                    "the others",
                    (long long)training->step, (long long)training->steps,
                    (long long)training->steps);
    return true;
}

/* Always false: the error that stopped the run stays. */
static bool keep_what_is_trained(Training *training)
{
    if (training->step > 0 && save(training, &(PwError){{0}, 0}))
        pw_metrics_note(&training->metrics,
                        "stopped after step %lld, which is saved; the same command goes on once "
                        "what is wrong is mended",
                        (long long)training->step);
    return false;
}

static bool loop(Training *training, PwError *error)
{
    const PwProgram *program;
    while (training->step < training->steps) {
        int64_t      begin  = pw_now();
        PwRingAnswer answer = pw_coming_wait(&training->coming, training->step, &stop_asked,
                                             training->run.job, &program, error);
        training->stopped   = answer == PW_RING_STOPPED;
        if (training->stopped)
            break;
        if (answer == PW_RING_END)
            return end_early(training, error);
        if (answer == PW_RING_WRONG) /* the planner's end is not the weights' */
            return keep_what_is_trained(training);
        if (!run_step(training, program, (double)(pw_now() - begin) / 1e9, error))
            return false;
    }
    return true;
}

static bool finish(Training *training, PwError *error)
{
    const PwOptions *options = training->run.options;
    if (!save(training, error) || !pw_recorder_write(&training->recorder, training->run.job,
                                                     options->out, "trace.json", error))
        return false;
    if (!training->stopped && training->step > training->evaluated && !evaluate(training, error))
        return false;
    if (training->stopped)
        pw_metrics_note(&training->metrics,
                        "stopped by signal %d after step %lld; saved; the same "
                        "command goes on",
                        training->coming.signal, (long long)training->step);
    else
        pw_metrics_note(&training->metrics, "%lld step%s done; state, metrics and trace are in %s",
                        (long long)training->step, training->step == 1 ? "" : "s", options->out);
    return true;
}

bool pw_train(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error)
{
    Training *training = calloc(1, sizeof *training);
    if (!training)
        return pw_fail(error, "no memory to start");
    training->lock = -1;
    listen_to_signals();
    bool good = open_training(training, job, transport, options, error) && loop(training, error) &&
                finish(training, error);
    if (!good)
        pw_metrics_failure(&training->metrics, error);
    close_training(training);
    free(training);
    return good;
}
