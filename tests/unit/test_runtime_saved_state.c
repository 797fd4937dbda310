/* Saved states and exports: what goes in comes out; and whatever operation of a save fails, or is
 * the last one before the end of the process, the old state or the new one is whole. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/saved_state.h"
#include "runtime/weights.h"
#include "tests/support/toy_trainer.h"

static int operations, fail_at, fail_with; /* fail_with 0: the process ends */

static int count_operations(const char *operation, const char *path)
{
    (void)operation;
    (void)path;
    if (operations++ != fail_at)
        return 0;
    if (fail_with == 0)
        _exit(77);
    return fail_with;
}

typedef struct Saver {
    char         run[64];
    PwTeam       team;
    PwSavedState newest;
    PwTransport *transport;
    PwError      error;
} Saver;

static void open_saver(Saver *saver, int nranks)
{
    saver->transport = pw_threads_open(nranks, false);
    cr_assert(pw_team_open(&saver->team, toy_job(nranks), saver->transport, NULL, &saver->error),
              "%s", saver->error.text);
}

static void close_saver(Saver *saver)
{
    pw_team_close(&saver->team);
    saver->transport->close(saver->transport);
}

static void fill(const Saver *saver, real value)
{
    const PwJob *job = saver->team.job;
    for (int i = 0; i < job->ntensors; i++) {
        const PwTensor *tensor = &job->tensors[i];
        unsigned char  *arena  = saver->team.workers[tensor->rank].arena.at;
        for (int64_t j = 0; j < tensor->rows; j++) {
            ((real *)(void *)(arena + tensor->weight))[j]  = value + (real)(i * 100 + j);
            ((real *)(void *)(arena + tensor->moment1))[j] = 2 * value + (real)j;
            ((real *)(void *)(arena + tensor->moment2))[j] = 3 * value + (real)j;
        }
    }
}

static bool holds(const Saver *saver, real value)
{
    const PwJob *job = saver->team.job;
    for (int i = 0; i < job->ntensors; i++) {
        const PwTensor *tensor = &job->tensors[i];
        unsigned char  *arena  = saver->team.workers[tensor->rank].arena.at;
        for (int64_t j = 0; j < tensor->rows; j++)
            if (((real *)(void *)(arena + tensor->weight))[j] != value + (real)(i * 100 + j) ||
                ((real *)(void *)(arena + tensor->moment1))[j] != 2 * value + (real)j ||
                ((real *)(void *)(arena + tensor->moment2))[j] != 3 * value + (real)j)
                return false;
    }
    return true;
}

static bool save(Saver *saver, int64_t step)
{
    return pw_state_save(&saver->team, saver->run, step, 10 * step, &saver->newest, &saver->error);
}

/* The step that is found and loaded, or -1. */
static int64_t load(Saver *saver)
{
    PwSavedState *newest = &saver->newest;
    bool          found;
    cr_assert(pw_state_find(saver->team.job, saver->run, newest, &found, &saver->error), "%s",
              saver->error.text);
    cr_assert_eq(newest->position, 10 * newest->step);
    cr_assert(found || newest->step == 0);
    if (!found)
        return -1;
    cr_assert(pw_state_load(&saver->team, newest, false, &saver->error), "%s", saver->error.text);
    return newest->step;
}

/* The steps of all states that are there: "3 6 7". */
static const char *states(const Saver *saver)
{
    static char text[1000];
    char        path[200];
    size_t      length = 0;
    snprintf(path, sizeof path, "%s/states", saver->run);
    text[0] = 0;
    for (int step = 0; step < 100; step++) {
        char folder[250];
        snprintf(folder, sizeof folder, "%s/step-%d", path, step);
        if (access(folder, F_OK) == 0)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%d",
                                       length ? " " : "", step);
    }
    return text;
}

