/* mutate: damages a program in one place. */
#ifndef PIPEWRIGHT_MUTATE_H
#define PIPEWRIGHT_MUTATE_H

#include "gen/forms/program.h"

typedef struct Mutation {
    Program        *program; /* a copy, damaged                                                 */
    const Codelets *codelets;
    const Model    *model;
    uint64_t        random;
} Mutation;

/* Returns false where the program has no place for this kind of damage. */
typedef struct MutationKind {
    const char *name;
    bool (*damage)(Mutation *mutation);
} MutationKind;
extern const MutationKind mutation_kinds[];
extern const int          mutation_kinds_count;

/* A copy with one damage of this kind, its global order made anew, so that it is not the order that
 * tells. NULL: the program has no place for it. */
Program *mutant(Region *region, const Program *program, const Codelets *codelets,
                const Model *model, int kind, uint64_t seed);

/* Gives a program a global order that respects its messages, as far as it gets. */
void order_instructions(Program *program);

#endif
