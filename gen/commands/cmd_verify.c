/* verify: an artifact's files against its manifest, the compiled trainer against what its build
 * noted, a run's saved states against their manifests, the token set against what the programs were
 * made for, and that building again gives the same. Reads every byte of all of them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gen/artifact.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/commands/job_command.h"
#include "gen/pack.h"
#include "gen/states.h"

static const Option options[] = {
    {"data", "PREFIX", "the token set to check as well; of RUN: the one that it trained on"},
    {"job", "JOB.lua", "builds this job again and compares every file"},
    {0},
};

/* The --set texts that the artifact was built with. */
static const char **recorded_sets(Region *region, const json_t *manifest)
{
    const json_t *list  = json_object_get(json_object_get(manifest, "inputs"), "set");
    size_t        count = json_array_size(list);
    const char  **sets  = REGION_ARRAY(region, const char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        sets[i]          = region_copy(region, text ? text : "");
    }
    return sets;
}

/* The two manifests say the same of every file. */
static bool same_manifest(Region *region, const char *a, const char *b, Error *error)
{
    char *hash_a = hash_file(region, path_join(region, a, "manifest.json"), error);
    char *hash_b = hash_a ? hash_file(region, path_join(region, b, "manifest.json"), error) : NULL;
    return hash_b &&
           (!strcmp(hash_a, hash_b) ||
            error_fail(error, "%s: built again, it differs; pipewright diff says where", a));
}

/* The token set of a run folder, as its trainer noted it, or NULL. */
static const char *trained_on(Region *region, const char *run)
{
    Error       ignored;
    const char *path = path_join(region, run, "data.txt");
    char       *text = file_exists(path) ? file_read(region, path, 1 << 16, NULL, &ignored) : NULL;
    return text ? region_format(region, "%.*s", (int)strcspn(text, "\n"), text) : NULL;
}

/* One file of the token set; what the artifact does not know is not compared. */
static bool verify_token_file(Region *region, const char *prefix, const char *kind,
                              const json_t *inputs, Error *error)
{
    const char *want = json_string_value(json_object_get(inputs, kind));
    const char *path = region_format(region, "%s.%s", prefix, kind);
    char       *hash = want ? hash_file(region, path, error) : NULL;
    if (!want)
        return printf("%s: not compared: it was not there when the artifact was built\n", path) > 0;
    return hash && (!strcmp(hash, want) ||
                    error_input(error,
                                "%s: found SHA-256 %s, expected %s; the programs were made for "
                                "another token set",
                                path, hash, want));
}

static bool verify_data(Region *region, const char *prefix, const json_t *manifest, Error *error)
{
    const json_t *inputs    = json_object_get(json_object_get(manifest, "inputs"), "data");
    bool          prompting = json_object_get(inputs, "prompt") != NULL;
    prefix                  = path_without(region, prefix, ".idx");
    const char *prompts     = region_format(region, "%s.prompt", prefix);
    if (json_object_get(inputs, "lengths"))
        return error_input(error,
                           "--data: the artifact was built from lengths alone; leave it out");
    if (!prompting && file_exists(prompts))
        return error_input(error, "%s: found it, but the programs were made without", prompts);
    if (!verify_token_file(region, prefix, "idx", inputs, error) ||
        !verify_token_file(region, prefix, "bin", inputs, error) ||
        (prompting && !verify_token_file(region, prefix, "prompt", inputs, error)))
        return false;
    printf("%s: the token set that the programs were made for\n", prefix);
    return true;
}

/* Packs the job beside the artifact, in a folder that goes again. */
static bool verify_again(Region *region, const char *folder, const char *job_path,
                         const json_t *manifest, Error *error)
{
    Compilation job;
    const char *plans = json_object_get(json_object_get(manifest, "files"), "inputs/plan.json")
                            ? path_join(region, folder, "inputs/plan.json")
                            : NULL;
    if (!compile_job(region, job_path, recorded_sets(region, manifest), true, &job, error) ||
        !compile_from(&job, plans, error))
        return false;
    PackOptions pack_options = {.steps   = json_integer_value(json_object_get(manifest, "steps")),
                                .as_code = json_is_true(json_object_get(manifest, "as_code")),
                                .quiet   = true};
    const char *again        = region_format(region, "%s.again.%d", folder, (int)getpid());
    Error       ignored;
    bool        good =
        pack(&job, again, pack_options, error) && same_manifest(region, folder, again, error);
    file_remove_tree(again, &ignored);
    if (good)
        printf("%s: built again from %s, the same, hash for hash\n", folder, job_path);
    return good;
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region   = arguments->region;
    const char *word     = arguments->words[0];
    const char *folder   = artifact_of(region, word);
    const char *job_path = argument(arguments, "job");
    const char *data     = argument(arguments, "data");
    if (!artifact_verify(region, folder, error))
        return false;
    printf("%s: every file is as its manifest says%s\n", folder,
           file_exists(path_join(region, folder, "train")) ? ", the trainer as it was compiled"
                                                           : "; not compiled yet");
    if (!data)
        data = trained_on(region, word);
    json_t *manifest = artifact_manifest(region, folder, error);
    bool    good     = manifest && (folder == word || states_verify(region, word, error)) &&
                (!data || verify_data(region, data, manifest, error)) &&
                (!job_path || verify_again(region, folder, job_path, manifest, error));
    json_decref(manifest);
    return good;
}

const Command command_verify = {
    .name      = "verify",
    .words     = "TRAINER|RUN",
    .min_words = 1,
    .max_words = 1,
    .summary   = "checks the hashes of an artifact or a run, and that building again is the same",
    .details   = "A live ring's programs are not in the manifest: each has its own SHA-256, which "
                 "the trainer\nchecks before it runs it, and `prove` as well.",
    .options   = options,
    .run       = run,
};
