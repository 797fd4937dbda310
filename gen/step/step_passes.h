/* step_passes: for every step, in their order: each a function from one form to the next that
 * changes nothing else. gen/compile.c calls them; none calls another. All allocate from `region`
 * and return NULL or false with `error` filled in. */
#ifndef PIPEWRIGHT_STEP_PASSES_H
#define PIPEWRIGHT_STEP_PASSES_H

#include "gen/forms/cost.h"
#include "gen/forms/job.h"
#include "gen/forms/program.h"

/* sample: gen/step/sample.h, a stateful walk (Sampler). */

/* The file of the job's policy: a shipped one's name, or what ends in .lua, seen from the job. */
const char *policy_file(Region *region, const Job *job, Error *error);
/* batch, layout, cost -> plan. `capacity_share` (1.0 at first) is what the driver lowers when
 * addresses cost more than the capacity allows: the policy sees capacity * share. */
Plan *decide(Region *region, const Job *job, const Model *model, const Codelets *codelets,
             const Layout *layout, const Cost *cost, const Batch *batch, double capacity_share,
             Error *error);

/* plan -> program without messages or addresses. */
Program *expand(Region *region, const Plan *plan, const Batch *batch, const Model *model,
                const Codelets *codelets, const Layout *layout, Error *error);

/* Forward-only programs: every sequence of the batch once, packed into chunks of `chunk` tokens,
 * over the layout's stages (PW_EVALUATE). */
Program *expand_evaluate(Region *region, const Batch *batch, int64_t chunk, const Model *model,
                         const Codelets *codelets, const Layout *layout, Error *error);
/* A prompt of so many tokens, then `tokens` new ones, one chunk each (PW_GENERATE). */
Program *expand_generate(Region *region, int64_t prompt, int64_t tokens, const Model *model,
                         const Codelets *codelets, const Layout *layout, Error *error);

/* Adds send, sent, receive, wait, and the global order. */
bool communicate(Program *program, const Codelets *codelets, Error *error);
/* Posts receives up to `ahead` operations earlier; moves `sent`s to where, by the cost table, they
 * do not wait. `cost` NULL: they stay. */
bool overlap(Program *program, const Codelets *codelets, const Cost *cost, int ahead, Error *error);
/* Adds addresses; the peak is known. Peak above capacity: error_input, program->ranks[].peak
 * set. */
bool allocate(Program *program, const Codelets *codelets, Error *error);
/* Proves all ranks together. `batch` may be NULL (a program from a file): then the sequences are
 * taken from the program's own loads. `layout` likewise: then static addresses are taken on
 * trust. */
bool prove(const Program *program, const Codelets *codelets, const Model *model,
           const Layout *layout, const Batch *batch, Error *error);

#endif
