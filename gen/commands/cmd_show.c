/* show: any form, as text. */
#include <stdio.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/job_command.h"
#include "gen/cost/seconds.h"
#include "gen/job/tune.h"

static const Option options[] = {
    {"form", "FORM", "job, lengths, model, layout, codelets, cost, batch, plan or program"},
    {"step", "T", "of batch, plan and program: which step; default 0"},
    {"rank", "R", "of program: only this rank"},
    {"after", "PASS", "of plan and program: as that pass leaves it; default: the last"},
    {"held-out", NULL, "of batch: the sequences of held-out documents"},
    {"from", "FILE", "reads the form from FILE, as show printed it, in place of making it"},
    {0},
};

static const char *const forms[] = {"job",  "lengths", "model", "layout",  "codelets",
                                    "cost", "batch",   "plan",  "program", NULL};

static void print_plan(const Plan *plan, Text *out)
{
    plan_print(plan, out);
    text_add(out, "\n");
}

/* The step, all of it or up to a pass that has the form. */
static bool make_step(const Arguments *arguments, Compilation *job, const char *form,
                      int64_t number, Step *step, Error *error)
{
    const char *after = argument(arguments, "after");
    PassId      first = !strcmp(form, "plan") ? DECIDE : EXPAND;
    Text        known = text_new(arguments->region);
    if (!after)
        return compile_step(job, number, step, error);
    if (!strcmp(form, "batch"))
        return error_input(error, "--after: found --form batch, expected plan or program");
    for (PassId pass = first; pass < NPASSES; pass++) {
        if (!strcmp(after, step_passes[pass].name))
            return compile_until(job, number, pass, step, error);
        text_add(&known, "%s%s", known.length ? ", " : "", step_passes[pass].name);
    }
    return error_input(error, "--after: found %s, expected a pass that leaves a %s: %s", after,
                       form, known.at);
}

static bool show_step(const Arguments *arguments, Compilation *job, const char *form, Text *text,
                      Error *error)
{
    Step    step;
    int64_t number, rank;
    if (!argument_number(arguments, "step", 0, 0, &number, error) ||
        !check_step(job->job, number, error) ||
        !argument_number(arguments, "rank", 0, -1, &rank, error))
        return false;
    if (rank >= job->layout->nranks)
        return error_input(error, "--rank: found %lld, expected less than %d", (long long)rank,
                           job->layout->nranks);
    if (argument(arguments, "held-out")) {
        if (strcmp(form, "batch") != 0)
            return error_input(error, "--held-out: found --form %s, expected --form batch", form);
        batch_print(sampler_held_out(job->sampler, arguments->region), text);
        return true;
    }
    if (!make_step(arguments, job, form, number, &step, error))
        return false;
    if (!strcmp(form, "batch"))
        batch_print(step.batch, text);
    else if (!strcmp(form, "plan"))
        print_plan(step.plan, text);
    else if (rank >= 0)
        program_print_rank(step.program, job->codelets, (int)rank, text);
    else
        program_print(step.program, job->codelets, text);
    region_free(step.region);
    return true;
}

/* The table; then why it is this one, and what of it `tune` measures. */
static void show_codelets(const Compilation *job, Text *text)
{
    codelets_print(job->codelets, job->model, text);
    codelets_explain(job->codelets, text);
    if (job->lengths)
        tune_explain(tune_points(job->region, job->job, job->codelets, job->lengths), job->lengths,
                     text);
    else
        text_add(text,
                 "# What `tune` measures follows from the lengths of the documents, which are "
                 "not counted yet:\n# run `pipewright data`.\n");
}

static bool show_job(const Compilation *job, const char *form, Text *text)
{
    if (!strcmp(form, "job"))
        job_print(job->job, text);
    else if (!strcmp(form, "lengths"))
        lengths_print(job->lengths, text);
    else if (!strcmp(form, "model"))
        model_print(job->model, text);
    else if (!strcmp(form, "layout"))
        layout_print(job->layout, job->model, text);
    else if (!strcmp(form, "codelets"))
        show_codelets(job, text);
    else if (!strcmp(form, "cost"))
        cost_print(job->cost, text);
    else
        return false;
    return true;
}

