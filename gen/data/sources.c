/* sources: see sources.h. */
#include "gen/data/sources.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/text.h"

static int64_t modified(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static void add_file(Region *region, const char *path, const struct stat *status, Sources *sources)
{
    Source file = {region_copy(region, path), (int64_t)status->st_size, modified(status)};
    REGION_APPEND(region, sources->files, sources->nfiles, sources->room, file);
    sources->bytes += file.bytes;
}

static bool add_folder(Region *region, const char *folder, Sources *sources, Error *error);

/* What is neither file, folder nor link (a pipe, a device) holds no documents. */
static bool add_found(Region *region, const char *path, Sources *sources, Error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return error_input(error, "%s: cannot be read: %s", path, strerror(errno));
    if (S_ISLNK(status.st_mode))
        sources->links++;
    else if (S_ISDIR(status.st_mode))
        return add_folder(region, path, sources, error);
    else if (S_ISREG(status.st_mode))
        add_file(region, path, &status, sources);
    return true;
}

static bool add_folder(Region *region, const char *folder, Sources *sources, Error *error)
{
    char **names = file_names(region, folder, NULL, error);
    if (!names)
        return false;
    for (; *names; names++)
        if ((*names)[0] != '.' &&
            !add_found(region, path_join(region, folder, *names), sources, error))
            return false;
    return true;
}

static bool add_glob(Region *region, const char *pattern, Sources *sources, Error *error)
{
    glob_t found;
    int    result = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (result == GLOB_NOMATCH)
        return error_input(error, "%s: there is no such file or folder, and nothing matches",
                           pattern);
    if (result != 0)
        return error_input(error, "%s: cannot be read", pattern);
    bool added = true;
    for (size_t i = 0; added && i < found.gl_pathc; i++)
        added = add_found(region, found.gl_pathv[i], sources, error);
    globfree(&found);
    return added;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const Source *)a)->path, ((const Source *)b)->path);
}

bool sources_find(Region *region, const char *path, Sources *sources, Error *error)
{
    struct stat status;
    *sources = (Sources){0};
    if (stat(path, &status) != 0) { /* the path itself may be a link: the user named it */
        if (!add_glob(region, path, sources, error))
            return false;
    } else if (!S_ISDIR(status.st_mode)) {
        add_file(region, path, &status, sources);
    } else if (!add_folder(region, path, sources, error)) {
        return false;
    }
    if (sources->nfiles == 0)
        return error_input(error, "%s: there is no file in it", path);
    qsort(sources->files, (size_t)sources->nfiles, sizeof *sources->files, by_path);
    return true;
}

const char *sources_hash(Region *region, const Sources *sources, const char *folder)
{
    Region *listing = region_new();
    Text    text    = text_new(listing);
    size_t  length  = strlen(folder);
    for (int64_t i = 0; i < sources->nfiles; i++) {
        const Source *file = &sources->files[i];
        const char   *path = file->path;
        if (strncmp(path, folder, length) == 0 && path[length] == '/')
            path += length + 1;
        text_add(&text, "%s\n%lld %lld\n", path, (long long)file->bytes, (long long)file->modified);
    }
    const char *hash = hash_bytes(region, text.at, text.length);
    region_free(listing);
    return hash;
}

bool source_unchanged(const Source *source, Error *error)
{
    struct stat status;
    if (stat(source->path, &status) == 0 && (int64_t)status.st_size == source->bytes &&
        modified(&status) == source->modified)
        return true;
    return error_input(error, "%s: changed while it was read; try again when nothing writes to it",
                       source->path);
}
