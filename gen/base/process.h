/* process: programs that are started and waited for, by argument lists; no shell is between. */
#ifndef PIPEWRIGHT_PROCESS_H
#define PIPEWRIGHT_PROCESS_H

#include "gen/base/error.h"
#include "gen/base/text.h"

/* argv[0] is found by PATH. The exit status, 128 + the signal that ended it, or -1 (see error). */
int process_run(const char *const *argv, Error *error);

/* The same, its standard output added to `out`. */
int process_read(const char *const *argv, Text *out, Error *error);

#endif
