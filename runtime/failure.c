/* failure: messages for people, and the way out. */
#include "runtime/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#undef pw_input
#undef pw_fail

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

/* _exit, because the other ranks still run: exit handlers would pull the arenas from under them. */
void pw_die(int status, const char *format, ...)
{
    PwError error;
    va_list arguments;
    va_start(arguments, format);
    say(&error, status, format, arguments);
    va_end(arguments);
    fflush(stdout);
    fprintf(stderr, "%s\n", error.text);
    fflush(stderr);
    _exit(status);
}
