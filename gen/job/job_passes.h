/* job_passes: once per job, in their order: parse (gen/forms/job.h), differentiate, fuse, profile
 * or tune (tune.h), place, emit. gen/compile.c calls them, pack the last; none calls another. */
#ifndef PIPEWRIGHT_JOB_PASSES_H
#define PIPEWRIGHT_JOB_PASSES_H

#include "gen/forms/cost.h"
#include "gen/forms/job.h"
#include "gen/forms/layout.h"
#include "gen/forms/lengths.h"

/* model -> codelet table. `real_bytes`: 4, or 8 for the double build of the tests. */
Codelets *differentiate(Region *region, const Model *model, int real_bytes, Error *error);
bool      fuse(Region *region, Codelets *codelets, const Model *model, Error *error);

/* job, cost, lengths -> layout: stages divided by cost where the job leaves it open, homes, static
 * map. `lengths`: NULL before there are any. */
Layout *place(Region *region, const Job *job, const Model *model, const Codelets *codelets,
              const Cost *cost, const Lengths *lengths, Error *error);

/* The shipped profile of the device (lua/machines/NAME.lua), as a cost table for these codelets. */
Cost *cost_profile(Region *region, const char *device, const Codelets *codelets, const Model *model,
                   Error *error);

/* What emit prints: text of each file of the artifact's code/ folder. */
typedef struct EmittedFile {
    const char *name; /* "shapes.h", "codelets.c", "codelets.h", "job.c"                       */
    const char *text;
} EmittedFile;
typedef struct Emitted {
    EmittedFile files[4];
    int         nfiles;
} Emitted;
/* What job.c says of its origin; 64 hexadecimal digits, or "". */
typedef struct JobHashes {
    const char *job;
    const char *data, *tokens, *prompts; /* of the token set's .idx, .bin, .prompt              */
    const char *policy;                  /* of the policy's file, or of the plans in its place  */
} JobHashes;
/* The code_hash that it prints is of the files themselves and of the policy. `nstep_code`: steps
 * whose programs are printed beside (gen/step/emit_program.h). */
bool emit(Region *region, const Job *job, const Model *model, const Codelets *codelets,
          const Layout *layout, JobHashes hashes, int64_t nstep_code, Emitted *out, Error *error);

#endif
