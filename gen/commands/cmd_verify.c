/* verify: an artifact's files against its manifest, the compiled trainer against what its build
 * noted, a run's saved states against their manifests, the token set against what the programs were
 * made for, and that building again gives the same. Reads every byte of all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gen/artifact.h"
#include "gen/base/fields.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/commands/job_command.h"
#include "gen/pack.h"

/* Saved states, as runtime/saved_state.c writes them. */
#define STATE_FORMAT "pipewright-state-1"
enum { STATE_MANIFEST_LIMIT = 1 << 20, GOING_TRIES = 20 };
static const char *const state_files[] = {"master.safetensors", "moment1.safetensors",
                                          "moment2.safetensors"};

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

/* "step-120" -> 120; -1: another name, such as that of a save that did not end. */
static int64_t step_of(const char *name)
{
    char     *end  = NULL;
    long long step = strncmp(name, "step-", 5) ? -1 : strtoll(name + 5, &end, 10);
    return step >= 0 && name[5] >= '0' && name[5] <= '9' && !*end ? step : -1;
}

static bool verify_state_file(const Fields *entry, const char *folder, const char *name)
{
    const char *listed, *want;
    int64_t     bytes;
    if (!fields_text(entry, "name", &listed) || !fields_text(entry, "sha256", &want) ||
        !fields_whole(entry, "bytes", 0, INT64_MAX, &bytes))
        return false;
    if (strcmp(listed, name) != 0)
        return fields_wrong(entry, "name", fields_get(entry, "name"), name);
    const char *path = path_join(entry->region, folder, name);
    char       *hash = hash_file(entry->region, path, entry->error);
    return hash &&
           ((file_size(path) == bytes && !strcmp(hash, want)) ||
            error_input(entry->error, "%s: found %lld bytes, SHA-256 %s, expected %lld bytes, %s",
                        path, (long long)file_size(path), hash, (long long)bytes, want));
}

static bool verify_state_manifest(const Fields *manifest, const char *folder, int64_t step)
{
    const char   *format;
    const json_t *files;
    int64_t       found;
    Fields        entry;
    if (!fields_text(manifest, "format", &format) ||
        !fields_whole(manifest, "step", 0, INT64_MAX, &found) ||
        !fields_list(manifest, "files", &files))
        return false;
    if (strcmp(format, STATE_FORMAT) != 0)
        return fields_wrong(manifest, "format", fields_get(manifest, "format"), STATE_FORMAT);
    if (found != step)
        return fields_wrong(manifest, "step", fields_get(manifest, "step"),
                            "the number that its folder is named by");
    if (json_array_size(files) != COUNT(state_files))
        return fields_wrong(manifest, "files", files, "weights and both moments");
    for (int i = 0; i < COUNT(state_files); i++)
        if (!fields_object(manifest, "files", (size_t)i, files, &entry) ||
            !verify_state_file(&entry, folder, state_files[i]))
            return false;
    return true;
}

/* A run at work takes older states away, file by file. */
static bool is_going(Region *region, const char *folder)
{
    bool whole = file_exists(path_join(region, folder, "manifest.json"));
    for (int i = 0; i < COUNT(state_files); i++)
        whole = whole && file_exists(path_join(region, folder, state_files[i]));
    for (int i = 0; !whole && i < GOING_TRIES && file_exists(folder); i++)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return !file_exists(folder);
}

/* What is damaged is added to `damaged`. */
static void verify_state(Region *region, const char *folder, int64_t step, Text *damaged)
{
    Error       wrong    = {0};
    const char *path     = path_join(region, folder, "manifest.json");
    char       *text     = file_read(region, path, STATE_MANIFEST_LIMIT, NULL, &wrong);
    json_t     *tree     = text ? fields_parse(text, path, &wrong) : NULL;
    Fields      manifest = {region, tree, path, "", &wrong};
    bool        good     = tree && verify_state_manifest(&manifest, folder, step);
    json_decref(tree);
    if (good)
        printf("%s: every file is as its manifest says\n", folder);
    else if (!is_going(region, folder))
        text_add(damaged, "%s%s: damaged: %s; a run would pass it over",
                 damaged->length ? "\n" : "", folder, wrong.text);
}

/* The saved states of a run, which may be at work: no trainer is asked and no lock taken. */
static bool verify_states(Region *region, const char *run, Error *error)
{
    int         count   = 0;
    Text        damaged = text_new(region);
    const char *states  = path_join(region, run, "states");
    if (!file_exists(states))
        return true;
    char **names = file_names(region, states, &count, error);
    for (int i = 0; names && i < count; i++)
        if (step_of(names[i]) >= 0)
            verify_state(region, path_join(region, states, names[i]), step_of(names[i]), &damaged);
    return names && (!damaged.length || error_input(error, "%s", damaged.at));
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
    bool    good     = manifest && (folder == word || verify_states(region, word, error)) &&
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
