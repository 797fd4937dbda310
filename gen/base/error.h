/* error: three kinds. The user's input (exit status 2): error_at or error_input. A failure of the
 * run, such as a full disk (exit status 1): error_fail. A bug of ours: bug() aborts with its place.
 * Reporting and leaving are one statement: all of them return false. */
#ifndef PIPEWRIGHT_ERROR_H
#define PIPEWRIGHT_ERROR_H

#include <stdbool.h>

enum { EXIT_FAILED = 1, EXIT_INPUT = 2 };

typedef struct Error {
    char text[4000]; /* the whole message, without a newline at its end */
    int  status;     /* the exit status it stands for; 0: no error      */
} Error;

/* Where in a user's input. line 0: not known. */
typedef struct Place {
    const char *file;
    int         line;
} Place;

/* What is wrong with one field; what is NULL is left out of the message:
 *   longdocs.lua:14: cluster.memory: found "80 GB/s", expected a size in bytes; write it as "80
 * GiB" */
typedef struct Complaint {
    const char *field, *found, *expected, *remedy;
} Complaint;

bool error_complain(Error *error, Place place, Complaint complaint);
#define error_at(error, place, ...) error_complain(error, place, (Complaint){__VA_ARGS__})

bool error_input(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool error_fail(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it looks at one source at a time, and could not know */
#define error_complain(...) (error_complain(__VA_ARGS__), false)
#define error_input(...) (error_input(__VA_ARGS__), false)
#define error_fail(...) (error_fail(__VA_ARGS__), false)
#endif

_Noreturn void bug_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define bug(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
