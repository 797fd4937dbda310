/* ahead: see ahead.h. */
#include "gen/ahead.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "gen/base/process.h"
#include "gen/ring_writer.h"

/* The trainer prints the message, and both end with the error's status. */
static int fail_ring(RingWriter *writer, const Error *error)
{
    Error ignored;
    ring_finish(writer, error, &ignored);
    return error->status;
}

int ahead_run(Compilation *job, const char *ring_path, int64_t first, int64_t steps, pid_t parent)
{
    Error error = {0};
    if (!process_follow(parent, SIGTERM))
        return EXIT_FAILED;
    signal(SIGINT, SIG_IGN);          /* Ctrl-C is the trainer's: it saves and stops */
    signal(SIGPIPE, SIG_IGN);         /* what a policy prints may find no reader */
    setpriority(PRIO_PROCESS, 0, 10); /* training comes first */
    RingWriter *writer = ring_open(job->region, ring_path, &error);
    if (!writer)
        return fprintf(stderr, "%s\n", error.text), EXIT_FAILED;
    for (int64_t number = first; number < steps; number++) {
        Step step;
        if (!compile_step(job, number, &step, &error))
            return fail_ring(writer, &error);
        Text stored = text_new(step.region);
        program_store(step.program, job->codelets, &stored);
        bool good = ring_append(writer, stored.at, stored.length, true, &error);
        region_free(step.region);
        if (!good)
            return fail_ring(writer, &error);
    }
    return ring_finish(writer, NULL, &error) ? 0 : error.status;
}
