/* compile: see compile.h. */
#include "gen/compile.h"

#include <string.h>
#include <time.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/compile_remedies.h"
#include "gen/cost/predict.h"
#include "gen/cost/simulate.h"
#include "gen/data/first_weights.h"

enum { TRIES = 4, AHEAD = 2 };

/* Adds the time since the last call to a pass; times decide nothing, they are only printed. */
static void count_time(Step *step, PassId pass)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (pass < NPASSES)
        step->seconds[pass] += now - step->clock;
    step->clock = now;
}

/* The table that `tune` kept beside the job, or the shipped profile of the device. */
static bool choose_cost(Compilation *c, Error *error)
{
    const char *path = cost_path(c->region, c->job);
    if (!file_exists(path)) {
        c->cost = cost_profile(c->region, c->job->device, c->codelets, c->model, error);
        return c->cost != NULL;
    }
    char *text   = file_read(c->region, path, (size_t)64 << 20, NULL, error);
    c->cost      = text ? cost_read(c->region, text, path, error) : NULL;
    c->cost_path = path;
    return c->cost && cost_covers(c->cost, c->codelets, error);
}

char *cost_path(Region *region, const Job *job)
{
    return region_format(region, "%s.cost.json", path_without(region, job->path, ".lua"));
}

static bool open_data(Compilation *c, Error *error)
{
    JobDocuments documents;
    if (!data_open(c->region, c->job, &documents, error) ||
        !(c->sampler = sampler_open(c->region, c->job, documents.index, documents.lengths, error)))
        return false;
    c->lengths     = data_lengths(c->region, &documents);
    c->data_hash   = documents.hash;
    c->prompt_hash = documents.index ? documents.index->prompt_hash : "";
    c->prefix      = documents.index ? documents.index->prefix : NULL;
    return true;
}

bool compile_job(Region *region, const char *path, const char *const *sets, bool needs_data,
                 Compilation *out, Error *error)
{
    *out = (Compilation){.region = region, .data_hash = "", .prompt_hash = ""};
    if (!(out->job = job_parse(region, path, sets, error)))
        return false;
    out->model = out->job->model;
    return (out->codelets = differentiate(region, out->model, out->job->real_bytes, error)) &&
           fuse(region, out->codelets, out->model, error) &&
           codelets_check(out->codelets, out->model, error) && choose_cost(out, error) &&
           (!needs_data ||
            (first_weights_check(region, out->job, error) && open_data(out, error))) &&
           (out->layout =
                place(region, out->job, out->model, out->codelets, out->cost, out->lengths, error));
}

bool compile_from(Compilation *c, const char *path, Error *error)
{
    c->plan_path = path;
    c->plans     = path ? plan_file_open(c->region, path, error) : NULL;
    return !path || c->plans;
}

static bool run_sample(const Compilation *c, Step *step, Error *error)
{
    (void)error;
    sampler_seek(c->sampler, step->number);
    step->batch = sampler_next(c->sampler, step->region);
    return true;
}

/* Later tries than the second show the policy less capacity, since its own count leaves out what
 * addresses lose. */
static bool run_decide(const Compilation *c, Step *step, Error *error)
{
    double share = step->try < 2 ? 1.0 : 1.0 - 0.1 * (step->try - 1);
    if (step->try == 1)
        return true; /* the plan of the first */
    step->plan = c->plans ? plan_file_step(c->plans, step->region, step->batch->step,
                                           c->model->layers, error)
                          : decide(step->region, c->job, c->model, c->codelets, c->layout, c->cost,
                                   step->batch, share, error);
    return step->plan && plan_check(step->plan, c->model, step->batch, c->layout, error);
}

static bool run_expand(const Compilation *c, Step *step, Error *error)
{
    step->program =
        expand(step->region, step->plan, step->batch, c->model, c->codelets, c->layout, error);
    return step->program != NULL;
}

static bool run_communicate(const Compilation *c, Step *step, Error *error)
{
    return communicate(step->program, c->codelets, error);
}

/* The first try posts receives early and `sent`s late; others do not. */
static bool run_overlap(const Compilation *c, Step *step, Error *error)
{
    bool early = step->try == 0;
    return overlap(step->program, c->codelets, early ? c->cost : NULL, early ? AHEAD : 0, error);
}

