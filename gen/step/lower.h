/* lower: what the two expands share: programs of all ranks while they are written, and how a call's
 * operands become buffers. A value is known by its name, the same on every rank: C2.L4.q of a
 * chunk, S2.L4.kv of a chain, L4.qkv.master of a weight. A rank that uses what another one makes
 * has a buffer of the same name that it only reads; communicate fills it. */
#ifndef PIPEWRIGHT_LOWER_H
#define PIPEWRIGHT_LOWER_H

#include <limits.h>

#include "gen/step/step_passes.h"

/* A rank's buffers by name. A value that is written again after its last use gets a new buffer,
 * with another place in the arena: `newest` is the one that its name now stands for. */
typedef struct RankWriter {
    RankProgram *rank;
    int          number;
    int64_t      instruction_room, buffer_room;
    int         *newest;  /* [buffer_room] by buffer that has the plain name               */
    bool        *written; /* [buffer_room]                                                 */
    int         *slots;   /* [nslots] hash of names to buffers, -1: free                   */
    int          nslots;
} RankWriter;

/* A tensor of the model: where it lives. */
typedef struct LoweredTensor {
    int         weight, layer, home;
    const char *static_name[NSTATICS]; /* of master, gradient, moments, at home            */
} LoweredTensor;

typedef struct Lowering {
    Region         *region;
    const Plan     *plan;  /* of a forward-only program: made for it                        */
    const Batch    *batch; /* NULL: generate                                               */
    const Model    *model;
    const Codelets *codelets;
    const Layout   *layout;
    int             real_bytes;
    Program        *program;
    RankWriter     *writers; /* [nranks]                                                   */
    LoweredTensor  *tensors; /* [ntensors]                                                 */
    int             ntensors;
    int64_t        *loss_row; /* [nchunks] of its first segment                            */
    int           **earlier, **later; /* [nchunks][nsegments] chunk of the chain, or -1    */
    Text            name;             /* the one that is being looked up                   */
} Lowering;

/* All ranks, with their static buffers and no instructions; rows of losses by chunk. */
Lowering *lowering_new(Region *region, PwProgramKind kind, const Plan *plan, const Batch *batch,
                       const Model *model, const Codelets *codelets, const Layout *layout);

/* Returns the instruction, to be filled in before the next one is added. */
Instruction *lower_instruction(Lowering *lowering, int rank, PwInstructionKind kind);
void         lower_mark(Lowering *lowering, int rank, int operation);
/* Loads a chunk's tokens for embed, or its targets and weights for head. */
void lower_load(Lowering *lowering, int rank, int chunk, bool for_head);
/* Fills a buffer of reals with zeros. */
void lower_clear(Lowering *lowering, int rank, int buffer);

/* lower_calls.c */
/* A codelet on a chunk in a layer (embed: -1, head: layers). */
void lower_call(Lowering *lowering, int rank, int chunk, int layer, int codelet);
/* An update of one tensor, or (tensor -1) of all. */
void lower_update(Lowering *lowering, int rank, int tensor, const char *codelet, int64_t count);

/* lower_buffers.c */
enum { LOADED_BYTES = 4 }; /* of a token, a target, a loss weight, a sampled token */
/* "C2.L4.q", or without a layer "C2.tokens"; stands until the next name is asked for. */
enum { NO_LAYER = INT_MIN };
const char *lower_name(Lowering *lowering, char letter, int number, int layer, const char *what);
/* The rank's buffer of that name (made where there is none), as its name now stands. */
int lower_buffer(Lowering *lowering, int rank, const char *name, int64_t rows, int64_t row_bytes);
/* The buffer that a write of the value goes to: a new one where it was written before. */
int lower_written_buffer(Lowering *lowering, int rank, const char *name, int64_t rows,
                         int64_t row_bytes);
/* The same as lower_buffer without making one: -1. */
int  lower_find(const Lowering *lowering, int rank, const char *name);
bool lower_is_written(const Lowering *lowering, int rank, int buffer);
void lower_set_written(Lowering *lowering, int rank, int buffer);
int  lower_add_buffer(Region *region, RankWriter *writer, const char *name, int64_t rows,
                      int64_t row_bytes);
/* All rows of a buffer. */
Operand lower_operand(const Lowering *lowering, int rank, int buffer, Access access);

/* Where rank adds up a weight's gradient: at home the static buffer, elsewhere (and for a tied
 * head, whose share is a sum of its own) "R1.L3.qkv.gradient". */
const char *lower_gradient_name(const Lowering *lowering, int rank, int weight, int layer);

#endif
