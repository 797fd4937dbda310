/* ring_writer: see ring_writer.h. */
#include "gen/ring_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gen/base/hash.h"
#include "runtime/kernel.h"
#include "runtime/program_format.h"

struct RingWriter {
    const char *path;
    int         file; /* programs are written through it                                      */
    PwRing     *ring; /* header and slots are mapped                                          */
    PwSlot     *slots;
    uint64_t    next; /* where in the data part the next program would begin, from `data`      */
};

static uint64_t align(uint64_t bytes)
{
    return (uint64_t)pw_align((int64_t)bytes);
}

/* Gives the file its first bytes, on the disk: they are mapped, and a write to them that finds no
 * room there ends the process. Some file systems cannot promise it. */
static bool make_room(int file, uint64_t bytes)
{
    do
        errno = posix_fallocate(file, 0, (off_t)bytes);
    while (errno == EINTR);
    return !errno || ((errno == EOPNOTSUPP || errno == EINVAL) && !ftruncate(file, (off_t)bytes));
}

bool ring_create(const char *path, int64_t slots, uint64_t data_bytes, int64_t first, Error *error)
{
    PwRing   ring   = {.magic = PW_RING_MAGIC, .slots = (uint64_t)slots, .first_step = first};
    uint64_t data   = align(sizeof ring + sizeof(PwSlot) * (uint64_t)slots);
    ring.data       = data;
    ring.data_bytes = align(data_bytes);
    ring.written    = first;
    ring.consumed   = first;
    int file        = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
    if (file < 0)
        return error_fail(error, "%s: cannot be created: %s", path, strerror(errno));
    bool good = make_room(file, data) && pwrite(file, &ring, sizeof ring, 0) == sizeof ring;
    int  why  = errno;
    close(file);
    return good || error_fail(error, "%s: cannot be written: %s", path,
                              why == ENOSPC ? "the disk is full" : strerror(why));
}

RingWriter *ring_open(Region *region, const char *path, Error *error)
{
    PwRing ring;
    int    file = open(path, O_RDWR | O_CLOEXEC);
    void  *map  = MAP_FAILED;
    if (file >= 0 && pread(file, &ring, sizeof ring, 0) == sizeof ring)
        map = mmap(NULL, ring.data, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED) {
        error_fail(error, "%s: cannot be opened: %s", path, strerror(errno));
        if (file >= 0)
            close(file);
        return NULL;
    }
    RingWriter *writer = REGION_NEW(region, RingWriter);
    *writer            = (RingWriter){.path  = region_copy(region, path),
                                      .file  = file,
                                      .ring  = map,
                                      .slots = (PwSlot *)((PwRing *)map + 1)};
    return writer;
}

/* Bytes [begin, end) of the data part are still named by a slot that the trainer may read. */
static bool in_use(const RingWriter *writer, uint64_t begin, uint64_t end)
{
    const PwRing *ring = writer->ring;
    for (int64_t step = ring->consumed; step < ring->written; step++) {
        const PwSlot *slot = &writer->slots[(uint64_t)step % ring->slots];
        if (step >= ring->first_step && slot->offset - ring->data < end &&
            begin < slot->offset - ring->data + slot->bytes)
            return true;
    }
    return false;
}

/* A place for `bytes` in the data part, or false while there is none. */
static bool find_place(RingWriter *writer, uint64_t bytes, uint64_t *place)
{
    const PwRing *ring = writer->ring;
    if (ring->written - ring->consumed >= (int64_t)ring->slots)
        return false;
    uint64_t begin = writer->next + bytes <= ring->data_bytes ? writer->next : 0;
    if (in_use(writer, begin, begin + bytes))
        return false;
    *place = begin;
    return true;
}

static bool write_all(int file, const char *bytes, uint64_t count, uint64_t offset)
{
    while (count > 0) {
        ssize_t written = pwrite(file, bytes, count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written, offset += (uint64_t)written, count -= (uint64_t)written;
    }
    return true;
}

bool ring_append(RingWriter *writer, const void *program, uint64_t bytes, bool patient,
                 Error *error)
{
    PwRing  *ring = writer->ring;
    uint64_t place;
    if (bytes > ring->data_bytes)
        return error_fail(error, "%s: a program of %llu bytes is larger than the ring's %llu",
                          writer->path, (unsigned long long)bytes,
                          (unsigned long long)ring->data_bytes);
    while (!find_place(writer, bytes, &place)) {
        if (!patient)
            return error_fail(error, "%s: no room for one more program", writer->path);
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    PwSlot *slot    = &writer->slots[(uint64_t)ring->written % ring->slots];
    Region *scratch = region_new();
    if (!write_all(writer->file, program, bytes, ring->data + place))
        return region_free(scratch),
               error_fail(error, "%s: cannot be written: %s", writer->path, strerror(errno));
    slot->step   = ring->written;
    slot->offset = ring->data + place;
    slot->bytes  = bytes;
    memcpy(slot->hash, hash_bytes(scratch, program, bytes), sizeof slot->hash);
    region_free(scratch);
    writer->next = align(place + bytes);
    ring->written++; /* sequentially consistent: the slot is complete before it is announced */
    return true;
}

static void close_ring(RingWriter *writer)
{
    munmap(writer->ring, writer->ring->data);
    close(writer->file);
}

bool ring_finish(RingWriter *writer, const Error *failure, Error *error)
{
    PwRing *ring = writer->ring;
    if (failure) {
        snprintf(ring->message, sizeof ring->message, "%s", failure->text);
        ring->status = failure->status;
    }
    if (ring->data_bytes == RING_UNBOUNDED)
        ring->data_bytes = writer->next; /* a finished file ends where its last program does */
    ring->finished = failure ? -1 : 1;
    bool good      = (ring->data_bytes > writer->next ||
                 !ftruncate(writer->file, (off_t)(ring->data + ring->data_bytes))) &&
                !fsync(writer->file);
    close_ring(writer);
    return good || error_fail(error, "%s: cannot be synced: %s", writer->path, strerror(errno));
}

void ring_abandon(const char *path, int status)
{
    Error   how, ignored;
    Region *region = region_new();
    if (WIFSIGNALED(status))
        error_fail(&how, "it was ended by signal %d%s", WTERMSIG(status),
                   WTERMSIG(status) == SIGKILL ? "; for want of memory?" : "");
    else
        error_fail(&how, "it ended with status %d", WEXITSTATUS(status));
    RingWriter *writer = ring_open(region, path, &ignored);
    if (writer && writer->ring->finished == 0)
        ring_finish(writer, &how, &ignored);
    else if (writer)
        close_ring(writer);
    region_free(region);
}
