/* sandbox: the parent's side: forks the child, listens to its pipe, says what became of it.
 *   reads    the child's frames
 *   writes   the answer, the files that were included
 *   fails    the script is wrong, or used up a budget: its file and line
 *   stands   under parse (jobs) and decide (policies)
 * The child tells everything in frames. When a budget is used up it says so and ends at once, so no
 * pcall, finalizer or handler of a script can go on. What no count sees (one C function that runs
 * for long) is ended by the limit on processor time; the last line that was counted stands in
 * shared memory. The attacks that it holds against: tests/unit/test_sandbox.c. */
#include "gen/host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/host/sandbox_child.h"

enum { INCLUDED_NAME = 65 }; /* where it begins in its frame: behind a hash and a blank */

typedef struct Listener {
    Region        *region;
    SandboxResult *result;
    int            room; /* of result->included */
    bool           answered, failed;
    Error         *error;
} Listener;

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool report(Listener *listener, const char *bytes, size_t length)
{
    json_t *complaint = json_loadb(bytes, length, 0, NULL);
    Place   place     = {.file = text_of(complaint, "file"),
                         .line = (int)json_integer_value(json_object_get(complaint, "line"))};
    listener->failed  = true;
    if (text_of(complaint, "text"))
        error_input(listener->error, "%s", text_of(complaint, "text"));
    else
        error_at(listener->error, place, .field = text_of(complaint, "field"),
                 .found = text_of(complaint, "found"), .expected = text_of(complaint, "expected"),
                 .remedy = text_of(complaint, "remedy"));
    json_decref(complaint);
    return false;
}

static bool take_frame(Listener *listener, FrameKind kind, const char *bytes, size_t length)
{
    SandboxResult *result = listener->result;
    switch (kind) {
    case FRAME_PRINT:
        fprintf(stderr, "%.*s\n", (int)length, bytes);
        return true;
    case FRAME_INCLUDE: {
        if (length <= INCLUDED_NAME)
            return false; /* the child is broken */
        SandboxFile file = {.hash = region_format(listener->region, "%.64s", bytes),
                            .name = region_copy(listener->region, bytes + INCLUDED_NAME)};
        REGION_APPEND(listener->region, result->included, result->nincluded, listener->room, file);
        return true;
    }
    case FRAME_ANSWER:
        result->answer = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        listener->answered = result->answer != NULL;
        return true;
    case FRAME_USED_UP:
        result->used_up = true;
        return report(listener, bytes, length);
    default:
        return report(listener, bytes, length);
    }
}

/* Until the child has said all; memory of one frame at a time. */
static void listen_to(Listener *listener, int pipe)
{
    FrameKind kind;
    size_t    length;
    bool      more = true;
    while (more) {
        char *bytes = frame_read(pipe, &kind, &length);
        more        = bytes && take_frame(listener, kind, bytes, length);
        free(bytes);
    }
}

/* Of processor time, which the kernel counts. */
static bool ended_by_time(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGXCPU);
}

/* SIGKILL: the kernel's, for time where the first signal did not do, or for memory. A region that
 * gets no memory leaves with the status. */
static bool ended_by_limit(int status)
{
    return ended_by_time(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
           (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED);
}

/* The child ended without an answer and without an error: something killed it. */
static bool report_killed(const Whereabouts *place, int status, Error *error)
{
    bool        time = ended_by_time(status);
    const char *why = time ? "the script takes too much processor time; does a loop, or the search "
                             "for a pattern, never end?"
                           : "the script takes too much memory, or broke its process";
    if (place->line > 0)
        return error_input(error, "%s:%d: %s", place->source, place->line, why);
    return error_input(error, "%s", why);
}

bool sandbox_run(Region *region, const Sandbox *sandbox, SandboxResult *result, Error *error)
{
    int ends[2];
    *result = (SandboxResult){0};
    Whereabouts *place =
        mmap(NULL, sizeof *place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
        return error_fail(error, "cannot start a script: %s", strerror(errno));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_fail(error, "cannot start a script: %s", strerror(errno));
        munmap(place, sizeof *place);
        return false;
    }
    pid_t child = fork();
    if (child == 0)
        child_live(sandbox, ends[1], place);
    close(ends[1]);
    Listener listener = {.region = region, .result = result, .error = error};
    int      status   = 0;
    if (child > 0) {
        listen_to(&listener, ends[0]);
        close(ends[0]); /* a child that still writes ends by SIGPIPE */
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    } else {
        close(ends[0]);
        error_fail(error, "cannot start a script: %s", strerror(errno));
        listener.failed = true;
    }
    if (!listener.answered && !listener.failed) {
        result->used_up = ended_by_limit(status);
        report_killed(place, status, error);
    }
    munmap(place, sizeof *place);
    return listener.answered;
}
