/* compiled_codelets: a job's codelets, emitted, compiled with the kernels and loaded; an arena of
 * named buffers; calls whose operands are bound by name as expand binds them. For tests that run
 * codelets without a program. */
#ifndef PIPEWRIGHT_COMPILED_CODELETS_H
#define PIPEWRIGHT_COMPILED_CODELETS_H

#include "gen/job/job_passes.h"
#include "runtime/kernel.h"

enum { RUN_SEGMENTS = 8 };

/* Some tokens of some sequences. */
typedef struct RunChunk {
    int number, nsegments;
    struct {
        int sequence, start, tokens, length; /* length: of the sequence */
    } segments[RUN_SEGMENTS];
} RunChunk;

typedef struct RunBuffer {
    const char *key; /* "C0.L1.q", "S2.L1.kv", "L1.qkv.gradient" */
    int64_t     offset, bytes;
} RunBuffer;

typedef struct CodeletRun {
    Region         *region;
    const Model    *model;
    const Codelets *codelets;
    int             real_bytes;
    void           *library; /* of dlopen */
    unsigned char  *arena;
    int64_t         taken;
    RunBuffer      *buffers;
    int             nbuffers, buffer_room;
    PwStepNumbers   step;
} CodeletRun;

typedef struct Compiling {
    int         real_bytes;
    bool        kernels; /* compiled too; without them nothing can be called */
    const char *source;  /* the project's folder                             */
} Compiling;

/* Compiles emitted files and loads them, as dlopen does; ends the process where that fails. */
void *compile_and_load(Region *region, const Emitted *files, Compiling how);

/* Compiles a job's codelets; ends the process with a message where that fails. `source` is the
 * project's folder. */
CodeletRun *codelet_run_new(Region *region, const Model *model, const Codelets *codelets,
                            int real_bytes, const char *source);
void        codelet_run_free(CodeletRun *run);

PwCodelet codelet_run_function(const CodeletRun *run, const Codelet *codelet);
/* Zeroed when it is met for the first time. */
void *codelet_run_buffer(CodeletRun *run, const char *key, int64_t bytes);
/* The values, or the gradient, of a weight; a tied one's values are those that it shares. */
void *codelet_run_weight(CodeletRun *run, int weight, int layer, bool gradient);

typedef struct RunCall {
    const char *codelet;
    int         layer;
    int         flags;         /* PW_CALL_*    */
    int         segment_flags; /* PW_SEGMENT_* */
} RunCall;
void codelet_run_call(CodeletRun *run, const RunChunk *chunk, RunCall call);

double codelet_run_real(const CodeletRun *run, const void *reals, int64_t index);
void   codelet_run_set(const CodeletRun *run, void *reals, int64_t index, double value);

#endif
