/* show: any form, as text. */
#include <stdio.h>
#include <string.h>

#include "gen/base/text.h"
#include "gen/commands/job_command.h"

static const Option options[] = {
    {"form", "FORM", "job, lengths, model, layout, codelets, cost, batch, plan or program"},
    {"step", "T", "of batch, plan and program: which step; default 0"},
    {"rank", "R", "of program: only this rank"},
    {"held-out", NULL, "of batch: the sequences of held-out documents"},
    {0},
};

static const char *const forms[] = {"job",  "lengths", "model", "layout",  "codelets",
                                    "cost", "batch",   "plan",  "program", NULL};

static bool show_step(const Arguments *arguments, Compilation *job, const char *form, Text *text,
                      Error *error)
{
    Step    step;
    int64_t number, rank;
    if (!argument_number(arguments, "step", 0, 0, &number, error) ||
        !argument_number(arguments, "rank", 0, -1, &rank, error))
        return false;
    if (rank >= job->layout->nranks)
        return error_input(error, "--rank: found %lld, expected less than %d", (long long)rank,
                           job->layout->nranks);
    if (argument(arguments, "held-out")) {
        if (strcmp(form, "batch"))
            return error_input(error, "--held-out: found --form %s, expected --form batch", form);
        batch_print(sampler_held_out(job->sampler, arguments->region), text);
        return true;
    }
    if (!compile_step(job, number, &step, error))
        return false;
    if (!strcmp(form, "batch"))
        batch_print(step.batch, text);
    else if (!strcmp(form, "plan")) {
        plan_print(step.plan, text);
        text_add(text, "\n");
    } else if (rank >= 0)
        program_print_rank(step.program, job->codelets, (int)rank, text);
    else
        program_print(step.program, job->codelets, text);
    return true;
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
        codelets_print(job->codelets, job->model, text);
    else if (!strcmp(form, "cost"))
        cost_print(job->cost, text);
    else
        return false;
    return true;
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
    bool needs_data = strcmp(form, "job") && strcmp(form, "model") && strcmp(form, "codelets") &&
                      strcmp(form, "cost");
    if (!open_job(arguments, needs_data, &job, error) ||
        (!show_job(&job, form, &text) && !show_step(arguments, &job, form, &text, error)))
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
