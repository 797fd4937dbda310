/* error: messages are made here, printed only by the command line. */
#include "gen/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef error_complain
#undef error_input
#undef error_fail

enum { LONGEST_FOUND = 200 };

__attribute__((format(printf, 2, 3))) static void append(Error *error, const char *format, ...)
{
    size_t  length = strlen(error->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text + length, sizeof error->text - length, format, arguments);
    va_end(arguments);
}

/* What a user wrote may hold anything: control bytes would disturb the terminal. */
static void append_found(Error *error, const char *found)
{
    append(error, "\"");
    for (int i = 0; found[i] && i < LONGEST_FOUND; i++) {
        unsigned char byte = (unsigned char)found[i];
        append(error, byte < 32 || byte == 127 ? "\\x%02x" : "%c", byte);
    }
    append(error, strlen(found) > LONGEST_FOUND ? "...\"" : "\"");
}

bool error_complain(Error *error, Place place, Complaint complaint)
{
    *error = (Error){.status = EXIT_INPUT};
    if (place.file)
        append(error, place.line > 0 ? "%s:%d: " : "%s: ", place.file, place.line);
    if (complaint.field)
        append(error, "%s: ", complaint.field);
    if (complaint.found) {
        append(error, "found ");
        append_found(error, complaint.found);
    }
    if (complaint.expected)
        append(error, "%sexpected %s", complaint.found ? ", " : "", complaint.expected);
    if (complaint.remedy)
        append(error, "%s%s", complaint.found || complaint.expected ? "; " : "", complaint.remedy);
    return false;
}

static bool report(Error *error, int status, const char *format, va_list arguments)
{
    char text[sizeof error->text]; /* an argument may be the old message */
    vsnprintf(text, sizeof text, format, arguments);
    memcpy(error->text, text, sizeof text);
    error->status = status;
    return false;
}

bool error_input(Error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(error, EXIT_INPUT, format, arguments);
    va_end(arguments);
    return false;
}

bool error_fail(Error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(error, EXIT_FAILED, format, arguments);
    va_end(arguments);
    return false;
}

void bug_at(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "pipewright: %s:%d: a bug of ours: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}
