/* run: opening and closing, and the two small modes that need nothing else. */
#include "runtime/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/coming.h"
#include "runtime/dataset.h"
#include "runtime/disk.h"
#include "runtime/json.h"
#include "runtime/weights.h"

enum { BYTE_VOCABULARY = 257 };

/* Other tokens are another training; another toolchain computes other bits; other code is a
 * changed policy or cadence, and only noted. `tokens`: the hash of the .bin to go on with, "": not
 * known. */
static bool check_state(const PwSavedState *state, const PwOptions *options, const char *tokens,
                        PwError *error)
{
    if (state->tokens_hash[0] && tokens[0] && strcmp(state->tokens_hash, tokens) != 0)
        return pw_input(error,
                        "%s was trained on other tokens of the same lengths (SHA-256 of the .bin "
                        "%.16s, now %.16s); choose another --out",
                        state->folder, state->tokens_hash, tokens);
    if (strcmp(state->toolchain, pw_toolchain()) == 0 || options->accept_toolchain)
        return true;
    return pw_input(error,
                    "%s was written by a trainer of \"%s\"; this one is \"%s\" and would give "
                    "other bits; --accept-toolchain goes on all the same",
                    state->folder, state->toolchain, pw_toolchain());
}

static bool first_weights(PwRun *run, PwError *error)
{
    struct stat status;
    char        folder[PW_PATH_MAX];
    if (!pw_disk_join(folder, run->options->home, "first_weights", error))
        return false;
    if (stat(folder, &status) == 0)
        return pw_weights_from_folder(&run->team, folder, error);
    pw_weights_from_seed(&run->team);
    return true;
}

static bool find_state(PwRun *run, PwError *error)
{
    PwTransport *transport = run->team.transport;
    const char  *out       = run->options->out;
    if (out && pw_leads(transport) &&
        !pw_state_find(run->job, out, &run->state, &run->resumed, error))
        return false;
    pw_share(transport, 0, &run->state, sizeof run->state);
    pw_share(transport, 0, &run->resumed, sizeof run->resumed);
    return true;
}

static bool fill(PwRun *run, bool needs_state, PwError *error)
{
    const char *out = run->options->out;
    if (!find_state(run, error))
        return false;
    pw_tables_fill(&run->team);
    if (run->resumed)
        return check_state(&run->state, run->options, run->tokens.hash, error) &&
               pw_state_load(&run->team, &run->state, needs_state, error);
    if (needs_state)
        return pw_input(error, "%s: there is no saved state; train first", out);
    return first_weights(run, error);
}

/* Training and evaluation read what the programs were made for; those of --evaluation may have been
 * made for other documents. */
static bool open_data(PwRun *run, bool leads, PwError *error)
{
    const PwOptions *options = run->options;
    if (!pw_dataset_find(options, run->data, error))
        return false;
    run->tokens.vocabulary = run->job->vocabulary;
    if (!run->data[0])
        return true;
    if (!pw_tokens_open(&run->tokens, run->data, run->job->vocabulary, error))
        return false;
    if (options->mode == PW_MODE_TRAIN ||
        (options->mode == PW_MODE_EVALUATE && !options->evaluation))
        return pw_dataset_check(run->job, options, run->data, &run->tokens, leads, error);
    return true;
}

bool pw_run_open(PwRun *run, const PwJob *job, PwTransport *transport, const PwOptions *options,
                 bool needs_state, PwError *error)
{
    *run = (PwRun){.job = job, .options = options};
    return open_data(run, pw_leads(transport), error) &&
           pw_team_open(&run->team, job, transport, &run->tokens, error) &&
           fill(run, needs_state, error);
}

void pw_run_close(PwRun *run)
{
    pw_team_close(&run->team);
    pw_tokens_close(&run->tokens);
}

/* Refuses where training would refuse: for whoever must know it before anything is changed. */
bool pw_where(const PwJob *job, const PwOptions *options, PwError *error)
{
    PwSavedState saved;
    bool         found;
    int          lock = -1;
    if (access(options->out, F_OK) == 0 && !pw_disk_lock(options->out, &lock, error))
        return false;
    bool good = pw_state_find(job, options->out, &saved, &found, error) &&
                (!found || check_state(&saved, options, job->tokens_hash, error));
    if (lock >= 0)
        close(lock);
    if (good)
        printf("%lld\n", found ? (long long)saved.step : 0);
    return good;
}

