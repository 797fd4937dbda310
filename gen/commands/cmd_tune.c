/* tune: measures this machine for one job and keeps the cost table beside it. */
#include <stdio.h>

#include "gen/base/file.h"
#include "gen/commands/job_command.h"
#include "gen/job/tune.h"

static const Option options[] = {
    {"output", "FILE", "where the table goes (-o FILE); default: JOB.cost.json, where jobs look"},
    {0},
};

static bool run(const Arguments *arguments, Error *error)
{
    Compilation job;
    if (!open_job(arguments, true, &job, error))
        return false;
    const char *path = argument(arguments, "output");
    if (!path)
        path = cost_path(arguments->region, job.job);
    Cost *cost = tune(&job, error);
    if (!cost)
        return false;
    Text text = text_new(arguments->region);
    cost_print(cost, &text);
    if (!file_write(path, text.at, text.length, error))
        return false;
    printf("%s: measured %d codelets on %s\n", path, cost->ncodelets, cost->name);
    return true;
}

const Command command_tune = {
    .name      = "tune",
    .words     = "JOB",
    .min_words = 1,
    .max_words = 1,
    .summary   = "measures this machine, keeps the cost table",
    .details   = "Which tokens and contexts are measured follows from the data set's lengths.",
    .options   = options,
    .run       = run,
};
