/* ring: opening, waiting, checking. Waiting sleeps between looks, a quarter of a millisecond at
 * first and ten at most: the planner is another process, and may well need this core. */
#include "runtime/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/sha256.h"

#define RING_MAX (UINT64_C(1) << 44)

static const PwSlot *slots(const PwPrograms *programs)
{
    return (const PwSlot *)(programs->ring + 1);
}

/* A planner's file grows: the programs' part has a size that it does not reach at first. */
static bool check_header(const PwPrograms *programs, const PwRing *ring, uint64_t file,
                         PwError *error)
{
    if (file < sizeof *ring || memcmp(ring->magic, PW_RING_MAGIC, 8) != 0)
        return pw_input(error, "%s: not a ring of programs", programs->path);
    if (ring->slots == 0 || ring->data > file || ring->data < sizeof *ring ||
        ring->slots > (ring->data - sizeof *ring) / sizeof(PwSlot) || ring->data_bytes > RING_MAX)
        return pw_input(error, "%s: the ring's parts lie outside the file", programs->path);
    /* No bound above: another rank may have run steps between the reads of the two counters. */
    if (ring->first_step < 0 || ring->written < ring->first_step ||
        ring->consumed < ring->first_step || ring->finished < -1 || ring->finished > 1)
        return pw_input(error, "%s: the ring's counters contradict each other", programs->path);
    return true;
}

static uint64_t file_bytes(const PwPrograms *programs)
{
    struct stat status;
    return fstat(programs->descriptor, &status) == 0 && S_ISREG(status.st_mode)
               ? (uint64_t)status.st_size
               : 0;
}

/* Bytes that can be read: a live ring's file is shorter than its map, another one may be longer. */
static uint64_t readable_bytes(const PwPrograms *programs)
{
    uint64_t file = file_bytes(programs);
    return file < programs->bytes ? file : programs->bytes;
}

bool pw_ring_open(PwPrograms *programs, const char *path, PwError *error)
{
    PwRing ring;
    *programs     = (PwPrograms){.descriptor = open(path, O_RDWR | O_CLOEXEC)};
    bool writable = programs->descriptor >= 0;
    if (!writable) /* a finished ring may lie where nobody can write */
        programs->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(programs->path, sizeof programs->path, "%s", path);
    if (programs->descriptor < 0)
        return pw_input(error, "%s: %s", path, strerror(errno));
    ssize_t got = pread(programs->descriptor, &ring, sizeof ring, 0);
    bool good = check_header(programs, &ring, got == sizeof ring ? file_bytes(programs) : 0, error);
    if (good) {
        programs->bytes = ring.data + ring.data_bytes;
        void *map       = mmap(NULL, programs->bytes, PROT_READ | (writable ? PROT_WRITE : 0),
                         writable ? MAP_SHARED : MAP_PRIVATE, programs->descriptor, 0);
        good            = map != MAP_FAILED || pw_fail(error, "%s: %s", path, strerror(errno));
        programs->ring  = good ? map : NULL;
    }
    if (!good)
        pw_ring_close(programs);
    return good;
}

static PwRingAnswer planner_failed(const PwPrograms *programs, PwError *error)
{
    char message[sizeof programs->ring->message];
    snprintf(message, sizeof message, "%.*s", (int)sizeof message - 1, programs->ring->message);
    pw_fail(error, "the planner failed: %s", message);
    if (programs->ring->status == PW_EXIT_INPUT) /* of the run's input, not of its machine */
        error->status = PW_EXIT_INPUT;
    return PW_RING_WRONG;
}

PwRingAnswer pw_ring_wait(PwPrograms *programs, int64_t step, const volatile int *stop,
                          PwError *error)
{
    PwRing *ring  = programs->ring;
    long    pause = 250000;
    if (step < ring->first_step) {
        pw_input(error, "%s: its programs begin with step %lld; step %lld is next", programs->path,
                 (long long)ring->first_step, (long long)step);
        return PW_RING_WRONG;
    }
    for (;;) {
        /* `finished` is read first: what was written before it was set is then seen. */
        int finished = atomic_load_explicit(&ring->finished, memory_order_acquire);
        if (step < atomic_load_explicit(&ring->written, memory_order_acquire))
            return PW_RING_READY;
        if (finished)
            return finished > 0 ? PW_RING_END : planner_failed(programs, error);
        if (*stop)
            return PW_RING_STOPPED;
        nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
        pause = pause < 10000000 ? 2 * pause : pause;
    }
}

