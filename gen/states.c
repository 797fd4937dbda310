/* states: see states.h. */
#include "gen/states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gen/base/fields.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/text.h"

/* As runtime/saved_state.c writes them. */
#define STATE_FORMAT "pipewright-state-1"
enum { STATE_MANIFEST_LIMIT = 1 << 20, GOING_TRIES = 20 };
static const char *const state_files[] = {"master.safetensors", "moment1.safetensors",
                                          "moment2.safetensors"};

/* "step-120" -> 120; -1: another name, such as that of a save that did not end. */
static int64_t step_of(const char *name)
{
    char     *end  = NULL;
    long long step = strncmp(name, "step-", 5) ? -1 : strtoll(name + 5, &end, 10);
    return step >= 0 && name[5] >= '0' && name[5] <= '9' && !*end ? step : -1;
}

static bool check_file(const Fields *entry, const char *folder, const char *name)
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

static bool check_manifest(const Fields *manifest, const char *folder, int64_t step)
{
    const char   *format;
    const json_t *files, *fields = fields_get(manifest, "fields"); /* older states have none */
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
    if (fields && !json_is_object(fields))
        return fields_wrong(manifest, "fields", fields, "the fields of the job");
    if (json_array_size(files) != COUNT(state_files))
        return fields_wrong(manifest, "files", files, "weights and both moments");
    for (int i = 0; i < COUNT(state_files); i++)
        if (!fields_object(manifest, "files", (size_t)i, files, &entry) ||
            !check_file(&entry, folder, state_files[i]))
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
    bool        good     = tree && check_manifest(&manifest, folder, step);
    json_decref(tree);
    if (good)
        printf("%s: every file is as its manifest says\n", folder);
    else if (!is_going(region, folder))
        text_add(damaged, "%s%s: damaged: %s; a run would pass it over",
                 damaged->length ? "\n" : "", folder, wrong.text);
}

bool states_verify(Region *region, const char *run, Error *error)
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
