/* operations: the entries of templates/kernels.def as differentiate, fuse and emit read them. */
#ifndef PIPEWRIGHT_OPERATIONS_H
#define PIPEWRIGHT_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/base/region.h"

/* The calls that compute one model operation; the notation of a call is told in kernels.def. What
 * an operation lacks is NULL. */
typedef struct Operation {
    const char *name, *inputs, *outputs;
    const char *forward, *rebuild, *dx, *dw, *passes, *sample;
} Operation;

/* A call that stands for no operation of the model: it is a codelet by itself. */
typedef struct Update {
    const char *codelet, *call;
} Update;

/* `kernel`'s argument number `argument`, NULL until then, takes in the call of `taken`. */
typedef struct Fusion {
    const char *kernel;
    int         argument;
    const char *taken;
} Fusion;

typedef struct KernelShape {
    int64_t out, in, width, heads, head_dim, vocabulary, real_bytes;
} KernelShape;

typedef struct KernelWork {
    double  flops_per_token, flops_per_pair;
    int64_t token_scratch, most_tokens, fixed_scratch; /* as CodeletRoom */
} KernelWork;

extern const Operation operations[];
extern const int       noperations;
extern const Update    updates[];
extern const int       nupdates;
extern const Fusion    fusions[];
extern const int       nfusions;

const Operation *operation_named(const char *name); /* NULL: none                               */
KernelWork       kernel_work(const char *kernel, KernelShape shape);
bool             kernel_exists(const char *kernel); /* has a template                           */

/* One argument of a call. */
typedef enum Mark {
    MARK_NONE  = 0, /* passed on */
    MARK_READ  = '<',
    MARK_WRITE = '=',
    MARK_ADD   = '+',
} Mark;

typedef struct Argument {
    Mark        mark;
    const char *name;
    bool        by_segment; /* not passed: found through the call's segments */
} Argument;

enum { CALL_MAX_ARGUMENTS = 20 };

typedef struct KernelCall {
    const char *kernel;
    Argument    arguments[CALL_MAX_ARGUMENTS];
    int         narguments;
} KernelCall;

KernelCall kernel_call(Region *region, const char *text);

/* The i-th word of a list of names, or the index of a word in it. */
const char *word_at(Region *region, const char *words, int index); /* NULL: fewer words         */
int         word_find(const char *words, const char *word);        /* -1: none                  */

#endif