/* Where steps are code, it must be this program's. */
static bool check_code(const PwJob *job, const PwSlot *slot, const char *name, PwError *error)
{
    if (slot->step >= job->nstep_code)
        return pw_input(error,
                        "%s: this trainer was built --as-code and holds the code of steps 0 to "
                        "%lld; build it with more --steps",
                        name, (long long)job->nstep_code - 1);
    return !memcmp(job->step_code[slot->step].hash, slot->hash, 64) ||
           pw_input(error,
                    "%s: the step's code was printed from another program; build the trainer and "
                    "its programs together",
                    name);
}

const PwProgram *pw_ring_program(const PwPrograms *programs, int64_t step, const PwJob *job,
                                 PwError *error)
{
    const PwSlot *slot = &slots(programs)[(uint64_t)step % programs->ring->slots];
    char          name[PW_PATH_MAX + 40], hash[65];
    snprintf(name, sizeof name, "%s: step %lld", programs->path, (long long)step);
    uint64_t end = readable_bytes(programs);
    if (slot->step != step || slot->offset > end || slot->offset % 64 ||
        slot->bytes > end - slot->offset) {
        pw_input(error, "%s: not where the ring says", name);
        return NULL;
    }
    const void *bytes = (const char *)programs->ring + slot->offset;
    pw_sha256(bytes, slot->bytes, hash);
    if (memcmp(hash, slot->hash, 64) != 0) {
        pw_input(error, "%s: the program is damaged: its SHA-256 is not what the ring says", name);
        return NULL;
    }
    if (!pw_program_check(bytes, slot->bytes, job, name, error))
        return NULL;
    const PwProgram *program = bytes;
    if (program->step == step && job->nstep_code > 0 && program->kind == PW_TRAIN &&
        !check_code(job, slot, name, error))
        return NULL;
    if (program->step == step)
        return program;
    pw_input(error, "%s: the program is step %lld's", name, (long long)program->step);
    return NULL;
}

int64_t pw_ring_forecast(const PwPrograms *programs, int rank)
{
    const PwRing *ring    = programs->ring;
    uint64_t      end     = readable_bytes(programs);
    int64_t       written = atomic_load_explicit(&ring->written, memory_order_acquire), most = 0;
    int64_t       first = written - (int64_t)ring->slots;
    for (int64_t step = first > ring->first_step ? first : ring->first_step; step < written;
         step++) {
        const PwSlot    *slot    = &slots(programs)[(uint64_t)step % ring->slots];
        const PwProgram *program = (const void *)((const char *)ring + slot->offset);
        uint64_t         head    = (uint64_t)(rank + 1) * sizeof(PwRank);
        if (slot->offset % 64 || slot->offset > end || end - slot->offset < sizeof *program ||
            rank >= program->nranks || program->ranks % 8 || program->ranks > end - slot->offset ||
            head > end - slot->offset - program->ranks)
            continue;
        if (pw_program_rank(program, rank)->arena_bytes > most)
            most = pw_program_rank(program, rank)->arena_bytes;
    }
    return most;
}

/* A finished ring keeps its programs; in it nobody waits for the counter, and it is left alone: the
 * file stays what its manifest says. */
void pw_ring_consume(PwPrograms *programs, int64_t step)
{
    if (!atomic_load_explicit(&programs->ring->finished, memory_order_acquire))
        atomic_store_explicit(&programs->ring->consumed, step + 1, memory_order_release);
}

void pw_ring_close(PwPrograms *programs)
{
    if (programs->ring)
        munmap(programs->ring, programs->bytes);
    if (programs->ring || programs->descriptor > 0)
        close(programs->descriptor);
    *programs = (PwPrograms){0};
}