Test(saved_state, comes_back_also_with_other_ranks)
{
    Saver one = {0}, two = {0};
    toy_folder(one.run);
    strcpy(two.run, one.run);
    open_saver(&one, 1);
    cr_expect_eq(load(&one), -1);
    fill(&one, 5);
    cr_assert(save(&one, 3), "%s", one.error.text);
    open_saver(&two, 2);
    cr_expect_eq(load(&two), 3);
    cr_expect(holds(&two, 5));
    close_saver(&one);
    close_saver(&two);
}

/* Saves step 1, then step 2 with a fault at operation n; then what is there must be 1 or 2, whole,
 * and a save of step 3 must work again. An older state that cannot be removed is no failure of the
 * save. Returns whether the fault came at all. */
static bool survives(int n, int code, int *only_left_older)
{
    enum { SAVED = 0, SAVED_ALL_THE_SAME = 76, ENDED = 77, FAILED = 78, SILENT = 79 };
    Saver saver = {0};
    int   status;
    toy_folder(saver.run);
    open_saver(&saver, 1);
    fill(&saver, 1);
    cr_assert(save(&saver, 1), "%s", saver.error.text);
    close_saver(&saver);
    pid_t child = fork();
    if (child == 0) {
        open_saver(&saver, 1);
        PwJob job      = *saver.team.job;
        job.save_keep  = 1; /* the save removes step 1 */
        saver.team.job = &job;
        fill(&saver, 2);
        operations    = 0;
        fail_at       = n;
        fail_with     = code;
        pw_disk_fault = count_operations;
        bool good     = save(&saver, 2);
        _exit(good && operations > n ? SAVED_ALL_THE_SAME
              : good                 ? SAVED
              : *saver.error.text    ? FAILED
                                     : SILENT);
    }
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status), "operation %d", n);
    int  end  = WEXITSTATUS(status);
    bool good = end == SAVED || (code && end == SAVED_ALL_THE_SAME);
    cr_assert(good || end == (code ? FAILED : ENDED), "operation %d ended with %d", n, end);
    open_saver(&saver, 1);
    int64_t step = load(&saver);
    cr_assert(step == 1 || step == 2, "operation %d: found step %lld", n, (long long)step);
    cr_assert(holds(&saver, (real)step), "operation %d: step %lld is not whole", n,
              (long long)step);
    cr_assert(!good || step == 2);
    fill(&saver, 3);
    cr_assert(save(&saver, 3), "after operation %d: %s", n, saver.error.text);
    cr_assert_eq(load(&saver), 3);
    close_saver(&saver);
    *only_left_older += end == SAVED_ALL_THE_SAME;
    return end != SAVED;
}

Test(saved_state, a_process_that_ends_at_any_operation_loses_nothing)
{
    int n = 0, older = 0;
    while (survives(n, 0, &older))
        n++;
    cr_expect_gt(n, 25, "only %d operations were seen", n);
}

Test(saved_state, an_operation_that_fails_loses_nothing)
{
    static const int codes[] = {EIO, ENOSPC};
    for (int i = 0; i < 2; i++) {
        int n = 0, older = 0;
        while (survives(n, codes[i], &older))
            n++;
        cr_expect_gt(n, 25);
        cr_expect_gt(older, 0, "no removal of an older state failed");
    }
}

Test(saved_state, a_full_disk_is_told_with_what_is_needed)
{
    Saver saver = {0};
    toy_folder(saver.run);
    open_saver(&saver, 1);
    fail_at       = 3;
    fail_with     = ENOSPC;
    pw_disk_fault = count_operations;
    cr_assert_not(save(&saver, 1));
    cr_expect_eq(saver.error.status, PW_EXIT_FAILED);
    cr_expect(strstr(saver.error.text, "needed") && strstr(saver.error.text, "free"), "%s",
              saver.error.text);
    close_saver(&saver);
}

