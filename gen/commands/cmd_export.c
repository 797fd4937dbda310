/* export: a trained run -> a Hugging Face folder. */
#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"

static const Option options[] = {
    {"output", "DIR", "the folder (-o DIR)"},
    {0},
};

static bool run(const Arguments *arguments, Error *error)
{
    const char *run_path = arguments->words[0];
    const char *folder   = argument(arguments, "output");
    const char *artifact = run_artifact(arguments->region, run_path, error);
    if (!artifact)
        return false;
    if (!folder)
        return error_input(error, "pipewright export %s: -o DIR is missing", run_path);
    const char *argv[] = {path_join(arguments->region, artifact, "train"),
                          "--export",
                          folder,
                          "--out",
                          run_path,
                          NULL};
    return process_must_run(argv, error);
}

const Command command_export = {
    .name      = "export",
    .words     = "RUN",
    .min_words = 1,
    .max_words = 1,
    .summary   = "writes a Hugging Face folder; train = { from = \"...\" } goes on from one",
    .options   = options,
    .run       = run,
};
