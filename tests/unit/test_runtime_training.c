/* The training loop on programs made by hand: it learns, stops, goes on, and refuses. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/json.h"
#include "runtime/run.h"
#include "runtime/watchdog.h"
#include "tests/support/toy_trainer.h"

typedef struct Place {
    char      folder[64], data[128], ring[128], out[128];
    PwOptions options;
    PwError   error;
} Place;

static void make_place(Place *place, int nranks, int steps, int weightless)
{
    toy_folder(place->folder);
    snprintf(place->data, sizeof place->data, "%s/tokens", place->folder);
    snprintf(place->ring, sizeof place->ring, "%s/programs.pw", place->folder);
    snprintf(place->out, sizeof place->out, "%s/run", place->folder);
    toy_tokens(place->data, steps + 1);
    toy_ring(place->ring, nranks, steps, weightless);
    place->options = (PwOptions){.data        = place->data,
                                 .out         = place->out,
                                 .programs    = place->ring,
                                 .steps       = -1,
                                 .trace_first = -1,
                                 .trace_last  = -1};
    snprintf(place->options.home, sizeof place->options.home, "%s", place->folder);
}

static bool train_job(Place *place, const PwJob *job)
{
    PwTransport *transport = pw_threads_open(job->nranks, false);
    bool         good      = pw_train(job, transport, &place->options, &place->error);
    transport->close(transport);
    return good;
}

static bool train(Place *place, int nranks)
{
    return train_job(place, toy_job(nranks));
}

/* In a process of its own. */
static pid_t begin_apart(Place *place, int nranks)
{
    pid_t child = fork();
    if (child == 0) {
        bool good = train(place, nranks);
        if (!good)
            fprintf(stderr, "%s\n", place->error.text);
        _exit(good ? 0 : place->error.status);
    }
    return child;
}

