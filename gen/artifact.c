/* artifact: see artifact.h. */
#include "gen/artifact.h"

#include <string.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"

/* A file is there, and of the SHA-256 that it should have; `cure` is what to do if not. */
static bool check_hash(Region *region, const char *path, const char *want, const char *cure,
                       Error *error)
{
    char *hash = hash_file(region, path, error);
    return hash &&
           (!strcmp(hash, want) ||
            error_input(error, "%s: found SHA-256 %s, expected %s; %s", path, hash, want, cure));
}

static bool verify_file(Region *region, const char *folder, const char *name, json_t *entry,
                        Error *error)
{
    const char *want = json_string_value(json_object_get(entry, "sha256"));
    const char *path = path_join(region, folder, name);
    if (!want || strstr(name, "..") || *name == '/')
        return error_input(error, "%s/manifest.json: files: \"%s\" is no entry that pack writes",
                           folder, name);
    if (!file_exists(path))
        return error_input(error, "%s: is missing; the manifest lists it", path);
    return check_hash(region, path, want,
                      "the file was changed after the artifact was built: build it again", error);
}

json_t *artifact_manifest(Region *region, const char *folder, Error *error)
{
    json_error_t where;
    const char  *path = path_join(region, folder, "manifest.json");
    char        *text = file_read(region, path, (size_t)64 << 20, NULL, error);
    if (!text)
        return NULL;
    json_t *manifest = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(json_object_get(manifest, "files")))
        return manifest;
    error_input(error, "%s:%d: %s; expected an artifact's manifest", path, where.line,
                manifest ? "no \"files\"" : where.text);
    json_decref(manifest);
    return NULL;
}

/* Files whose names begin with `prefix`. */
static bool verify_files(Region *region, const char *folder, const char *prefix, Error *error)
{
    json_t     *manifest = artifact_manifest(region, folder, error);
    bool        good     = manifest != NULL;
    const char *name;
    json_t     *entry;
    json_object_foreach(json_object_get(manifest, "files"), name, entry)
    {
        if (strncmp(name, prefix, strlen(prefix)) == 0 &&
            !verify_file(region, folder, name, entry, error)) {
            good = false;
            break;
        }
    }
    json_decref(manifest);
    return good;
}

/* What the build script made is not in the manifest, which is older: a record of its own stands
 * beside it. */
static bool verify_built(Region *region, const char *folder, const char *name, const char *built,
                         Error *error)
{
    const char *record = path_join(region, folder, built);
    const char *path   = path_join(region, folder, name);
    if (!file_exists(path))
        return true;
    char       *text = file_read(region, record, (size_t)1 << 16, NULL, error);
    json_t     *tree = text ? json_loads(text, 0, NULL) : NULL;
    const char *want = json_string_value(json_object_get(tree, "sha256"));
    bool        good = text && (want ? check_hash(region, path, want,
                                                  "it was changed after it was compiled: remove it "
                                                         "and run the build script again",
                                                  error)
                                     : error_input(error,
                                                   "%s: no record that the build script writes; "
                                                          "remove %s and run the script again",
                                                   record, path));
    json_decref(tree);
    return good;
}

bool artifact_verify(Region *region, const char *folder, Error *error)
{
    return verify_files(region, folder, "", error) &&
           verify_built(region, folder, "train", "built", error) &&
           verify_built(region, folder, "transport_mpi.so", "transport_mpi.built", error);
}

bool artifact_verify_inputs(Region *region, const char *folder, Error *error)
{
    return verify_files(region, folder, "inputs/", error);
}
