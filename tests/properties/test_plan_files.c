/* A plan that the tool printed, with all that it adds to it, is a plan that it reads: in one file
 * for several steps, and with the same program and the same bits as the policy's own. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/job_run.h"
#include "tests/support/small_jobs.h"

enum { STEPS = 3 };

static Region     *region;
static const char *corpus;

static void open_run(JobRun *run)
{
    const char *job = small_job(region, 2, 2, "\"seq1f1b\", slices = 3", "64 MiB");
    cr_assert(job_run_open(run, corpus, job, NULL), "%s", run->error.text);
}

/* The policy's plans of the first steps, a line each, with costs and predictions. */
static const char *printed_plans(JobRun *run)
{
    Text text = text_new(region);
    for (int step = 0; step < STEPS; step++) {
        Step made;
        cr_assert(compile_step(&run->job, step, &made, &run->error), "%s", run->error.text);
        cr_assert(made.plan->costs && made.plan->predicted.seconds >= 0);
        plan_print(made.plan, &text);
        text_add(&text, "\n");
        region_free(made.region);
    }
    return text.at;
}

static void expect_refused(JobRun *run, const char *plans, const char *message)
{
    cr_expect_not(job_run_step(run, plans), "accepted");
    cr_expect_eq(run->error.status, EXIT_INPUT);
    cr_expect(strstr(run->error.text, message), "said %s, not %s", run->error.text, message);
}

Test(plan_files, printed_plans_give_the_same_bits, .timeout = 300)
{
    JobRun own, read;
    region = region_new();
    corpus = job_run_corpus(region, 40, 300, 11);
    open_run(&own);
    open_run(&read);
    const char *plans = printed_plans(&own);
    for (int step = 0; step < STEPS; step++) {
        cr_assert(job_run_step(&own, NULL), "%s", own.error.text);
        cr_assert(job_run_step(&read, plans), "%s", read.error.text);
    }
    for (int i = 0; i < own.emitted->ntensors; i++) {
        const char *name = own.emitted->tensors[i].name;
        int64_t     count;
        const real *x = job_run_tensor(&own, name, RUN_WEIGHT, &count);
        const real *y = job_run_tensor(&read, name, RUN_WEIGHT, &count);
        cr_expect(!memcmp(x, y, (size_t)count * sizeof *x), "%s differs", name);
    }
    expect_refused(&read, plans, "found no plan of step 3");
    expect_refused(&read, "", "found no plan of step 3");
    expect_refused(&read, "{\"step\": 3, ", "at byte");
    expect_refused(&read, "{\"step\": 3}", "format: found \"nothing\"");
    expect_refused(&read, "[]", "found no plan of step 3");
    job_run_close(&own);
    job_run_close(&read);
    job_run_corpus_remove(corpus);
    region_free(region);
}

Test(plan_files, a_plan_of_another_batch_is_refused, .timeout = 300)
{
    JobRun run;
    region = region_new();
    corpus = job_run_corpus(region, 40, 300, 11);
    open_run(&run);
    const char *plans = printed_plans(&run);
    const char *line = strchr(plans, '\n') + 1; /* of step 1, which now says that it is of step 0 */
    char       *moved = region_format(region, "%.*s", (int)strcspn(line, "\n"), line);
    strstr(moved, "\"step\": 1")[strlen("\"step\": ")] = '0';
    expect_refused(&run, moved, "plan of step 0: ");
    job_run_close(&run);
    job_run_corpus_remove(corpus);
    region_free(region);
}
