/* With the same chunks and order the weights do not depend on the number of stages, nor on a second
 * run: after 20 steps every bit is the same. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/job_run.h"
#include "tests/support/small_jobs.h"

enum { STEPS = 20 };

static void train(JobRun *run, const char *corpus, int stages, const char *policy,
                  const char *memory)
{
    Region *region = region_new();
    cr_assert(job_run_open(run, corpus, small_job(region, stages, 2, policy, memory), NULL), "%s",
              run->error.text);
    for (int i = 0; i < STEPS; i++)
        cr_assert(job_run_step(run, NULL), "%s", run->error.text);
    region_free(region);
}

static void expect_equal(const JobRun *a, const JobRun *b, const char *what)
{
    for (int i = 0; i < a->emitted->ntensors; i++) {
        const char *name = a->emitted->tensors[i].name;
        int64_t     count, other;
        for (int kind = RUN_WEIGHT; kind <= RUN_MOMENT2; kind++) {
            const real *x = job_run_tensor(a, name, (JobRunKind)kind, &count);
            const real *y = job_run_tensor(b, name, (JobRunKind)kind, &other);
            cr_assert(x && y && count == other, "%s: %s is missing", what, name);
            cr_expect(!memcmp(x, y, (size_t)count * sizeof *x), "%s: %s differs", what, name);
        }
    }
}

Test(bits, do_not_depend_on_the_number_of_stages, .timeout = 600)
{
    Region     *region = region_new();
    const char *corpus = job_run_corpus(region, 60, 300, 7);
    JobRun      one, more;
    train(&one, corpus, 1, "\"gpipe\"", "64 MiB");
    for (int stages = 2; stages <= 4; stages *= 2) {
        train(&more, corpus, stages, "\"gpipe\"", "64 MiB");
        expect_equal(&one, &more, region_format(region, "1 and %d stages", stages));
        job_run_close(&more);
    }
    train(&more, corpus, 1, "\"gpipe\"", "64 MiB");
    expect_equal(&one, &more, "a second run");
    job_run_close(&more);
    job_run_close(&one);
    job_run_corpus_remove(corpus);
    region_free(region);
}
