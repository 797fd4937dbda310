/* states: the saved states of a run folder, held against their manifests (docs/ARTIFACT.md). */
#ifndef PIPEWRIGHT_STATES_H
#define PIPEWRIGHT_STATES_H

#include <stdbool.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* Reads every byte of all states of RUN, which may be at work: no trainer is asked and no lock
 * taken. Prints a line for each that holds; an input error names those that do not. A run without
 * states is well. */
bool states_verify(Region *region, const char *run, Error *error);

#endif
