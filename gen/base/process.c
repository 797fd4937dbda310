/* process: see process.h. */
#include "gen/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_run(const char *const *argv, Error *error)
{
    pid_t child;
    int   failed = posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (failed)
        return error_fail(error, "%s: cannot be started: %s", argv[0], strerror(failed)), -1;
    return wait_for(child);
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
    return wait_for(child);
}
