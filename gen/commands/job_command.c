/* job_command: see job_command.h. */
#include "gen/commands/job_command.h"

#include "gen/artifact.h"
#include "gen/base/file.h"
#include "gen/pack.h"

bool open_job(const Arguments *arguments, bool needs_data, Compilation *job, Error *error)
{
    return compile_job(arguments->region, arguments->words[0], arguments->sets, needs_data, job,
                       error);
}

/* Batches of so many tokens are found only by counting from the first, which takes as long as the
 * number is large: whoever means a step behind the job's last says so. */
bool check_step(const Job *job, int64_t step, Error *error)
{
    return step < job->train.steps ||
           error_input(
               error,
               "--step: found \"%lld\", expected a step from 0 to %lld: %s says train.steps "
               "= %lld; change that with --set",
               (long long)step, (long long)job->train.steps - 1, job->path,
               (long long)job->train.steps);
}

bool is_artifact(Region *region, const char *folder)
{
    return file_is_folder(folder) && file_exists(path_join(region, folder, "manifest.json"));
}

const char *run_artifact(Region *region, const char *run, Error *error)
{
    const char *artifact = path_join(region, run, "trainer");
    if (is_artifact(region, artifact))
        return artifact;
    error_input(error, "%s: found no artifact at %s; name the folder that `pipewright run` wrote",
                run, artifact);
    return NULL;
}

const char *artifact_of(Region *region, const char *word)
{
    const char *inside = path_join(region, word, "trainer");
    return !is_artifact(region, word) && is_artifact(region, inside) ? inside : word;
}

static const char *read_form(Region *region, const char *folder, const char *name,
                             const char **path, Error *error)
{
    *path = path_join(region, folder, name);
    return file_read(region, *path, (size_t)256 << 20, NULL, error);
}

bool open_artifact(Region *region, const char *folder, Compilation *job, Error *error)
{
    const char *path, *text;
    *job = (Compilation){.region = region, .data_hash = "", .prompt_hash = ""};
    return artifact_verify_inputs(region, folder, error) &&
           (text = read_form(region, folder, "inputs/model.txt", &path, error)) &&
           (job->model = model_read(region, text, path, error)) &&
           (text = read_form(region, folder, "inputs/codelets.txt", &path, error)) &&
           (job->codelets = codelets_read(region, text, path, error)) &&
           (text = read_form(region, folder, "inputs/layout.txt", &path, error)) &&
           (job->layout = layout_read(region, text, path, job->model->layers, error)) &&
           (text = read_form(region, folder, "inputs/cost.json", &path, error)) &&
           (job->cost = cost_read(region, text, path, error));
}
