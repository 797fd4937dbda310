/* verify: an artifact's files against its manifest, and that building again gives the same. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/commands/job_command.h"
#include "gen/pack.h"

static const Option options[] = {
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

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region   = arguments->region;
    const char *folder   = artifact_of(region, arguments->words[0]);
    const char *job_path = argument(arguments, "job");
    if (!pack_verify(region, folder, error))
        return false;
    printf("%s: every file is as its manifest says\n", folder);
    if (!job_path)
        return true;
    Compilation  job;
    json_error_t where;
    char   *text = file_read(region, path_join(region, folder, "manifest.json"), (size_t)64 << 20,
                             NULL, error);
    json_t *manifest = text ? json_loads(text, 0, &where) : NULL;
    if (!manifest ||
        !compile_job(region, job_path, recorded_sets(region, manifest), true, &job, error))
        return json_decref(manifest), false;
    PackOptions pack_options = {.steps = json_integer_value(json_object_get(manifest, "steps")),
                                .quiet = true};
    json_decref(manifest);
    const char *again = region_format(region, "%s.again.%d", folder, (int)getpid());
    Error       ignored;
    bool        good =
        pack(&job, again, pack_options, error) && same_manifest(region, folder, again, error);
    file_remove_tree(again, &ignored);
    if (good)
        printf("%s: built again from %s, the same, hash for hash\n", folder, job_path);
    return good;
}

const Command command_verify = {
    .name      = "verify",
    .words     = "TRAINER",
    .min_words = 1,
    .max_words = 1,
    .summary   = "checks an artifact's hashes, and that building again gives the same",
    .options   = options,
    .run       = run,
};
