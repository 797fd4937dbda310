/* emit_program: a step's program as C that people read and a compiler takes, in place of the walk
 * over its instructions: one call an instruction, every address a literal. Its words are those of
 * runtime/step_code.h. */
#ifndef PIPEWRIGHT_EMIT_PROGRAM_H
#define PIPEWRIGHT_EMIT_PROGRAM_H

#include "gen/forms/codelets.h"
#include "gen/forms/program.h"

/* code/step_T.c. `stored` is a stored program of that job: what the executor would walk. */
void emit_program(const PwProgram *stored, const Codelets *codelets, const Model *model, Text *out);

/* code/steps.c: the steps from 0 on, each with the hash of its program (hashes: [nsteps]). */
void emit_program_table(const char *const *hashes, int64_t nsteps, int nranks, Text *out);

#endif
