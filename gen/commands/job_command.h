/* job_command: what commands that take a job, a run or an artifact have in common. */
#ifndef PIPEWRIGHT_JOB_COMMAND_H
#define PIPEWRIGHT_JOB_COMMAND_H

#include "gen/commands/command.h"
#include "gen/compile.h"

/* Compiles the job of words[0] once; see compile_job. */
bool open_job(const Arguments *arguments, bool needs_data, Compilation *job, Error *error);

/* --step is one of the job's. */
bool check_step(const Job *job, int64_t step, Error *error);

bool is_artifact(Region *region, const char *folder); /* a folder with our manifest.json */
/* The artifact meant by a word: RUN/trainer where it is a run folder, else the word itself. */
const char *artifact_of(Region *region, const char *word);

/* The artifact that a run folder was trained with: RUN/trainer. */
const char *run_artifact(Region *region, const char *run, Error *error);
/* The compilation of the job that an artifact was built from (inputs/job.lua): its forms as stored,
 * not made anew. */
bool open_artifact(Region *region, const char *folder, Compilation *job, Error *error);

#endif
