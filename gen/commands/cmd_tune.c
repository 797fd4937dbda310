/* tune: measures this machine for one job and keeps the cost table beside it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"
#include "gen/job/tune.h"
#include "gen/pack.h"

static const Option options[] = {
    {"output", "FILE", "where the table goes (-o FILE); default: JOB.cost.json, where jobs look"},
    {0},
};

/* "AMD EPYC 7763", as the kernel names it; for people. */
static const char *machine_name(Region *region)
{
    Error ignored;
    char *text = file_exists("/proc/cpuinfo")
                     ? file_read(region, "/proc/cpuinfo", (size_t)1 << 22, NULL, &ignored)
                     : NULL;
    char *name = text ? strstr(text, "model name") : NULL;
    name       = name ? strchr(name, ':') : NULL;
    return name ? region_format(region, "%.*s", (int)strcspn(name + 2, "\n"), name + 2)
                : "this machine";
}

/* What the trainer in `folder` says of the points. */
static Cost *ask_trainer(Tuning *tuning, Region *region, const char *folder, Error *error)
{
    const char *points = path_join(region, folder, "points.json");
    const char *argv[] = {path_join(region, folder, "train"), "--measure", points, NULL};
    Text        text = text_new(region), answer = text_new(region);
    tune_print(tuning, &text);
    if (!file_write(points, text.at, text.length, error))
        return NULL;
    int status = process_read(argv, &answer, error);
    if (status > 0)
        error_fail(error, "%s --measure: ended with status %d", argv[0], status);
    return status == 0 ? tune_read(tuning, answer.at, error) : NULL;
}

/* A folder of a name that nobody could know before, so that what is compiled and run in it is ours;
 * NULL on error. */
static char *make_own_folder(Region *region, Error *error)
{
    const char *given  = getenv("TMPDIR");
    const char *parent = given && *given ? given : "/tmp";
    char       *folder = path_join(region, parent, "pipewright-tune-XXXXXX");
    if (mkdtemp(folder))
        return folder;
    error_fail(error, "%s: the folder cannot be made: %s", folder, strerror(errno));
    return NULL;
}

static Cost *measure(Compilation *job, Error *error)
{
    Region     *region  = job->region;
    Tuning     *tuning  = tune_points(region, job->job, job->codelets, job->lengths);
    const char *own     = make_own_folder(region, error);
    const char *trainer = own ? path_join(region, own, "trainer") : NULL;
    PackOptions how     = {.compile = true, .quiet = true, .code_only = true};
    Error       ignored;
    if (!own)
        return NULL;
    bool  built = pack(job, trainer, how, error);
    Cost *cost  = built ? ask_trainer(tuning, region, trainer, error) : NULL;
    file_remove_tree(own, &ignored);
    if (cost)
        cost->name = machine_name(region);
    return cost;
}

static bool run(const Arguments *arguments, Error *error)
{
    Compilation job;
    if (!open_job(arguments, true, &job, error))
        return false;
    const char *path = argument(arguments, "output");
    if (!path)
        path = cost_path(arguments->region, job.job);
    Cost *cost = measure(&job, error);
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