static bool run_allocate(const Compilation *c, Step *step, Error *error)
{
    return allocate(step->program, c->codelets, error);
}

static bool run_prove(const Compilation *c, Step *step, Error *error)
{
    return prove(step->program, c->codelets, c->model, c->layout, step->batch, error);
}

/* What the plan's text says of itself beyond the policy's own words. */
static bool finish_plan(const Compilation *c, Step *step, Error *error)
{
    Plan   *plan = step->plan;
    Text    text = text_new(step->region);
    Pricing pricing;
    if (!pricing_make(step->region, c->model, c->codelets, c->layout, c->cost, &pricing, error))
        return false;
    plan_predict(step->region, plan, &pricing, true);
    plan->predicted.peak_bytes = REGION_ARRAY(step->region, int64_t, plan->nranks);
    for (int rank = 0; rank < plan->nranks; rank++)
        plan->predicted.peak_bytes[rank] = step->program->ranks[rank].peak;
    PlanCosts *costs = plan->costs;
    plan->costs      = NULL;
    plan_print(plan, &text);
    plan->costs = costs;
    memcpy(step->program->plan_hash, hash_bytes(step->region, text.at, text.length),
           sizeof step->program->plan_hash);
    return true;
}

/* What the program will take in time and memory is written into it and its plan. */
static bool run_simulate(const Compilation *c, Step *step, Error *error)
{
    return simulate(step->program, c->codelets, c->cost, error) && finish_plan(c, step, error);
}

const StepPass step_passes[NPASSES] = {
    [SAMPLE] = {"sample", run_sample},    [DECIDE] = {"decide", run_decide},
    [EXPAND] = {"expand", run_expand},    [COMMUNICATE] = {"communicate", run_communicate},
    [OVERLAP] = {"overlap", run_overlap}, [ALLOCATE] = {"allocate", run_allocate},
    [PROVE] = {"prove", run_prove},       [SIMULATE] = {"simulate", run_simulate},
};

static bool run_passes(const Compilation *c, Step *step, PassId first, PassId last, Error *error)
{
    for (PassId pass = first; pass <= last; pass++) {
        bool good = step_passes[pass].run(c, step, error);
        count_time(step, pass);
        if (!good)
            return false;
    }
    return true;
}

bool compile_lower(const Compilation *c, Step *step, Error *error)
{
    static const char *const what[TRIES] = {"with early receives", "without early receives",
                                            "with 0.9 of the capacity", "with 0.8 of the capacity"};
    Text                     tries       = text_new(step->region);
    for (step->try = 0; step->try < TRIES; step->try++) {
        step->program = NULL;
        if (run_passes(c, step, DECIDE, ALLOCATE, error)) {
            step->plan->tries = tries.length ? tries.at : NULL;
            return true;
        }
        if (!step->program || program_peak(step->program) < 0 || (c->plans && step->try == 1))
            break; /* not a question of capacity, or nothing is left to change */
        text_add(&tries, "%s%s: %s", tries.length ? "; " : "", what[step->try], error->text);
    }
    return false;
}

static Step begin_step(int64_t number)
{
    Step step = {.region = region_new(), .number = number};
    count_time(&step, NPASSES);
    return step;
}

static bool end_step(Step *step, bool good)
{
    if (!good)
        region_free(step->region);
    return good;
}

bool compile_step(Compilation *c, int64_t number, Step *step, Error *error)
{
    *step     = begin_step(number);
    bool good = run_passes(c, step, SAMPLE, SAMPLE, error) && compile_lower(c, step, error);
    if (!good && step->program && program_peak(step->program) >= 0)
        remedies_add(c, step, error);
    return end_step(step, good && run_passes(c, step, PROVE, SIMULATE, error));
}

bool compile_until(const Compilation *c, int64_t number, PassId last, Step *step, Error *error)
{
    *step = begin_step(number);
    return end_step(step, run_passes(c, step, SAMPLE, last, error));
}

bool compile_lower_forward(const Compilation *c, Program *program, Error *error)
{
    return communicate(program, c->codelets, error) &&
           overlap(program, c->codelets, c->cost, 0, error) &&
           allocate(program, c->codelets, error);
}

bool compile_end_forward(const Compilation *c, Program *program, const Batch *batch, Error *error)
{
    return prove(program, c->codelets, c->model, c->layout, batch, error) &&
           simulate(program, c->codelets, c->cost, error);
}
