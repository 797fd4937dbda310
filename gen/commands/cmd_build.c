/* build: job -> artifact. */
#include <stdio.h>

#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/job_command.h"
#include "gen/pack.h"

static const Option options[] = {
    {"output", "DIR", "where the artifact goes (-o DIR); default: JOB's name with .trainer"},
    {"steps", "N", "programs to store; default: the job's steps"},
    {"from", "plan.json", "plans in place of the policy, one a line, one a step"},
    {"as-code", NULL,
     "the programs as straight-line C too, run in place of the executor; at most 64 "
     "steps"},
    {"no-compile", NULL, "leaves compiling to the artifact's own build script, here or elsewhere"},
    {0},
};

/* Every step is other code, and a compiler must read it all. */
enum { AS_CODE_STEPS_MAX = 64 };

static bool run(const Arguments *arguments, Error *error)
{
    Compilation job;
    PackOptions pack_options = {.compile = !argument(arguments, "no-compile"),
                                .as_code = argument(arguments, "as-code")};
    if (!open_job(arguments, true, &job, error))
        return false;
    if (!argument_number(arguments, "steps", 1, job.job->train.steps, &pack_options.steps, error))
        return false;
    if (pack_options.as_code && pack_options.steps > AS_CODE_STEPS_MAX)
        return error_input(error,
                           "--as-code: found %lld steps, expected at most %d: every step's program "
                           "is compiled; give --steps N",
                           (long long)pack_options.steps, AS_CODE_STEPS_MAX);
    const char *folder = argument(arguments, "output");
    if (!folder)
        folder = region_format(arguments->region, "%s.trainer",
                               path_without(arguments->region, arguments->words[0], ".lua"));
    if (!compile_from(&job, argument(arguments, "from"), error) ||
        (job.plans && !plan_file_has(job.plans, 0, pack_options.steps, error)) ||
        !pack(&job, folder, pack_options, error))
        return false;
    const char *what = region_format(job.region, "%s: %s for %s", folder,
                                     text_count(job.region, pack_options.steps, "step"),
                                     text_count(job.region, job.layout->nranks, "rank"));
    if (job.prefix)
        printf("%s; run it with %s/train --data %s --out RUN\n", what, folder, job.prefix);
    else
        printf("%s, of lengths alone: to look at and to prove, not to train with\n", what);
    return true;
}

const Command command_build = {
    .name      = "build",
    .words     = "JOB",
    .min_words = 1,
    .max_words = 1,
    .summary   = "compiles a job into a trainer that runs by itself",
    .details = "The folder holds readable C made for the job, a build script, the proven programs "
               "of N steps\nand a manifest. It needs a C compiler, nothing else.",
    .options = options,
    .run     = run,
};
