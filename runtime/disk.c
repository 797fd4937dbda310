/* disk: thin covers over the system's calls, with errors that name the file and, where the disk is
 * full, what is needed and what is free. */
#include "runtime/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 50 }; /* ten a second */

int (*pw_disk_fault)(const char *operation, const char *path);

static bool may(const char *operation, const char *path)
{
    int code = pw_disk_fault ? pw_disk_fault(operation, path) : 0;
    if (code)
        errno = code;
    return code == 0;
}

static bool report(const char *operation, const char *path, int64_t needed, PwError *error)
{
    struct statvfs volume;
    int            code = errno;
    char           folder[PW_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    if (code == ENOTDIR)
        return pw_input(error, "%s: cannot %s: a plain file stands where a folder is needed", path,
                        operation);
    if ((code == ENOSPC || code == EDQUOT) && statvfs(slash ? folder : ".", &volume) == 0)
        return pw_fail(error, "%s: cannot %s: the disk is full: %lld bytes needed, %llu free", path,
                       operation, (long long)needed,
                       (unsigned long long)volume.f_bavail * volume.f_frsize);
    return pw_fail(error, "%s: cannot %s: %s", path, operation, strerror(code));
}

bool pw_disk_join(char path[PW_PATH_MAX], const char *folder, const char *name, PwError *error)
{
    int length = snprintf(path, PW_PATH_MAX, "%s/%s", folder, name);
    return length < PW_PATH_MAX || pw_input(error, "%.200s...: the path is too long", folder);
}

bool pw_disk_create(PwDiskFile *file, const char *path, int64_t expected_bytes, PwError *error)
{
    *file = (PwDiskFile){.descriptor = -1};
    snprintf(file->path, sizeof file->path, "%s", path);
    pw_sha256_start(&file->hash);
    if (!may("create", path) ||
        (file->descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        return report("create", path, expected_bytes, error);
    int code = may("reserve", path) ? 0 : errno;
    if (code == 0 && expected_bytes > 0)
        code = posix_fallocate(file->descriptor, 0, expected_bytes);
    if (code == 0 || code == EOPNOTSUPP || code == EINVAL)
        return true;
    errno = code;
    report("reserve space in", path, expected_bytes, error);
    pw_disk_abandon(file);
    return false;
}

bool pw_disk_write(PwDiskFile *file, const void *bytes, int64_t count, PwError *error)
{
    const char *from = bytes;
    if (!may("write", file->path))
        return report("write", file->path, count, error);
    pw_sha256_add(&file->hash, bytes, (size_t)count);
    while (count > 0) {
        ssize_t written = write(file->descriptor, from, (size_t)count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return report("write", file->path, count, error);
        from += written;
        count -= written;
        file->bytes += written;
    }
    return true;
}

bool pw_disk_finish(PwDiskFile *file, char hash[65], PwError *error)
{
    bool good = may("sync", file->path) && fsync(file->descriptor) == 0;
    if (!good)
        report("sync", file->path, file->bytes, error);
    if (close(file->descriptor) != 0 && good)
        good = report("close", file->path, file->bytes, error);
    file->descriptor = -1;
    pw_sha256_finish(&file->hash, hash);
    return good;
}

void pw_disk_abandon(PwDiskFile *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    file->descriptor = -1;
}

bool pw_disk_make_folder(const char *path, PwError *error)
{
    if (may("make", path) && (mkdir(path, 0777) == 0 || errno == EEXIST))
        return true;
    return report("make", path, 0, error);
}

bool pw_disk_make_folders(const char *path, PwError *error)
{
    char folder[PW_PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return pw_input(error, "%.200s...: the path is too long", path);
    for (char *slash = folder; *slash && (slash = strchr(slash + 1, '/'));) {
        *slash    = 0;
        bool good = pw_disk_make_folder(folder, error);
        *slash    = '/';
        if (!good)
            return false;
    }
    return pw_disk_make_folder(folder, error);
}

bool pw_disk_sync_folder(const char *path, PwError *error)
{
    if (!may("sync", path))
        return report("sync", path, 0, error);
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return report("open", path, 0, error);
    bool good = fsync(descriptor) == 0 || report("sync", path, 0, error);
    close(descriptor);
    return good;
}

bool pw_disk_rename(const char *from, const char *to, PwError *error)
{
    return (may("rename", from) && rename(from, to) == 0) || report("rename", from, 0, error);
}

bool pw_disk_remove_folder(const char *path, PwError *error)
{
    DIR *folder = may("remove", path) ? opendir(path) : NULL;
    if (!folder)
        return errno == ENOENT || report("open", path, 0, error);
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(folder));) {
        char inside[PW_PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        good =
            pw_disk_join(inside, path, entry->d_name, error) &&
            ((may("remove", inside) && unlink(inside) == 0) || report("remove", inside, 0, error));
    }
    closedir(folder);
    return good && (rmdir(path) == 0 || report("remove", path, 0, error));
}

bool pw_disk_replace(const char *folder, const char *name, const char *text, PwError *error)
{
    PwDiskFile file;
    char       to[PW_PATH_MAX], beside[PW_PATH_MAX], hash[65];
    if (!pw_disk_join(to, folder, name, error))
        return false;
    if (snprintf(beside, sizeof beside, "%s.tmp", to) >= (int)sizeof beside)
        return pw_input(error, "%s: the path is too long", folder);
    if (!pw_disk_create(&file, beside, 0, error))
        return false;
    if (!pw_disk_write(&file, text, (int64_t)strlen(text), error)) {
        pw_disk_abandon(&file);
        return false;
    }
    return pw_disk_finish(&file, hash, error) && pw_disk_rename(beside, to, error) &&
           pw_disk_sync_folder(folder, error);
}

/* A trainer that is ending, killed or saving, has a moment for it. */
static bool lock_patiently(int descriptor)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return true; /* or the file system knows no locks */
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return false;
}

bool pw_disk_lock(const char *folder, int *descriptor, PwError *error)
{
    char path[PW_PATH_MAX], owner[24] = "";
    if (!pw_disk_join(path, folder, "lock", error))
        return false;
    *descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*descriptor < 0)
        return report("open", path, 0, error);
    if (!lock_patiently(*descriptor)) {
        ssize_t got = pread(*descriptor, owner, sizeof owner - 1, 0);
        close(*descriptor);
        *descriptor = -1;
        return pw_input(error,
                        "%s: another trainer is at work there (process %.*s); wait for it, or "
                        "choose another --out",
                        folder, got > 0 ? (int)strcspn(owner, "\n") : 1, got > 0 ? owner : "?");
    }
    /* Who holds it is only for the message; on a full disk there is no room for it. */
    if (ftruncate(*descriptor, 0) == 0)
        dprintf(*descriptor, "%ld\n", (long)getpid());
    return true;
}

static int open_to_read(const char *path)
{
    return may("read", path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* What is not there is wrong input; what is there and cannot be read is a failure. */
static bool report_unread(const char *path, PwError *error)
{
    bool missing = errno == ENOENT || errno == ENOTDIR;
    return (missing ? pw_input : pw_fail)(error, "%s: cannot be read: %s", path, strerror(errno));
}

char *pw_disk_read(const char *path, int64_t limit, int64_t *bytes, PwError *error)
{
    struct stat status;
    char       *text       = NULL;
    int64_t     length     = 0;
    int         descriptor = open_to_read(path);
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        report_unread(path, error);
    else if (!S_ISREG(status.st_mode))
        pw_input(error, "%s: not a plain file", path);
    else if (status.st_size > limit)
        pw_input(error, "%s: %lld bytes, at most %lld expected", path, (long long)status.st_size,
                 (long long)limit);
    else if (!(text = malloc((size_t)status.st_size + 1)))
        pw_fail(error, "%s: no memory to read it", path);
    while (text && length < status.st_size) {
        ssize_t got = read(descriptor, text + length, (size_t)(status.st_size - length));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got < 0)
                report_unread(path, error);
            else
                pw_input(error, "%s: shorter than it was", path);
            free(text);
            text = NULL;
            break;
        }
        length += got;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (text)
        text[length] = 0;
    if (bytes)
        *bytes = length;
    return text;
}

bool pw_disk_hash(const char *path, char hash[65], int64_t *bytes, PwError *error)
{
    static char piece[1 << 16];
    PwSha256    state;
    ssize_t     got;
    int         descriptor = open_to_read(path);
    if (descriptor < 0)
        return report_unread(path, error);
    pw_sha256_start(&state);
    while ((got = read(descriptor, piece, sizeof piece)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            pw_sha256_add(&state, piece, (size_t)got);
    }
    bool good = got == 0 || report_unread(path, error);
    close(descriptor);
    *bytes = (int64_t)state.bytes;
    pw_sha256_finish(&state, hash);
    return good;
}
