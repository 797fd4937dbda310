/* coming: what the leader found is told before the bytes are, so that all go the same way. */
#include "runtime/coming.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static int64_t end_of(const PwRing *ring)
{
    return atomic_load_explicit(&ring->finished, memory_order_acquire) > 0
               ? atomic_load_explicit(&ring->written, memory_order_acquire)
               : -1;
}

bool pw_coming_open(PwComing *coming, PwTransport *transport, const char *path, PwError *error)
{
    *coming = (PwComing){.transport = transport};
    if (pw_leads(transport) && !pw_ring_open(&coming->ring, path, error))
        return false;
    if (pw_leads(transport)) {
        coming->first = coming->ring.ring->first_step;
        coming->end   = end_of(coming->ring.ring);
    }
    pw_share(transport, 0, &coming->first, sizeof coming->first);
    pw_share(transport, 0, &coming->end, sizeof coming->end);
    return true;
}

/* The leader's part: waits, looks, checks. */
static PwRingAnswer look(PwComing *coming, int64_t step, const volatile int *stop, const PwJob *job,
                         const PwProgram **program, PwError *error)
{
    PwRingAnswer answer =
        coming->signal ? PW_RING_STOPPED : pw_ring_wait(&coming->ring, step, stop, error);
    if (answer == PW_RING_READY && !(*program = pw_ring_program(&coming->ring, step, job, error)))
        return PW_RING_WRONG;
    return answer;
}

/* The program's bytes, from the leader to the others; it has room for them where `program` is. */
static const PwProgram *pass_on(PwComing *coming, const PwProgram *program)
{
    uint64_t bytes = program ? program->bytes : 0;
    pw_share(coming->transport, 0, &bytes, sizeof bytes);
    if (!program && bytes > coming->room) {
        free(coming->bytes);
        coming->room  = bytes + bytes / 2;
        coming->bytes = aligned_alloc(PW_ALIGN, (size_t)pw_align((int64_t)coming->room));
        if (!coming->bytes)
            pw_die(PW_EXIT_FAILED, "no memory for a program of %lld bytes", (long long)bytes);
    }
    void *at = program ? (void *)(uintptr_t)program : coming->bytes;
    pw_share(coming->transport, 0, at, (int64_t)bytes);
    return at;
}

PwRingAnswer pw_coming_wait(PwComing *coming, int64_t step, const volatile int *stop,
                            const PwJob *job, const PwProgram **program, PwError *error)
{
    int32_t answer = PW_RING_WRONG;
    *program       = NULL;
    coming->signal = (int)pw_greatest(coming->transport, *stop);
    if (pw_leads(coming->transport))
        answer = (int32_t)look(coming, step, stop, job, program, error);
    pw_share(coming->transport, 0, &answer, sizeof answer);
    if (answer == PW_RING_WRONG)
        pw_share(coming->transport, 0, error, sizeof *error);
    if (answer == PW_RING_STOPPED && !coming->signal)
        coming->signal = *stop;
    if (answer == PW_RING_READY)
        *program = pass_on(coming, *program);
    return (PwRingAnswer)answer;
}

void pw_coming_forecast(const PwComing *coming, int64_t *bytes)
{
    PwTransport *transport = coming->transport;
    for (int rank = 0; rank < transport->nranks; rank++) {
        if (pw_leads(transport))
            bytes[rank] = pw_ring_forecast(&coming->ring, rank);
        pw_share(transport, 0, &bytes[rank], sizeof bytes[rank]);
    }
}

void pw_coming_done(PwComing *coming, int64_t step)
{
    if (pw_leads(coming->transport))
        pw_ring_consume(&coming->ring, step);
}

void pw_coming_close(PwComing *coming)
{
    pw_ring_close(&coming->ring);
    free(coming->bytes);
    *coming = (PwComing){0};
}