/* A form that somebody wrote or changed: read, checked, printed as it was understood. */
static bool show_file(const Arguments *arguments, const Compilation *job, const char *form,
                      Text *out, Error *error)
{
    Region     *region = arguments->region;
    const char *path   = argument(arguments, "from");
    char       *text   = file_read(region, path, (size_t)1 << 30, NULL, error);
#define FORM(NAME, TYPE, READ, CHECK, PRINT)                                                       \
    if (text && !strcmp(form, NAME)) {                                                             \
        TYPE *read = READ;                                                                         \
        bool  good = read && CHECK;                                                                \
        if (good)                                                                                  \
            PRINT;                                                                                 \
        return good;                                                                               \
    }
    FORM("job", Job, job_read(region, text, path, error), true, job_print(read, out))
    FORM("lengths", Lengths, lengths_read(region, text, path, error), true,
         lengths_print(read, out))
    FORM("model", Model, model_read(region, text, path, error), model_check(read, error),
         model_print(read, out))
    FORM("layout", Layout, layout_read(region, text, path, job->model->layers, error), true,
         layout_print(read, job->model, out))
    FORM("codelets", Codelets, codelets_read(region, text, path, error),
         codelets_check(read, job->model, error), codelets_print(read, job->model, out))
    FORM("cost", Cost, cost_read(region, text, path, error),
         cost_covers(read, job->codelets, error), cost_print(read, out))
    FORM("batch", Batch, batch_read(region, text, path, error), true, batch_print(read, out))
    FORM("plan", Plan, plan_read(region, text, path, job->model->layers, error),
         plan_check(read, job->model, NULL, job->layout, error), print_plan(read, out))
    FORM("program", Program, program_read(region, text, path, job->codelets, error),
         program_check(read, job->codelets, job->model, error),
         program_print(read, job->codelets, out))
#undef FORM
    return false;
}

static bool run(const Arguments *arguments, Error *error)
{
    const char *form = argument(arguments, "form");
    Text        text = text_new(arguments->region);
    Compilation job;
    bool        known = false;
    for (int i = 0; forms[i] && form; i++)
        known |= !strcmp(forms[i], form);
    if (!known) {
        const char *nearest = form ? text_nearest(form, forms) : NULL;
        return error_input(error,
                           "--form: found %s%s%s, expected job, lengths, model, layout, "
                           "codelets, cost, batch, plan or program%s%s",
                           form ? "\"" : "", form ? form : "nothing", form ? "\"" : "",
                           nearest ? "; did you mean " : "", nearest ? nearest : "");
    }
    static const char *const of_the_job[] = {"job", "model", "codelets", "cost"};
    bool                     needs_data   = true;
    for (int i = 0; i < COUNT(of_the_job); i++)
        needs_data &= strcmp(form, of_the_job[i]) != 0;
    bool reads = argument(arguments, "from") != NULL;
    if (reads && (argument(arguments, "step") || argument(arguments, "rank") ||
                  argument(arguments, "after") || argument(arguments, "held-out")))
        return error_input(error, "--from: shows all of the file; leave --step, --rank, --after "
                                  "and --held-out out");
    Error ignored;
    bool  takes_data = !strcmp(form, "codelets"); /* what it says of lengths, if there are any */
    if (!(takes_data && open_job(arguments, true, &job, &ignored)) &&
        !open_job(arguments, needs_data, &job, error))
        return false;
    if (reads ? !show_file(arguments, &job, form, &text, error)
              : !show_job(&job, form, &text) && !show_step(arguments, &job, form, &text, error))
        return false;
    fwrite(text.at, 1, text.length, stdout);
    return true;
}

const Command command_show = {
    .name      = "show",
    .words     = "JOB",
    .min_words = 1,
    .max_words = 1,
    .summary   = "prints a form; every form reads back",
    .options   = options,
    .run       = run,
};
