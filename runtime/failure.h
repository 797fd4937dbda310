/* failure: how the runtime says that something is wrong. The user's input (exit status 2):
 * pw_input. A failure of the run, such as a full disk (exit status 1): pw_fail. Both return false,
 * so that reporting and leaving are one statement. Inside a step nobody can go back: pw_die ends
 * all ranks. */
#ifndef PW_FAILURE_H
#define PW_FAILURE_H

#include <stdbool.h>

enum { PW_EXIT_FAILED = 1, PW_EXIT_INPUT = 2, PW_PATH_MAX = 4096 };

typedef struct PwError {
    char text[6000]; /* the whole message, without a newline at its end                        */
    int  status;     /* the exit status it stands for; 0: no error                             */
} PwError;

bool pw_input(PwError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool pw_fail(PwError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it looks at one source at a time, and could not know */
#define pw_input(...) (pw_input(__VA_ARGS__), false)
#define pw_fail(...) (pw_fail(__VA_ARGS__), false)
#endif

/* From now on pw_die ends other processes too, with `abort`. Of several ranks that fail at once the
 * lowest speaks: a rank waits, the longer the higher it is, and is ended meanwhile. */
void pw_die_together(int rank, void (*abort)(int status));

_Noreturn void pw_die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
