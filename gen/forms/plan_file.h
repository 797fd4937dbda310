/* plan_file: a file of plans, one after the other, each with its step: what `plan --json` prints of
 * several steps, and `--from` takes in place of a policy. */
#ifndef PIPEWRIGHT_PLAN_FILE_H
#define PIPEWRIGHT_PLAN_FILE_H

#include "gen/forms/plan.h"

typedef struct PlanFile PlanFile;

PlanFile *plan_file_open(Region *region, const char *path, Error *error);

/* An input error where a step of [first, past) has no plan, or the file is no file of plans. */
bool plan_file_has(PlanFile *file, int64_t first, int64_t past, Error *error);

/* The plan of one step; asking for steps as they stand in the file reads each plan once. */
Plan *plan_file_step(PlanFile *file, Region *region, int64_t step, int64_t layers, Error *error);

#endif
