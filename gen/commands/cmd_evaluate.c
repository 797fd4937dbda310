/* evaluate: loss, perplexity and bits per byte of a trained run on held-out documents. */
#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"

static const Option options[] = {
    {"data", "PREFIX", "the token set that the run was trained on, if it moved"},
    {"json", NULL, "for programs"},
    {0},
};

static bool run(const Arguments *arguments, Error *error)
{
    const char *run_path = arguments->words[0];
    const char *artifact = run_artifact(arguments->region, run_path, error);
    const char *argv[9];
    int         n = 0;
    if (!artifact)
        return false;
    argv[n++] = path_join(arguments->region, artifact, "train");
    argv[n++] = "--evaluate", argv[n++] = "--out", argv[n++] = run_path;
    if (argument(arguments, "data"))
        argv[n++] = "--data", argv[n++] = argument(arguments, "data");
    if (argument(arguments, "json"))
        argv[n++] = "--json";
    argv[n] = NULL;
    return process_must_run(argv, error);
}

const Command command_evaluate = {
    .name      = "evaluate",
    .words     = "RUN",
    .min_words = 1,
    .max_words = 1,
    .summary   = "loss, perplexity and bits per byte on the held-out documents",
    .options   = options,
    .run       = run,
};