/* Its exit status, or 128 + signal. */
static int end_apart(pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int train_apart(Place *place, int nranks)
{
    return end_apart(begin_apart(place, nranks));
}

static void master_hash(const Place *place, int step, char hash[65])
{
    char    path[256];
    int64_t bytes;
    PwError error;
    snprintf(path, sizeof path, "%s/states/step-%d/master.safetensors", place->out, step);
    cr_assert(pw_disk_hash(path, hash, &bytes, &error), "%s", error.text);
}

static bool has_state(const Place *place, int step)
{
    char        path[256];
    struct stat status;
    snprintf(path, sizeof path, "%s/states/step-%d/manifest.json", place->out, step);
    return stat(path, &status) == 0;
}

/* Loss of the step, from metrics.jsonl; the lines' number goes to `lines`. */
static double loss_of(const Place *place, int step, int *lines)
{
    char    path[256], line[4096];
    double  loss = NAN;
    int64_t number;
    PwError error;
    snprintf(path, sizeof path, "%s/metrics.jsonl", place->out);
    FILE *file = fopen(path, "r");
    cr_assert(file);
    for (*lines = 0; fgets(line, sizeof line, file); ++*lines) {
        PwJson *root = pw_json_read(line, strlen(line), path, &error);
        cr_assert(root, "%s", error.text);
        if (pw_json_integer(root, "step", &number) && number == step)
            loss = pw_json_member(root, "loss")->number;
        free(root);
    }
    fclose(file);
    return loss;
}

Test(runtime_training, learns_and_says_so)
{
    Place place;
    int   lines;
    make_place(&place, 2, 20, -1);
    cr_assert(train(&place, 2), "%s", place.error.text);
    double first = loss_of(&place, 0, &lines), last = loss_of(&place, 19, &lines);
    cr_expect_lt(last, 0.5 * first, "loss went from %g to %g", first, last);
    cr_expect_eq(lines, 1 + 20 + 4, "a header, 20 steps, 4 saves; found %d lines", lines);
    cr_expect(has_state(&place, 20) && has_state(&place, 15));
    cr_expect_not(has_state(&place, 10) || has_state(&place, 5), "the newest two were to stay");
}

Test(runtime_training, two_runs_and_one_or_two_ranks_give_the_same_bits)
{
    Place one, two, again;
    char  hashes[3][65];
    make_place(&one, 1, 20, -1);
    make_place(&two, 2, 20, -1);
    make_place(&again, 2, 20, -1);
    cr_assert(train(&one, 1) && train(&two, 2) && train(&again, 2));
    master_hash(&one, 20, hashes[0]);
    master_hash(&two, 20, hashes[1]);
    master_hash(&again, 20, hashes[2]);
    cr_expect_str_eq(hashes[0], hashes[1]);
    cr_expect_str_eq(hashes[1], hashes[2]);
}

/* Killed at two ranks, resumed at one, stopped, resumed at two: as if nothing had happened. */
Test(runtime_training, a_killed_run_ends_with_the_bits_of_an_undisturbed_one)
{
    Place whole, cut;
    char  expected[65], found[65], one_rank[128];
    make_place(&whole, 2, 20, -1);
    make_place(&cut, 2, 20, -1);
    cr_assert(train(&whole, 2));
    master_hash(&whole, 20, expected);
    toy_mischief = (ToyMischief){8, TOY_KILL};
    cr_assert_eq(train_apart(&cut, 2), 128 + SIGKILL);
    cr_expect(has_state(&cut, 5) && !has_state(&cut, 10));
    toy_mischief = (ToyMischief){12, TOY_SIGNAL};
    snprintf(one_rank, sizeof one_rank, "%s/one.pw", cut.folder);
    toy_ring(one_rank, 1, 20, -1);
    cut.options.programs = one_rank;
    cr_assert_eq(train_apart(&cut, 1), 0);
    cr_expect(has_state(&cut, 13), "SIGTERM at step 12 finishes it and saves");
    toy_mischief         = (ToyMischief){-1, 0};
    cut.options.programs = cut.ring;
    cr_assert_eq(train_apart(&cut, 2), 0);
    master_hash(&cut, 20, found);
    cr_expect_str_eq(found, expected);
}

/* `train ... | head -n 1`: the reader of its progress goes, and it trains on. */
Test(runtime_training, nobody_has_to_read_its_progress)
{
    Place place;
    int   ends[2], kept = dup(STDOUT_FILENO);
    make_place(&place, 2, 20, -1);
    cr_assert(pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
    close(ends[0]);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    int status = train_apart(&place, 2);
    dup2(kept, STDOUT_FILENO);
    cr_expect_eq(status, 0);
    cr_expect(has_state(&place, 20));
}

Test(runtime_training, stops_before_an_update_that_is_not_finite)
{
    Place place;
    make_place(&place, 2, 20, -1);
    toy_mischief = (ToyMischief){7, TOY_NOT_FINITE};
    cr_assert_not(train(&place, 2));
    cr_expect_eq(place.error.status, PW_EXIT_FAILED);
    cr_expect(strstr(place.error.text, "step 7") && strstr(place.error.text, "rank"), "%s",
              place.error.text);
    cr_expect(has_state(&place, 5) && !has_state(&place, 7) && !has_state(&place, 8));
}

/* With no state there is no "newest" one to name. */
Test(runtime_training, says_where_no_state_is_saved)
{
    Place place;
    make_place(&place, 2, 20, -1);
    toy_mischief = (ToyMischief){3, TOY_NOT_FINITE};
    cr_assert_not(train(&place, 2));
    cr_expect(strstr(place.error.text, "this state is not saved; none is saved yet"), "%s",
              place.error.text);
    toy_mischief = (ToyMischief){8, TOY_NOT_FINITE};
    cr_assert_not(train(&place, 2));
    cr_expect(strstr(place.error.text, "the newest saved one is step 5's"), "%s", place.error.text);
}

/* The update of step 7 is made when its line cannot be written: it is not run again. */
Test(runtime_training, metrics_that_cannot_be_written_cost_it_no_step)
{
    Place place, whole;
    int   lines;
    char  expected[65], found[65];
    for (int nranks = 1; nranks <= 2; nranks++) {
        make_place(&place, nranks, 20, -1);
        make_place(&whole, nranks, 20, -1);
        toy_mischief = (ToyMischief){7, TOY_FULL};
        cr_assert_eq(train_apart(&place, nranks), PW_EXIT_FAILED);
        cr_expect(has_state(&place, 8), "step 7 is lost, and those before it since the last save");
        toy_mischief = (ToyMischief){-1, 0};
        cr_assert_eq(train_apart(&place, nranks), 0);
        cr_assert(train(&whole, nranks), "%s", whole.error.text);
        master_hash(&whole, 20, expected);
        master_hash(&place, 20, found);
        cr_expect_str_eq(found, expected);
        cr_expect(isfinite(loss_of(&place, 8, &lines)));
    }
}

Test(runtime_training, a_batch_without_weight_changes_nothing)
{
    Place place;
    char  before[65], after[65];
    make_place(&place, 2, 6, 5);
    cr_assert(train(&place, 2), "%s", place.error.text);
    master_hash(&place, 5, before);
    master_hash(&place, 6, after);
    cr_expect_str_eq(before, after);
}

Test(runtime_training, the_watchdog_ends_a_run_that_hangs)
{
    Place place;
    make_place(&place, 2, 20, -1);
    toy_mischief           = (ToyMischief){3, TOY_HANG};
    place.options.watchdog = 0.5;
    cr_expect_eq(train_apart(&place, 2), PW_EXIT_FAILED);
}

/* Stopped, as by Ctrl-Z, and continued: it has the rest of its time from there on. */
Test(runtime_training, time_in_which_it_is_stopped_is_none_in_which_it_stands_still)
{
    Place place;
    make_place(&place, 2, 20, -1);
    toy_mischief           = (ToyMischief){3, TOY_HANG};
    place.options.watchdog = 2;
    pid_t child            = begin_apart(&place, 2);
    usleep(500000);
    kill(child, SIGSTOP);
    usleep(2000000);
    int64_t begin = pw_now();
    kill(child, SIGCONT);
    cr_expect_eq(end_apart(child), PW_EXIT_FAILED);
    cr_expect_gt((double)(pw_now() - begin) / 1e9, 0.5);
}

Test(runtime_training, the_watchdog_can_be_told_to_wait_for_ever)
{
    static const double seconds[] = {9e9, 1e12, INFINITY};
    for (int i = 0; i < 3; i++) {
        PwWatchdog watchdog = {.always = seconds[i]};
        pw_watchdog_expect(&watchdog, 1);
        cr_expect_eq(atomic_load(&watchdog.limit), INT64_MAX, "%g s", seconds[i]);
    }
    PwWatchdog watchdog = {.always = 0};
    pw_watchdog_expect(&watchdog, 1e30);
    cr_expect_eq(atomic_load(&watchdog.limit), INT64_MAX);
}

Test(runtime_training, the_watchdogs_variable_is_read_like_its_option)
{
    char     *arguments[] = {"train", "--measure", "points", NULL};
    PwOptions options;
    PwError   error = {{0}, 0};
    setenv("PW_WATCHDOG_SECONDS", "1.5", 1);
    cr_assert(pw_options_read(&options, 3, arguments, &error), "%s", error.text);
    cr_expect_eq(options.watchdog, 1.5);
    setenv("PW_WATCHDOG_SECONDS", "x", 1);
    cr_assert_not(pw_options_read(&options, 3, arguments, &error));
    cr_expect_eq(error.status, PW_EXIT_INPUT);
    cr_expect_str_eq(error.text, "PW_WATCHDOG_SECONDS: found \"x\", expected a number, 0 or more");
}

Test(runtime_training, refuses_a_damaged_program)
{
    Place place;
    make_place(&place, 2, 20, -1);
    FILE *file = fopen(place.ring, "r+b");
    fseek(file, -200, SEEK_END); /* in the last step's program */
    int byte = fgetc(file);
    fseek(file, -200, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
    cr_assert_not(train(&place, 2));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, "step 19"), "%s", place.error.text);
}

Test(runtime_training, the_ring_ends_before_the_job)
{
    Place place;
    make_place(&place, 2, 12, -1);
    cr_assert(train(&place, 2), "%s", place.error.text);
    cr_expect(has_state(&place, 12));
}

/* Until the state is there: -1. The exit status of a child that ends before, or has not come to it
 * after 20 seconds. */
static int wait_for_state(const Place *place, int step, pid_t child)
{
    int status;
    for (int i = 0; i < 20000; i++) {
        if (has_state(place, step))
            return -1;
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        usleep(1000);
    }
    kill(child, SIGKILL);
    return end_apart(child);
}

static void set_finished(const char *path, int finished)
{
    FILE *file = fopen(path, "r+b");
    cr_assert(file && fseek(file, offsetof(PwRing, finished), SEEK_SET) == 0);
    fwrite(&finished, sizeof finished, 1, file);
    fclose(file);
}

/* Said before the first step where the ring is finished; where it is fed, when it ends. */
Test(runtime_training, a_ring_ends_before_the_steps_that_are_asked_for)
{
    Place       place;
    struct stat status;
    make_place(&place, 2, 12, -1);
    place.options.steps = 13;
    cr_assert_not(train(&place, 2));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, "--steps: found 13, expected at most 12: "), "%s",
              place.error.text);
    cr_expect(stat(place.out, &status) != 0, "the folder of the run was made");
    set_finished(place.ring, 0);
    pid_t child = begin_apart(&place, 2);
    int   ended = wait_for_state(&place, 10, child);
    cr_assert_eq(ended, -1, "it ended with %d, expected it to wait for more programs", ended);
    set_finished(place.ring, 1);
    cr_expect_eq(end_apart(child), PW_EXIT_INPUT);
    cr_expect(has_state(&place, 12));
}

