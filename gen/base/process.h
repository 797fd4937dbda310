/* process: programs that are started and waited for, by argument lists; no shell is between. */
#ifndef PIPEWRIGHT_PROCESS_H
#define PIPEWRIGHT_PROCESS_H

#include <sys/types.h>

#include "gen/base/error.h"
#include "gen/base/text.h"

/* argv[0] is found by PATH. The exit status, 128 + the signal that ended it, or -1 (see error). */
int process_run(const char *const *argv, Error *error);

/* The same, its standard output added to `out`. */
int process_read(const char *const *argv, Text *out, Error *error);

/* Any status but 0 is an error: the user's where the program says so, with status EXIT_INPUT as our
 * own tools do. It has said why itself. */
bool process_must_run(const char *const *argv, Error *error);
bool process_must_read(const char *const *argv, Text *out, Error *error);

/* For a child that was just forked: from here on it gets `signal_number` when `parent` ends. False:
 * `parent` had already ended, and no signal will come. */
bool process_follow(pid_t parent, int signal_number);

/* What waitpid gives, as an exit status; and waiting for a child of our own. */
int process_status(int status);
int process_wait(pid_t child);

#endif
