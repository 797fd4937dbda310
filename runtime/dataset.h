/* dataset: which token set a run is on: the one that its programs were made for, to the byte. The
 * .idx and the .prompt are hashed at every start. The .bin may be large: it is only where neither
 * PREFIX.json, which `pipewright data` wrote, nor RUN/data.txt knows the hash of a file of this
 * size and time. RUN/data.txt has two lines: the prefix, from the root; size, time, hash. */
#ifndef PW_DATASET_H
#define PW_DATASET_H

#include "runtime/options.h"
#include "runtime/tokens.h"
#include "runtime/trainer.h"

/* The prefix that --data names, else, for evaluation, the one that RUN/data.txt does; "": none. */
bool pw_dataset_find(const PwOptions *options, char prefix[PW_PATH_MAX], PwError *error);

/* Refuses another token set than the job's. `tokens` gets the .bin's hash; training notes it in the
 * folder of the run, if this process `leads`. */
bool pw_dataset_check(const PwJob *job, const PwOptions *options, const char *prefix,
                      PwTokens *tokens, bool leads, PwError *error);

#endif
