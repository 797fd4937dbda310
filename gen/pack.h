/* pack: code and programs -> the artifact, a folder that runs by itself.
 *
 *   trainer/
 *     manifest.json     SHA-256 of every input and every file; docs/ARTIFACT.md
 *     build             compiles it; needs sh and a C compiler
 *     README            how to run it
 *     code/             made for the job: shapes.h codelets.h codelets.c job.c; as code, a
 *                       step_T.c a step and steps.c
 *     main.c runtime/ templates/   the trainer's sources, copied
 *     first_weights/    a Hugging Face folder to start from, where the job says so
 *     inputs/           job.lua job.json model.txt codelets.txt layout.txt cost.json lengths.json
 *                       policy.lua, or plan.json where plans stand in for it
 *     programs.pw       the programs of the steps (program_format.h)
 *     evaluate.pw       forward-only programs over the held-out documents; absent if there are none
 *     train built       after `build`: the trainer, and its SHA-256
 *     transport_mpi.so transport_mpi.built   after `build --mpi`
 *
 * The same inputs give the same bytes: no time, no path, no user. The folder is written beside its
 * place and renamed. */
#ifndef PIPEWRIGHT_PACK_H
#define PIPEWRIGHT_PACK_H

#include "gen/compile.h"

typedef struct PackOptions {
    int64_t steps;     /* programs to store; 0: a live ring for a planner process                */
    bool    quiet;     /* no progress                                                            */
    bool    compile;   /* run its build script                                                   */
    bool    as_code;   /* the programs also as C, which the trainer runs in their place          */
    bool    code_only; /* neither programs nor evaluation: for tune                             */
    bool    reuse;     /* an artifact there that is the same stays as it is                     */
    /* Asked before the new artifact takes its place; false: the old one stays. May be NULL. */
    bool (*accept)(void *context, const char *folder, Error *error);
    void *context;
} PackOptions;

bool pack(Compilation *job, const char *folder, PackOptions options, Error *error);

#endif
