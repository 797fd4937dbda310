/* random_plans: any valid plan, whoever made it, trains the same model within the memory that was
 * foretold. Random plans for the real batches of small jobs are written as plan.json, read back,
 * checked, lowered, proven and run; the gradients of the step must equal the float64 reference's,
 * and the watermark of every arena the program's peak.
 *   random_plans [COUNT [SEED]]    COUNT plans for each job (8); SEED of the first (1)
 * Prints the share of each kind of plan. Plan SEED of a job stands alone: COUNT 1 repeats it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/weights.h"
#include "tests/support/job_run.h"
#include "tests/support/random_plans.h"
#include "tests/support/small_jobs.h"

static const double tolerance = sizeof(real) == 8 ? 1e-10 : 1e-5;

/* Homes come from the job's stages; a plan's stages lie anywhere. */
typedef struct Setting {
    const char *name;
    int         ranks, kv_heads;
    const char *sets[3];
} Setting;

static const Setting settings[] = {
    {"1 rank", 1, 4, {NULL}},
    {"1 rank, tied", 1, 2, {"model.tied=true", NULL}},
    {"2 ranks", 2, 2, {NULL}},
    {"2 ranks, 5 stages, tied", 2, 4, {"layout.stages=5", "model.tied=true", NULL}},
    {"4 ranks", 4, 4, {NULL}},
    {"4 ranks, 8 stages, tied", 4, 1, {"layout.stages=8", "model.tied=true", NULL}},
};

typedef struct Tally {
    PlanShares shares;
    int        wrong;
    double     worst;
} Tally;

static char *random_plan_text(const JobRun *run, uint64_t seed, unsigned *features)
{
    Region *region = region_new();
    sampler_seek(run->job.sampler, run->step);
    Batch     *batch  = sampler_next(run->job.sampler, region);
    RandomPlan random = random_plan_of(region, run->job.model, batch, run->job.layout, seed);
    Text       text   = text_new(run->region);
    plan_print(random.plan, &text);
    *features = random.features;
    region_free(region);
    return text.at;
}

/* Peaks are whole lines of the arena; the last line need not be full. Where scratch lies on top, a
 * call with few tokens leaves a part of it alone. */
static bool peaks_are_kept(const JobRun *run, const char *what)
{
    for (int rank = 0; rank < run->team.nranks; rank++) {
        int64_t used = (run->marks[rank].highest + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
        if (used >= run->values[rank] && used <= run->peaks[rank])
            continue;
        printf("%s: rank %d used %lld bytes, the program says %lld, %lld without scratch\n", what,
               rank, (long long)used, (long long)run->peaks[rank], (long long)run->values[rank]);
        return false;
    }
    return true;
}

static bool gradients_are_right(const JobRun *run, const Reference *reference, double loss,
                                const char *what, double *worst)
{
    const char *where = "";
    double      off   = job_run_worst(run, reference, &where);
    double      found = run->outcome.loss_sum / run->weight;
    *worst            = off > *worst ? off : *worst;
    if (off < tolerance && fabs(found - loss) < 10 * tolerance * loss)
        return true;
    printf("%s: %s is %g off; loss %.9g, expected %.9g\n", what, where, off, found, loss);
    return false;
}

/* One plan. Each is of the step with its number, on fresh weights. */
static bool run_plan(JobRun *run, const Setting *setting, uint64_t seed, Tally *tally)
{
    unsigned features;
    double   loss;
    run->step = (int64_t)(seed % 30);
    pw_weights_from_seed(&run->team);
    char       *plan      = random_plan_text(run, seed, &features);
    Reference  *reference = job_run_reference(run, run->step, &loss);
    const char *what =
        region_format(run->region, "%s, plan %llu", setting->name, (unsigned long long)seed);
    bool good = job_run_step(run, plan);
    if (!good)
        printf("%s: %s\n", what, run->error.text);
    good = good && gradients_are_right(run, reference, loss, what, &tally->worst);
    good = good && peaks_are_kept(run, what);
    reference_free(reference);
    plan_shares_count(&tally->shares, features, 1);
    tally->wrong += !good;
    return good;
}

static bool run_setting(const char *corpus, const Setting *setting, int count, uint64_t first,
                        Tally *tally)
{
    JobRun      run;
    Region     *region = region_new();
    const char *job = small_job(region, setting->ranks, setting->kv_heads, "\"gpipe\"", "64 MiB");
    bool        opened = job_run_open(&run, corpus, job, setting->sets);
    if (!opened)
        printf("%s: %s\n", setting->name, run.error.text);
    else
        job_run_watch(&run);
    for (int i = 0; opened && i < count; i++)
        run_plan(&run, setting, first + (uint64_t)i, tally);
    job_run_close(&run);
    region_free(region);
    return opened;
}

/* Of some hundred plans on, every kind must have come up in a fifth of them. */
static bool report(const Tally *tally)
{
    int plans = tally->shares.plans;
    printf("%d plans, %d wrong; worst gradient %.2g off\n", plans, tally->wrong, tally->worst);
    return plan_shares_print(&tally->shares, plans < 100 ? 0 : 20, stdout) && tally->wrong == 0;
}

int main(int argc, char **argv)
{
    int         count  = argc > 1 ? atoi(argv[1]) : 8;
    uint64_t    first  = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    Region     *region = region_new();
    Tally       tally  = {0};
    const char *corpus = job_run_corpus(region, 60, 300, 7);
    bool        good   = true;
    for (int i = 0; i < COUNT(settings); i++)
        good = run_setting(corpus, &settings[i], count, first, &tally) && good;
    good = report(&tally) && good;
    job_run_corpus_remove(corpus);
    region_free(region);
    return good ? 0 : 1;
}
