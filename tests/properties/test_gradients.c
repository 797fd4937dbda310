/* Any policy trains the same model: for every shipped policy, over 1, 2 and 4 stages, at every
 * level of recomputation, the gradients of a step equal those of the float64 reference on the
 * unsplit sequences. The same source is built a second time with `real` double, where 1e-10 must
 * hold. */
#include <criterion/criterion.h>
#include <math.h>

#include "tests/support/job_run.h"
#include "tests/support/shipped_policies.h"
#include "tests/support/small_jobs.h"

static const double tolerance = sizeof(real) == 8 ? 1e-10 : 1e-5;

/* Levels of one chunk: what is asked for, but a stage's first layer keeps its input. */
static void set_levels(Plan *plan, int chunk, int64_t layers, int level)
{
    const Pipeline *p = &plan->pipelines[plan->chunks[chunk].pipeline];
    for (int64_t l = 0; l < layers; l++)
        plan->chunks[chunk].recompute[l] =
            (uint8_t)(level == NLEVELS ? (l + chunk) % NLEVELS : level);
    for (int s = 0; s < p->nstages; s++) {
        int first = p->stages[s].first / 2;
        if (first < layers && plan->chunks[chunk].recompute[first] == LEVEL_NONE)
            plan->chunks[chunk].recompute[first] = LEVEL_INPUT;
    }
}

/* The policy's plan of the run's next step, with other levels. NLEVELS: mixed. */
static char *plan_with_levels(JobRun *run, int level)
{
    Step step;
    cr_assert(compile_step(&run->job, run->step, &step, &run->error), "%s", run->error.text);
    for (int c = 0; c < step.plan->nchunks; c++)
        set_levels(step.plan, c, run->job.model->layers, level);
    Text text         = text_new(run->region);
    step.plan->costs  = NULL;
    step.plan->policy = NULL;
    plan_print(step.plan, &text);
    region_free(step.region);
    return text.at;
}

static void compare_step(JobRun *run, const char *plan, const char *what)
{
    double      loss;
    const char *where     = "";
    Reference  *reference = job_run_reference(run, run->step, &loss);
    cr_assert(job_run_step(run, plan), "%s: %s", what, run->error.text);
    double worst = job_run_worst(run, reference, &where);
    cr_expect(worst < tolerance, "%s: %s is %g off", what, where, worst);
    cr_expect(fabs(run->outcome.loss_sum / run->weight - loss) < 10 * tolerance * loss,
              "%s: loss %.9g, expected %.9g", what, run->outcome.loss_sum / run->weight, loss);
    reference_free(reference);
}

static void compare_policy(const char *corpus, const char *policy, const char *job, int stages)
{
    static const char *const names[] = {"all", "lean", "input", "none", "mixed"};
    JobRun                   run;
    Region                  *region = region_new();
    cr_assert(job_run_open(&run, corpus, job, NULL), "%s", run.error.text);
    compare_step(&run, NULL, region_format(region, "%s, %d stages", policy, stages));
    for (int level = 0; level <= NLEVELS; level++)
        compare_step(
            &run, plan_with_levels(&run, level),
            region_format(region, "%s, %d stages, level %s", policy, stages, names[level]));
    job_run_close(&run);
    region_free(region);
}

Test(gradients, equal_the_reference_for_every_policy_stage_count_and_level, .timeout = 600)
{
    Region     *region   = region_new();
    const char *corpus   = job_run_corpus(region, 60, 300, 7);
    char      **policies = shipped_policies(region);
    for (int i = 0; policies[i]; i++)
        for (int stages = 1; stages <= 4; stages *= 2) {
            const char *quoted = region_format(region, "\"%s\"", policies[i]);
            int         heads  = stages == 2 ? 2 : 4; /* grouped there */
            compare_policy(corpus, policies[i], small_job(region, stages, heads, quoted, "64 MiB"),
                           stages);
        }
    job_run_corpus_remove(corpus);
    region_free(region);
}

/* Another family's operations: whole sequences and split ones, backward whole and in halves. */
Test(gradients, of_qwen3_equal_the_reference, .timeout = 600)
{
    static const char *const policies[] = {"1f1b", "seq1f1b", "zb1p"};
    Region                  *region     = region_new();
    const char              *corpus     = job_run_corpus(region, 60, 300, 8);
    for (int i = 0; i < COUNT(policies); i++) {
        const char *quoted = region_format(region, "\"%s\"", policies[i]);
        compare_policy(corpus, policies[i], small_qwen3_job(region, i + 1, 2, quoted), i + 1);
    }
    job_run_corpus_remove(corpus);
    region_free(region);
}
