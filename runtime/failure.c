/* failure: messages for people, and the way out. */
#include "runtime/failure.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#undef pw_input
#undef pw_fail

enum { PATIENCE = 10, PATIENCE_MAX = 60 }; /* seconds */

static void (*abort_others)(int status);
static int my_rank;

static void say(PwError *error, int status, const char *format, va_list arguments)
{
    vsnprintf(error->text, sizeof error->text, format, arguments);
    error->status = status;
}

bool pw_input(PwError *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(error, PW_EXIT_INPUT, format, arguments);
    va_end(arguments);
    return false;
}

bool pw_fail(PwError *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(error, PW_EXIT_FAILED, format, arguments);
    va_end(arguments);
    return false;
}

void pw_die_together(int rank, void (*abort)(int status))
{
    my_rank      = rank;
    abort_others = abort;
}

/* A launcher on a busy machine takes seconds to end the others. SIGTERM is how it begins. */
static void let_lower_ranks_speak(void)
{
    int seconds = my_rank * PATIENCE < PATIENCE_MAX ? my_rank * PATIENCE : PATIENCE_MAX;
    signal(SIGTERM, SIG_DFL);
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
}

/* A launcher that is told to end all ranks may do so before it reads what one of them said. */
static void let_launcher_read(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
}

/* _exit, because the other ranks still run: exit handlers would pull the arenas from under them. */
void pw_die(int status, const char *format, ...)
{
    PwError error;
    va_list arguments;
    va_start(arguments, format);
    say(&error, status, format, arguments);
    va_end(arguments);
    if (abort_others)
        let_lower_ranks_speak();
    fflush(stdout);
    fprintf(stderr, "%s\n", error.text);
    fflush(stderr);
    if (abort_others) {
        let_launcher_read();
        abort_others(status);
    }
    _exit(status);
}
