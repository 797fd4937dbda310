/* tune: codelets, lengths -> cost, measured on this machine by the job's own trainer.
 *   reads    the codelet table; the data set's lengths decide which points are measured
 *   writes   a cost table of medians
 *   fails    the trainer does not compile or does not answer
 *   stands   outside compile_job: its table is an input of later compilations, never of its own */
#ifndef PIPEWRIGHT_TUNE_H
#define PIPEWRIGHT_TUNE_H

#include "gen/compile.h"

Cost *tune(Compilation *job, Error *error);

#endif
