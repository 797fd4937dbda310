/* first_weights: the Hugging Face folder that a job starts from. The trainer reads it, hours after
 * the job was written perhaps and on another machine; what is wrong with it is said before. */
#ifndef PIPEWRIGHT_FIRST_WEIGHTS_H
#define PIPEWRIGHT_FIRST_WEIGHTS_H

#include "gen/forms/job.h"

/* As seen from here; NULL: the job starts from its seed. */
const char *first_weights_folder(Region *region, const Job *job);

/* It holds the job's model: the shape in its config.json, and each tensor's name, shape and type in
 * the headers of its safetensors files. The values are not read. */
bool first_weights_check(Region *region, const Job *job, Error *error);

#endif