/* Size, SHA-256 and toolchain of this executable: the build script has no other way to hash, and
 * there may be no /proc to find it by. */
bool pw_built(const PwOptions *options, PwError *error)
{
    char       hash[65];
    int64_t    bytes;
    PwJsonText text = {0};
    if (!pw_disk_hash(options->executable, hash, &bytes, error))
        return false;
    pw_json_add_string(&text, pw_toolchain());
    printf("{\"format\": \"pipewright-built-1\", \"bytes\": %lld, \"sha256\": \"%s\", "
           "\"toolchain\": %s}\n",
           (long long)bytes, hash, text.at);
    free(text.at);
    return true;
}

bool pw_export(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error)
{
    PwRun run;
    bool  good = pw_run_open(&run, job, transport, options, true, error) &&
                pw_weights_export(&run.team, options->folder, error);
    if (good)
        printf("%s: weights after %lld step%s\n", options->folder, (long long)run.state.step,
               run.state.step == 1 ? "" : "s");
    pw_run_close(&run);
    return good;
}

static double count_text_bytes(const PwTeam *team)
{
    double count = 0;
    for (int rank = 0; rank < team->nranks; rank++)
        count += (double)team->workers[rank].text_bytes;
    return pw_sum(team->transport, count);
}

bool pw_evaluate_programs(PwTeam *team, const char *path, const volatile int *stop,
                          PwEvaluation *result, PwError *error)
{
    const PwProgram *program;
    PwComing         coming;
    double           sum  = 0;
    bool             good = true;
    *result               = (PwEvaluation){0};
    if (!pw_coming_open(&coming, team->transport, path, error))
        return false;
    for (int rank = 0; rank < team->nranks; rank++)
        team->workers[rank].text_bytes = 0;
    for (int64_t step = coming.first; good; step++) {
        PwRingAnswer answer = pw_coming_wait(&coming, step, stop, team->job, &program, error);
        if (answer == PW_RING_END || answer == PW_RING_STOPPED)
            break;
        PwStepNumbers numbers = {.inverse_weight = 1};
        good                  = program && pw_team_step(team, program, &numbers, NULL, error);
        if (good) {
            sum += pw_team_outcome(team, program).loss_sum;
            result->weight += program->weight;
        }
    }
    result->signal = coming.signal;
    pw_coming_close(&coming);
    if (!good || result->signal || !(result->weight > 0))
        return good;
    double text_bytes = count_text_bytes(team);
    result->loss      = sum / result->weight;
    if (team->job->vocabulary == BYTE_VOCABULARY && text_bytes > 0)
        result->bits_per_byte = sum / M_LN2 / text_bytes;
    return true;
}

static void print_evaluation(const PwEvaluation *result, bool json, int64_t step)
{
    double bits = result->loss / M_LN2;
    if (json) {
        printf("{\"step\": %lld, \"targets\": %.0f, \"loss\": %.17g, \"perplexity\": %.17g, "
               "\"bits_per_token\": %.17g",
               (long long)step, result->weight, result->loss, exp(result->loss), bits);
        if (result->bits_per_byte > 0)
            printf(", \"bits_per_byte\": %.17g", result->bits_per_byte);
        printf("}\n");
        return;
    }
    printf("after %lld step%s: loss %.4f over %.0f targets, perplexity %.3f, %.4f bits per token",
           (long long)step, step == 1 ? "" : "s", result->loss, result->weight, exp(result->loss),
           bits);
    if (result->bits_per_byte > 0)
        printf(", %.4f bits per byte", result->bits_per_byte);
    printf("\n");
}

bool pw_evaluate(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error)
{
    static const int never; /* a signal ends this process: nothing of it is to be saved */
    PwRun            run;
    PwEvaluation     result;
    char             beside[PW_PATH_MAX];
    const char      *path = options->evaluation ? options->evaluation : beside;
    bool             good = pw_run_open(&run, job, transport, options, true, error) &&
                pw_disk_join(beside, options->home, "evaluate.pw", error) &&
                pw_evaluate_programs(&run.team, path, &never, &result, error) &&
                (result.weight > 0 || pw_input(error, "%s: no target counts in it", path));
    if (good && pw_leads(transport))
        print_evaluation(&result, options->json, run.state.step);
    pw_run_close(&run);
    return good;
}
