/* process: see process.h. */
#include "gen/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int process_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILED;
    return process_status(status);
}

int process_run(const char *const *argv, Error *error)
{
    pid_t child;
    int   failed = posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (failed)
        return error_fail(error, "%s: cannot be started: %s", argv[0], strerror(failed)), -1;
    return process_wait(child);
}

int process_read(const char *const *argv, Text *out, Error *error)
{
    int                        ends[2];
    pid_t                      child;
    char                       bytes[4096];
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC))
        return error_fail(error, "%s: no pipe: %s", argv[0], strerror(errno)), -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int failed = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed)
        return close(ends[0]),
               error_fail(error, "%s: cannot be started: %s", argv[0], strerror(failed)), -1;
    for (ssize_t count; (count = read(ends[0], bytes, sizeof bytes)) != 0;)
        if (count > 0)
            text_bytes(out, bytes, (size_t)count);
        else if (errno != EINTR)
            break;
    close(ends[0]);
    return process_wait(child);
}

bool process_follow(pid_t parent, int signal_number)
{
    prctl(PR_SET_PDEATHSIG, signal_number);
    return getppid() == parent;
}

static bool must(const char *program, int status, Error *error)
{
    if (status <= 0)
        return status == 0;
    return (status == EXIT_INPUT ? error_input : error_fail)(
        error, "%s: ended with status %d; what it said stands above", program, status);
}

bool process_must_run(const char *const *argv, Error *error)
{
    return must(argv[0], process_run(argv, error), error);
}

bool process_must_read(const char *const *argv, Text *out, Error *error)
{
    return must(argv[0], process_read(argv, out, error), error);
}
