/* walk: what the names in kernels.def stand for in a model's operations, their gradients included.
 * differentiate makes codelets of it. */
#ifndef PIPEWRIGHT_WALK_H
#define PIPEWRIGHT_WALK_H

#include "gen/forms/codelets.h"
#include "gen/forms/operations.h"

typedef enum SymbolKind {
    SYMBOL_NONE, /* no gradient yet */
    SYMBOL_VALUE,
    SYMBOL_GRADIENT, /* of a value */
    SYMBOL_WEIGHT,
    SYMBOL_DWEIGHT,
    SYMBOL_SPECIAL
} SymbolKind;

/* What a formal name of kernels.def stands for in one operation of the model. */
typedef struct Symbol {
    SymbolKind kind;
    int        index; /* in values, weights or specials */
    int        shift; /* as CodeletOperand.shift        */
} Symbol;

/* What is neither a value nor a weight of the model. */
typedef struct Special {
    const char *name;
    Role        role;
    Rows        rows;
    int64_t     columns;       /* 0: the call's count                    */
    int         element_bytes; /* 0: those of a real                     */
} Special;

enum { NSPECIALS = 14 };

/* An operation of the model with the names of its gradients. */
typedef struct Bound {
    const ModelOperation *operation;
    const Operation      *entry;
    Symbol                d_outputs[MODEL_MAX_OPERANDS];
    Symbol                d_inputs[MODEL_MAX_OPERANDS];
    Symbol                sum; /* what was there of the gradient that dx writes */
} Bound;

typedef struct Walk {
    Region      *region;
    const Model *model;
    int          real_bytes;
    int          input; /* the value "input": the border between layers */
    Bound       *bound; /* [model->noperations]                         */
    Special      specials[NSPECIALS];
} Walk;

/* False: the model has an operation that kernels.def lacks or uses otherwise, or a gradient that
 * would need a kernel of its own to be added up. */
bool walk_make(Region *region, const Model *model, int real_bytes, Walk *walk, Error *error);

Symbol walk_resolve(const Walk *walk, const Bound *bound, const char *name);
int    walk_special(const char *name); /* index in Walk.specials; -1: none */

/* Whether the forward or backward of another part, or this part's dw, reads it. */
bool walk_reads_outside(const Walk *walk, Part part, Symbol symbol);
bool walk_reads_in_dw(const Walk *walk, Part part, Symbol symbol);

/* The operation of this part that writes the value; NULL: none. */
const Bound *walk_maker(const Walk *walk, int value, Part part);

/* Cheap to make again: its operation has a call for it, of which it is the first output. */
bool walk_can_rebuild(const Walk *walk, int value, Part part);

/* Whether a forward at this level leaves the value of its own part for the part's backward. */
bool walk_keeps(const Walk *walk, int value, Part part, Level level);

#endif