Test(saved_state, a_full_disk_keeps_no_run_from_its_lock)
{
    struct rlimit full = {0, 0};
    char          run[64];
    int           status, lock;
    PwError       error;
    toy_folder(run);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN); /* writing fails instead */
        _exit(setrlimit(RLIMIT_FSIZE, &full) == 0 && pw_disk_lock(run, &lock, &error) ? 0 : 1);
    }
    waitpid(child, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Turns a bit of a state's file. */
static void damage(const Saver *saver, int step, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/states/step-%d/%s", saver->run, step, name);
    FILE *file = fopen(path, "r+b");
    cr_assert(file);
    fseek(file, 12, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, 12, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
}

Test(saved_state, one_bit_changed_makes_it_be_passed_over)
{
    static const char *const files[] = {"master.safetensors", "moment1.safetensors",
                                        "moment2.safetensors", "manifest.json"};
    for (int i = 0; i < 4; i++) {
        Saver saver = {0};
        toy_folder(saver.run);
        open_saver(&saver, 1);
        fill(&saver, 1);
        cr_assert(save(&saver, 1));
        fill(&saver, 2);
        cr_assert(save(&saver, 2));
        damage(&saver, 2, files[i]);
        cr_expect_eq(load(&saver), 1, "%s", files[i]);
        cr_expect(holds(&saver, 1));
        close_saver(&saver);
    }
}

/* The step that is found while `fault`, if any, is in the way; -1: an error. */
static int64_t find(Saver *saver, int (*fault)(const char *operation, const char *path))
{
    PwSavedState saved;
    bool         found;
    saver->error  = (PwError){{0}, 0};
    pw_disk_fault = fault;
    bool good     = pw_state_find(saver->team.job, saver->run, &saved, &found, &saver->error);
    pw_disk_fault = NULL;
    return good ? saved.step : -1;
}

/* It would begin anew, cut the metrics, and remove the states when it has passed them. */
Test(saved_state, a_run_does_not_begin_anew_where_no_state_holds)
{
    Saver saver = {0};
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert(save(&saver, 1));
    cr_assert(save(&saver, 2));
    damage(&saver, 1, "master.safetensors");
    damage(&saver, 2, "moment1.safetensors");
    cr_expect_eq(find(&saver, NULL), -1);
    cr_expect_eq(saver.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(saver.error.text, "states: no saved state there holds (the newest: ") &&
                  strstr(saver.error.text, "step-2/moment1.safetensors: its size or SHA-256") &&
                  strstr(saver.error.text, "choose another --out"),
              "%s", saver.error.text);
    cr_expect_str_eq(states(&saver), "1 2");
    close_saver(&saver);
}

/* fail_at 0: the manifest of the newest state; 1 to 3: its files. */
static int reading_fails(const char *operation, const char *path)
{
    (void)path;
    return strcmp(operation, "read") == 0 && operations++ == fail_at ? fail_with : 0;
}

Test(saved_state, one_that_cannot_be_read_is_not_passed_over)
{
    static const int codes[] = {EACCES, EIO, ENOMEM};
    Saver            saver   = {0};
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert(save(&saver, 1));
    cr_assert(save(&saver, 2));
    for (fail_at = 0; fail_at < 4; fail_at++)
        for (int i = 0; i < 3; i++) {
            operations = 0;
            fail_with  = codes[i];
            cr_expect_eq(find(&saver, reading_fails), -1, "file %d, %d", fail_at, codes[i]);
            cr_expect_eq(saver.error.status, PW_EXIT_FAILED);
            cr_expect(strstr(saver.error.text, "step-2/") &&
                          strstr(saver.error.text, strerror(codes[i])),
                      "%s", saver.error.text);
        }
    operations = 0;
    fail_at    = 0;
    fail_with  = ENOENT; /* a removal that was cut short */
    cr_expect_eq(find(&saver, reading_fails), 1);
    close_saver(&saver);
}

/* A run that had to go back behind them keeps what it saves; those that it passes go. */
Test(saved_state, damaged_states_do_not_push_out_those_that_hold)
{
    Saver saver = {0};
    toy_folder(saver.run);
    open_saver(&saver, 1);
    fill(&saver, 2);
    cr_assert(save(&saver, 2));
    fill(&saver, 6);
    cr_assert(save(&saver, 6));
    saver.newest.step = 2; /* as if a run had begun again there, with another cadence */
    fill(&saver, 4);
    cr_assert(save(&saver, 4));
    cr_expect_str_eq(states(&saver), "2 4 6");
    damage(&saver, 6, "master.safetensors");
    cr_expect_eq(load(&saver), 4);
    fill(&saver, 8);
    cr_assert(save(&saver, 8), "%s", saver.error.text);
    cr_expect_str_eq(states(&saver), "4 8");
    damage(&saver, 8, "moment1.safetensors");
    cr_expect_eq(load(&saver), 4);
    cr_expect(holds(&saver, 4));
    close_saver(&saver);
}

Test(saved_state, the_newest_stay_and_every_kth)
{
    PwJob job   = *toy_job(1);
    Saver saver = {0};
    toy_folder(saver.run);
    open_saver(&saver, 1);
    for (int step = 5; step <= 25; step += 5)
        cr_assert(save(&saver, step));
    cr_expect_str_eq(states(&saver), "20 25", "save_keep is 2 and nothing else was asked for");
    job.save_keep       = 3;
    job.save_keep_every = 4; /* of saves each 5 steps: 20, 40, ... */
    saver.team.job      = &job;
    for (int step = 30; step <= 60; step += 5)
        cr_assert(save(&saver, step));
    cr_assert(save(&saver, 62)); /* stopped by a signal: it is a newest one, and no K-th */
    cr_expect_str_eq(states(&saver), "20 40 55 60 62");
    close_saver(&saver);
}

/* Also where its process seems to live: a killed one does until its parent asks for its end. */
Test(saved_state, what_did_not_end_goes_with_the_next_save)
{
    Saver saver = {0};
    char  whole[200], owned[200];
    toy_folder(saver.run);
    open_saver(&saver, 1);
    fill(&saver, 1);
    cr_assert(save(&saver, 1));
    snprintf(whole, sizeof whole, "%s/states/step-7.tmp", saver.run);
    snprintf(owned, sizeof owned, "%s/states/step-7.tmp.%ld", saver.run, (long)getppid());
    cr_assert(mkdir(whole, 0777) == 0 && mkdir(owned, 0777) == 0);
    cr_assert(save(&saver, 2), "%s", saver.error.text);
    cr_expect(access(whole, F_OK) != 0, "a save that did not end stays");
    cr_expect(access(owned, F_OK) != 0, "a save of an earlier version that did not end stays");
    cr_expect_eq(load(&saver), 2);
    close_saver(&saver);
}

Test(saved_state, a_folder_under_another_steps_name_is_passed_over)
{
    Saver saver = {0};
    char  from[200], to[200];
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert(save(&saver, 1));
    cr_assert(save(&saver, 2));
    snprintf(from, sizeof from, "%s/states/step-2", saver.run);
    snprintf(to, sizeof to, "%s/states/step-9", saver.run);
    cr_assert(rename(from, to) == 0);
    cr_expect_eq(load(&saver), 1);
    close_saver(&saver);
}

static void edit_manifest(const Saver *saver, int step, const char *edit)
{
    char command[300];
    snprintf(command, sizeof command, "sed -i '%s' %s/states/step-%d/manifest.json", edit,
             saver->run, step);
    cr_assert_eq(system(command), 0);
}

Test(saved_state, what_changed_in_the_job_is_named)
{
    static const PwField before[] = {
        {"data.path", "\"a\\\"b\""}, {"gone", "1"}, {"train.seed", "3"}};
    static const PwField now[] = {{"data.path", "\"a\\\"b\""}, {"train.seed", "4"}, {"new", "0.5"}};
    Saver                saver = {0};
    bool                 found;
    PwJob                job = *toy_job(1);
    toy_folder(saver.run);
    open_saver(&saver, 1);
    job.fields     = before;
    job.nfields    = 3;
    saver.team.job = &job;
    cr_assert(save(&saver, 1));
    cr_assert_eq(load(&saver), 1);
    cr_expect(saver.newest.tells && !saver.newest.changes[0], "%s", saver.newest.changes);
    job.fields = now;
    cr_assert_eq(load(&saver), 1);
    cr_expect_str_eq(saver.newest.changes, "train.seed: 3 before, 4 now; new: nothing before, 0.5 "
                                           "now; gone: 1 before, nothing now");
    job.job_hash = "another";
    cr_expect_not(pw_state_find(&job, saver.run, &saver.newest, &found, &saver.error));
    cr_expect(strstr(saver.error.text, "another job: train.seed: 3 before, 4 now; "), "%s",
              saver.error.text);
    edit_manifest(&saver, 1, "/\"fields\"/,/}/d"); /* as older ones are */
    cr_expect_not(pw_state_find(&job, saver.run, &saver.newest, &found, &saver.error));
    cr_expect(strstr(saver.error.text, "does not say what differs, only its hash (toyjob; "), "%s",
              saver.error.text);
    job.job_hash = "toyjob";
    cr_assert_eq(load(&saver), 1);
    cr_expect(!saver.newest.tells && !saver.newest.changes[0], "%s", saver.newest.changes);
    close_saver(&saver);
}

Test(saved_state, fields_that_are_no_object_make_it_be_passed_over)
{
    static const char *const edits[] = {"[\"x\"]", "[]", "\"x\"", "null"};
    for (int i = 0; i < 4; i++) {
        Saver saver = {0};
        char  edit[100];
        toy_folder(saver.run);
        open_saver(&saver, 1);
        cr_assert(save(&saver, 1));
        cr_assert(save(&saver, 2));
        snprintf(edit, sizeof edit, "/\"fields\"/,/}/c\\  \"fields\": %s,", edits[i]);
        edit_manifest(&saver, 2, edit);
        cr_expect_eq(load(&saver), 1, "%s", edits[i]);
        close_saver(&saver);
    }
}

/* Whoever wrote it may be a stranger, and a terminal does what such bytes say. */
Test(saved_state, no_control_byte_of_a_manifest_is_shown)
{
    static const PwField now[] = {{"field", "\x1b[2J"}};
    Saver                saver = {0};
    PwJob                job   = *toy_job(1);
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert(save(&saver, 1));
    edit_manifest(&saver, 1,
                  "s/\"fields\": {/&\"\\\\u001b[31m\\\\u007f\": \"a\\\\nb\\\\u0008\"/; "
                  "s/\"toolchain\": \"/&\\\\u0007/");
    job.fields  = now;
    job.nfields = 1;
    cr_assert(pw_state_find(&job, saver.run, &saver.newest, &(bool){false}, &saver.error));
    cr_expect_str_eq(saver.newest.changes, "field: nothing before, \\x1b[2J now; "
                                           "\\x1b[31m\\x7f: a\\x0ab\\x08 before, nothing now");
    cr_expect(strstr(saver.newest.toolchain, "\\x07") == saver.newest.toolchain);
    close_saver(&saver);
}

/* Readers take no manifest that is longer: as if nothing had been saved. */
Test(saved_state, a_manifest_that_nobody_could_read_is_not_written)
{
    Saver   saver = {0};
    char   *value = calloc(1, (1 << 20) + 1);
    PwJob   job   = *toy_job(1);
    PwField field = {"policy.options.text", value};
    cr_assert(value);
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert(save(&saver, 1));
    memset(value, 'x', 1 << 20);
    job.fields     = &field;
    job.nfields    = 1;
    saver.team.job = &job;
    cr_expect_not(save(&saver, 2));
    cr_expect(strstr(saver.error.text, "expected at most 1048576"), "%s", saver.error.text);
    value[1000000] = 0; /* the longest are read */
    cr_assert(save(&saver, 3), "%s", saver.error.text);
    cr_expect_eq(load(&saver), 3);
    close_saver(&saver);
    free(value);
}

Test(saved_state, a_folder_that_cannot_be_read_is_not_an_empty_one)
{
    Saver        saver = {0};
    PwSavedState saved;
    bool         found;
    char         path[200];
    toy_folder(saver.run);
    snprintf(path, sizeof path, "%s/states", saver.run);
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fclose(file);
    cr_expect_not(pw_state_find(toy_job(1), saver.run, &saved, &found, &saver.error));
    cr_expect_eq(saver.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(saver.error.text, "states: cannot be read"), "%s", saver.error.text);
}

/* Exports `value` with a full disk at operation n; what the folder then reads as, 0: nothing. */
static real export_over(Saver *saver, real value, int n, bool *good)
{
    const PwTensor *tensor = &saver->team.job->tensors[0];
    operations             = 0;
    fail_at                = n;
    fail_with              = ENOSPC;
    fill(saver, value);
    pw_disk_fault = count_operations;
    *good         = pw_weights_export(&saver->team, saver->run, &saver->error);
    pw_disk_fault = NULL;
    fill(saver, 0);
    if (!pw_weights_from_folder(&saver->team, saver->run, &saver->error))
        return 0;
    return *(real *)(void *)(saver->team.workers[0].arena.at + tensor->weight);
}

Test(exported_weights, an_operation_that_fails_leaves_the_older_ones_whole)
{
    Saver saver = {0};
    bool  good  = false;
    int   n     = 0;
    toy_folder(saver.run);
    open_saver(&saver, 1);
    cr_assert_eq(export_over(&saver, 1, -1, &good), 1, "%s", saver.error.text);
    do {
        real found = export_over(&saver, 2, n++, &good);
        cr_expect(found == 2 || (found == 1 && !good), "operation %d: %g", n - 1, (double)found);
    } while (!good);
    cr_expect_gt(n, 8);
    close_saver(&saver);
}

/* What a tied model leaves out is a copy of its embedding, or is refused. */
Test(exported_weights, a_head_is_not_dropped_from_an_untied_model)
{
    Saver saver = {0};
    for (int tied = 0; tied < 2; tied++) {
        toy_folder(saver.run);
        open_saver(&saver, 1);
        PwJob    job       = *saver.team.job;
        PwTensor tensors[] = {job.tensors[0], job.tensors[1]};
        tensors[1].name    = "lm_head.weight";
        job.tensors        = tensors;
        job.config_json =
            tied ? "{\"tie_word_embeddings\": true}" : "{\"tie_word_embeddings\": false}";
        saver.team.job = &job;
        cr_assert(pw_weights_export(&saver.team, saver.run, &saver.error));
        job.tied = true;
        job.ntensors--;
        cr_expect_eq(pw_weights_from_folder(&saver.team, saver.run, &saver.error), tied);
        cr_expect_eq(strstr(saver.error.text, "model.tied") != NULL, !tied);
        saver.error = (PwError){0};
        close_saver(&saver);
    }
}

/* Readers of such a folder take the shards that the index names. */
Test(exported_weights, do_not_go_where_an_index_hides_them)
{
    Saver saver = {0};
    char  path[200];
    toy_folder(saver.run);
    open_saver(&saver, 1);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", saver.run);
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fclose(file);
    cr_assert_not(pw_weights_export(&saver.team, saver.run, &saver.error));
    cr_expect_eq(saver.error.status, PW_EXIT_INPUT);
    cr_expect(strstr(saver.error.text, path), "%s", saver.error.text);
    close_saver(&saver);
}
