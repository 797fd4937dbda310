/* tune: codelets, lengths -> cost, measured.
 *   reads    the codelet table; the data set's lengths decide which points are measured
 *   writes   the list of points as `train --measure` reads it; from its answer a table of medians
 *   fails    the answer does not read
 *   stands   outside compile_job: its table is an input of later compilations, never of its own
 * Between the two halves the job's own trainer measures (runtime/measuring.c); cmd_tune.c builds
 * and starts it. */
#ifndef PIPEWRIGHT_TUNE_H
#define PIPEWRIGHT_TUNE_H

#include "gen/forms/cost.h"
#include "gen/forms/job.h"
#include "gen/forms/lengths.h"

typedef struct Tuning Tuning;

Tuning *tune_points(Region *region, const Job *job, const Codelets *codelets,
                    const Lengths *lengths);
void    tune_print(const Tuning *tuning, Text *out);
/* Which points, and which lengths they are for, as comments that people read. */
void tune_explain(const Tuning *tuning, const Lengths *lengths, Text *out);
/* Without a name: that is the machine's. */
Cost *tune_read(Tuning *tuning, const char *answer, Error *error);

#endif
