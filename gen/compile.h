/* compile: both lists of passes, in order. Read this first.
 *
 *   once per job     parse -> differentiate -> fuse -> (tune before, or profile) -> place -> emit
 *   for every step   sample -> decide -> expand -> communicate -> overlap -> allocate -> prove
 *
 * pack asks for emit, when there is a folder to print to. The driver checks and times after each
 * pass; none calls another. Where addresses cost more than the capacity allows it repeats decide to
 * allocate, at most TRIES times: first without early receives, then with a policy that is shown
 * less capacity; the plan notes the tries. */
#ifndef PIPEWRIGHT_COMPILE_H
#define PIPEWRIGHT_COMPILE_H

#include "gen/data/documents.h"
#include "gen/forms/plan_file.h"
#include "gen/job/job_passes.h"
#include "gen/step/sample.h"
#include "gen/step/step_passes.h"

/* What is made once per job; everything is in `region`. */
typedef struct Compilation {
    Region     *region;
    Job        *job;
    Model      *model; /* the job's */
    Codelets   *codelets;
    Cost       *cost;
    Layout     *layout;
    Lengths    *lengths;
    Sampler    *sampler;
    const char *prefix;      /* of the token set; NULL where only lengths are known              */
    const char *data_hash;   /* of the token set's .idx, or of the lengths; "" before either     */
    const char *prompt_hash; /* of its .prompt; "" where there is none                          */
    const char *cost_path;   /* the measured table that was used, or NULL: the shipped profile   */
    const char *plan_path; /* --from: a file of plans in place of the policy, or NULL            */
    PlanFile   *plans;     /* opened                                                           */
} Compilation;

typedef enum PassId {
    SAMPLE,
    DECIDE,
    EXPAND,
    COMMUNICATE,
    OVERLAP,
    ALLOCATE,
    PROVE,
    SIMULATE,
    NPASSES
} PassId;

/* What is made for one step; everything is in `region`. */
typedef struct Step {
    Region  *region;
    int64_t  number; /* counts from 0                                                           */
    int      try;    /* of decide to allocate                                                   */
    Batch   *batch;
    Plan    *plan;
    Program *program;
    double   seconds[NPASSES]; /* of each pass                                                  */
    double   clock;            /* when the last of them ended                                  */
} Step;

/* The passes of a step, in order. */
typedef struct StepPass {
    const char *name;
    bool (*run)(const Compilation *job, Step *step, Error *error);
} StepPass;
extern const StepPass step_passes[NPASSES];

/* Runs the passes of a job. `needs_data`: false lets `show --form job|model|codelets` work before
 * `pipewright data`; lengths, sampler are NULL then. */
bool compile_job(Region *region, const char *path, const char *const *sets, bool needs_data,
                 Compilation *out, Error *error);

/* Where `tune` keeps a job's cost table: JOB.cost.json beside the job. */
char *cost_path(Region *region, const Job *job);

/* From now on a file of plans stands in for the policy; NULL: it does not. */
bool compile_from(Compilation *job, const char *path, Error *error);

/* Runs the passes of step `number` (counts from 0). Steps may be asked for in any order; rising is
 * fast. The step's forms are in a region of its own: free it with region_free(step.region). */
bool compile_step(Compilation *job, int64_t number, Step *out, Error *error);

/* Only its first passes, once each, up to and with `last`: what that one leaves. */
bool compile_until(const Compilation *job, int64_t number, PassId last, Step *out, Error *error);

/* The passes decide to allocate for the step's batch, within the layout's capacities, at most four
 * times. False with a program: it takes more than they are. */
bool compile_lower(const Compilation *job, Step *step, Error *error);

/* A forward-only program goes through the same passes from communicate on: up to addresses (false
 * with a peak: it takes more than the layout's capacities), then from the proof on. `batch` may be
 * NULL. */
bool compile_lower_forward(const Compilation *job, Program *program, Error *error);
bool compile_end_forward(const Compilation *job, Program *program, const Batch *batch,
                         Error *error);

#endif
