/* interpose: loaded in front of libc (LD_PRELOAD) into a trainer that knows nothing of it, or into
 * the tool.
 *   PW_TEST_KILL=save:N     kill -9 to itself in front of the N-th operation inside RUN/states that
 *                           changes something; the writes of a file count once
 *   PW_TEST_KILL=resume:N   the same in front of the N-th file there that is opened for reading
 *   PW_TEST_FULL=BYTES      the disk has so many bytes left for RUN/states
 *   PW_TEST_COUNT=FILE      every time a line of a step is written, FILE gets a line: calls so far
 * of malloc, calloc, realloc, aligned_alloc, free, mmap and munmap
 *   PW_TEST_TOOL=exit       its planner ends as it lowers its priority, before it opens the ring
 *   PW_TEST_TOOL=full       the disk has no room for a ring */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FILES = 1024 };

static bool        inside[FILES], has_written[FILES]; /* descriptors of files in states          */
static long        changes, reads, left = -1;
static atomic_long calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* PW_TEST_KILL is "WHAT:N": N; 0 where it is something else. */
static long told(const char *what)
{
    const char *text   = getenv("PW_TEST_KILL");
    size_t      length = strlen(what);
    return text && !strncmp(text, what, length) && text[length] == ':' ? atol(text + length + 1)
                                                                       : 0;
}

static bool in_states(const char *path)
{
    const char *found = strstr(path, "/states");
    return found && (found[7] == '/' || !found[7]);
}

static void change(void)
{
    if (++changes == told("save"))
        kill(getpid(), SIGKILL);
}

static bool is_inside(int file)
{
    return file >= 0 && file < FILES && inside[file];
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    bool ours = in_states(path), writes = (flags & O_ACCMODE) != O_RDONLY;
    if (ours && writes)
        change();
    else if (ours && !(flags & O_DIRECTORY) && ++reads == told("resume"))
        kill(getpid(), SIGKILL);
    int file = REAL(open)(path, flags, mode);
    if (file >= 0 && file < FILES) {
        inside[file]      = ours;
        has_written[file] = false;
    }
    return file;
}

/* Takes `bytes` from the disk; false: it is full. */
static bool take(size_t bytes)
{
    const char *text = getenv("PW_TEST_FULL");
    if (left < 0)
        left = text ? atol(text) : 1L << 62;
    bool fits = (long)bytes <= left;
    if (fits)
        left -= (long)bytes;
    return fits;
}

ssize_t write(int file, const void *bytes, size_t count)
{
    if (is_inside(file) && !has_written[file]) {
        has_written[file] = true;
        change();
    }
    if (is_inside(file) && !take(count))
        return errno = ENOSPC, -1;
    return REAL(write)(file, bytes, count);
}

int posix_fallocate(int file, off_t from, off_t bytes)
{
    if (is_inside(file))
        change();
    return REAL(posix_fallocate)(file, from, bytes);
}

int fsync(int file)
{
    if (is_inside(file))
        change();
    return REAL(fsync)(file);
}

int close(int file)
{
    if (file >= 0 && file < FILES)
        inside[file] = false;
    return REAL(close)(file);
}

#define CHANGES_PATH(name, parameters, path, arguments)                                            \
    int name parameters                                                                            \
    {                                                                                              \
        if (in_states(path))                                                                       \
            change();                                                                              \
        return REAL(name) arguments;                                                               \
    }
CHANGES_PATH(rename, (const char *from, const char *to), from, (from, to))
CHANGES_PATH(unlink, (const char *path), path, (path))
CHANGES_PATH(rmdir, (const char *path), path, (path))
CHANGES_PATH(mkdir, (const char *path, mode_t mode), path, (path, mode))

static bool tool_is_told(const char *what)
{
    const char *text = getenv("PW_TEST_TOOL");
    return text && !strcmp(text, what);
}

int setpriority(__priority_which_t which, id_t who, int priority)
{
    if (tool_is_told("exit"))
        _exit(1);
    return REAL(setpriority)(which, who, priority);
}

/* So the tool, which is built for large files, calls it. */
int posix_fallocate64(int file, int64_t from, int64_t bytes)
{
    return tool_is_told("full") ? ENOSPC : REAL(posix_fallocate64)(file, from, bytes);
}

/* glibc's own names behind the ones that are counted: dlsym itself allocates. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *at, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void  __libc_free(void *at);

void *malloc(size_t bytes)
{
    calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    calls++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *at, size_t bytes)
{
    calls++;
    return __libc_realloc(at, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    calls++;
    return __libc_memalign(align, bytes);
}

void free(void *at)
{
    calls += at != NULL;
    __libc_free(at);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    calls++;
    return REAL(mmap)(at, bytes, protection, flags, file, offset);
}

int munmap(void *at, size_t bytes)
{
    calls++;
    return REAL(munmap)(at, bytes);
}

static void tell(long number)
{
    static int  told_to = -1;
    char        line[32];
    const char *path = getenv("PW_TEST_COUNT");
    if (!path)
        return;
    if (told_to < 0)
        told_to = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int length = snprintf(line, sizeof line, "%ld\n", number);
    if (REAL(write)(told_to, line, (size_t)length) != length)
        abort();
}

size_t fwrite(const void *at, size_t size, size_t count, FILE *file)
{
    if (size * count > 9 && !memcmp(at, "{\"step\": ", 9))
        tell(atomic_load(&calls));
    return REAL(fwrite)(at, size, count, file);
}

__attribute__((destructor)) static void tell_resident(void)
{
    char  line[200];
    long  kib    = 0;
    FILE *status = getenv("PW_TEST_COUNT") ? fopen("/proc/self/status", "r") : NULL;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            tell(kib * 1024);
    if (status)
        fclose(status);
}