Test(runtime_training, another_job_does_not_go_on)
{
    Place place;
    PwJob other = *toy_job(2);
    make_place(&place, 2, 20, -1);
    place.options.steps = 5;
    cr_assert(train(&place, 2));
    other.job_hash = "another";
    cr_assert_not(train_job(&place, &other));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
}

/* Of another trainer, and in place, under a run that has states of it. */
Test(runtime_training, changed_tokens_are_named)
{
    Place place;
    char  path[200];
    PwJob job = *toy_job(2);
    make_place(&place, 2, 20, -1);
    snprintf(path, sizeof path, "%s.bin", place.data);
    job.tokens_hash = "0000000000000000000000000000000000000000000000000000000000000000";
    cr_assert_not(train_job(&place, &job));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, path), "%s", place.error.text);
    place.options.steps = 5;
    cr_assert(train(&place, 2), "%s", place.error.text);
    FILE *bin = fopen(path, "r+b");
    cr_assert(bin);
    int byte = fgetc(bin);
    rewind(bin);
    fputc(byte ^ 1, bin);
    fclose(bin);
    place.options.steps = 8;
    cr_assert_not(train(&place, 2));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, "was trained on other tokens"), "%s", place.error.text);
}

Test(runtime_training, tokens_that_change_under_a_run_cost_it_no_step)
{
    Place place;
    char  path[200];
    make_place(&place, 2, 20, -1);
    snprintf(path, sizeof path, "%s.bin", place.data);
    toy_lengthened = path;
    toy_mischief   = (ToyMischief){7, TOY_LENGTHEN};
    cr_assert_not(train(&place, 2));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, "tokens.bin: the file changed while it was used"), "%s",
              place.error.text);
    cr_expect(has_state(&place, 8), "step 7 was of the tokens as they were, and the last one");
}

Test(runtime_training, a_changed_token_set_is_named)
{
    Place place;
    char  path[200];
    PwJob job = *toy_job(2);
    make_place(&place, 2, 20, -1);
    snprintf(path, sizeof path, "%s.idx", place.data);
    job.data_hash = "0000000000000000000000000000000000000000000000000000000000000000";
    cr_assert_not(train_job(&place, &job));
    cr_expect_eq(place.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(place.error.text, path), "%s", place.error.text);
}
