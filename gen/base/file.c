/* file: whole files, folders and paths. */
#include "gen/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gen/base/text.h"

char *file_read(Region *region, const char *path, size_t limit, size_t *length, Error *error)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        error_input(error, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    int64_t size  = file_size(path);
    size_t  room  = size > 0 && (size_t)size <= limit ? (size_t)size + 1 : 4096;
    size_t  count = 0;
    char   *bytes = region_alloc(region, room + 1);
    for (size_t got; (got = fread(bytes + count, 1, room - count, stream)) > 0;) {
        count += got;
        if (count > limit)
            break;
        if (count == room) { /* a pipe, or a file that grew */
            bytes = region_grow(region, bytes, count, 2 * room + 1);
            room *= 2;
        }
    }
    int failed = ferror(stream) ? errno : 0;
    fclose(stream);
    if (failed || count > limit) {
        if (failed)
            error_input(error, "%s: cannot be read: %s", path, strerror(failed));
        else
            error_input(error, "%s: larger than %zu bytes, the most that is read here", path,
                        limit);
        return NULL;
    }
    bytes[count] = 0;
    if (length)
        *length = count;
    return bytes;
}

bool file_out_open(FileOut *out, Region *region, const char *path, Error *error)
{
    out->path      = region_copy(region, path);
    out->temporary = region_format(region, "%s.%ld.new", path, (long)getpid());
    out->folder    = path_folder(region, path);
    out->stream    = fopen(out->temporary, "wb");
    if (!out->stream)
        return error_fail(error, "%s: cannot be written: %s", path, strerror(errno));
    return true;
}

void file_out_abandon(FileOut *out)
{
    if (!out->stream)
        return;
    fclose(out->stream);
    out->stream = NULL;
    unlink(out->temporary);
}

static bool give_up(FileOut *out, Error *error)
{
    int failed = errno;
    file_out_abandon(out);
    return error_fail(error, "%s: cannot be written: %s", out->path, strerror(failed));
}

bool file_out_write(FileOut *out, const void *bytes, size_t count, Error *error)
{
    if (fwrite(bytes, 1, count, out->stream) != count)
        return give_up(out, error);
    return true;
}

static bool sync_folder(const char *folder)
{
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there. */
    bool synced = fsync(descriptor) == 0 || errno == EINVAL;
    close(descriptor);
    return synced;
}

bool file_out_finish(FileOut *out, Error *error)
{
    if (fflush(out->stream) != 0 || fsync(fileno(out->stream)) != 0)
        return give_up(out, error);
    int closed  = fclose(out->stream);
    out->stream = NULL;
    if (closed != 0 || rename(out->temporary, out->path) != 0) {
        int failed = errno;
        unlink(out->temporary);
        return error_fail(error, "%s: cannot be written: %s", out->path, strerror(failed));
    }
    if (!sync_folder(out->folder))
        return error_fail(error, "%s: cannot be synced: %s", out->folder, strerror(errno));
    return true;
}

bool file_write(const char *path, const void *bytes, size_t count, Error *error)
{
    Region *region = region_new();
    FileOut out;
    bool    written = file_out_open(&out, region, path, error) &&
                   file_out_write(&out, bytes, count, error) && file_out_finish(&out, error);
    region_free(region);
    return written;
}

bool file_line(FILE *stream, Region *region, size_t limit, FileLine *line)
{
    int byte     = 0;
    line->length = 0;
    while (line->length <= limit && byte != '\n' && (byte = getc_unlocked(stream)) != EOF)
        REGION_APPEND(region, line->at, line->length, line->room, (char)byte);
    return line->length > 0;
}

static bool make_folder(const char *folder, Error *error)
{
    if (mkdir(folder, 0777) == 0)
        return true;
    int failed = errno;
    if (file_is_folder(folder))
        return true;
    if (failed == EEXIST || failed == ENOTDIR)
        return error_input(error, "%s: a plain file stands where a folder is needed", folder);
    return error_fail(error, "%s: the folder cannot be made: %s", folder, strerror(failed));
}

bool file_make_folders(const char *path, Error *error)
{
    Region *region = region_new();
    char   *folder = region_copy(region, path);
    bool    made   = true;
    for (char *at = folder + 1; made && at[-1]; at++) {
        char here = *at;
        if (here && here != '/')
            continue;
        *at  = 0;
        made = make_folder(folder, error);
        *at  = here;
    }
    region_free(region);
    return made;
}

bool file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool file_is_plain(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

static bool copy_stream(FILE *in, const char *from, FileOut *out, Error *error)
{
    char        bytes[1 << 16];
    size_t      count;
    struct stat status;
    while ((count = fread(bytes, 1, sizeof bytes, in)) > 0)
        if (!file_out_write(out, bytes, count, error))
            return false;
    if (ferror(in) || fstat(fileno(in), &status) != 0) {
        error_input(error, "%s: cannot be read: %s", from, strerror(errno));
        file_out_abandon(out);
        return false;
    }
    if (fchmod(fileno(out->stream), status.st_mode & 0777) != 0)
        return give_up(out, error);
    return file_out_finish(out, error);
}

bool file_copy(const char *from, const char *to, Error *error)
{
    FILE *in = fopen(from, "rb");
    if (!in)
        return error_input(error, "%s: cannot be read: %s", from, strerror(errno));
    Region *region = region_new();
    FileOut out;
    bool    copied = file_out_open(&out, region, to, error) && copy_stream(in, from, &out, error);
    region_free(region);
    fclose(in);
    return copied;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

bool file_remove_tree(const char *path, Error *error)
{
    enum { OPEN_FOLDERS = 16 };
    if (nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return error_fail(error, "%s: cannot be removed: %s", path, strerror(errno));
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **file_names(Region *region, const char *folder, int *count, Error *error)
{
    DIR *stream = opendir(folder);
    if (!stream) {
        error_input(error, "%s: the folder cannot be read: %s", folder, strerror(errno));
        return NULL;
    }
    char **names  = NULL;
    int    nnames = 0, room = 0;
    errno = 0;
    for (struct dirent *entry; (errno = 0, entry = readdir(stream)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            REGION_APPEND(region, names, nnames, room, region_copy(region, entry->d_name));
    int failed = errno;
    closedir(stream);
    if (failed) {
        error_input(error, "%s: the folder cannot be read: %s", folder, strerror(failed));
        return NULL;
    }
    if (nnames > 0)
        qsort(names, (size_t)nnames, sizeof *names, by_bytes);
    if (count)
        *count = nnames;
    REGION_APPEND(region, names, nnames, room, NULL);
    return names;
}

char *path_join(Region *region, const char *folder, const char *name)
{
    if (name[0] == '/' || !folder[0] || strcmp(folder, ".") == 0)
        return region_copy(region, name);
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    return region_format(region, "%s%s%s", folder, slash, name);
}

char *path_folder(Region *region, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return region_copy(region, ".");
    if (slash == path)
        return region_copy(region, "/");
    return region_format(region, "%.*s", (int)(slash - path), path);
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_trim(Region *region, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return region_format(region, "%.*s", (int)length, path);
}

char *path_without(Region *region, const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return region_format(region, "%.*s",
                         (int)(length > tail && text_ends(path, ending) ? length - tail : length),
                         path);
}
