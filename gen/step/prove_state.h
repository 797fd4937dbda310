/* prove_state: what the files of prove share; nobody else includes it.
 * A rank's memory is a list of extents of addresses, each of which holds rows of one thing. A thing
 * says what the bytes mean: "input of layer 3, sequence 2". It is only ever made by the right call
 * on the right things, so that what an address holds is known by induction. */
#ifndef PIPEWRIGHT_PROVE_STATE_H
#define PIPEWRIGHT_PROVE_STATE_H

#include "gen/step/step_passes.h"

typedef enum ThingKind {
    THING_TOKENS,   /* of a load: name "tokens", "targets" or "weights"; a row a token          */
    THING_VALUE,    /* of a layer; a row a token                                                */
    THING_GRADIENT, /* of a value; a row a token                                                */
    THING_KV,       /* keys and values of a sequence in a layer; a row a token                  */
    THING_DKV,      /* their gradients, with the shares of the queries [low, high)              */
    THING_WEIGHT,   /* a parameter; low: 0 before its update, 1 after                           */
    THING_MOMENT1,  /* likewise                                                                 */
    THING_MOMENT2,
    THING_SHARE,   /* gradient of a parameter, from some tokens: Prover.covers[low]            */
    THING_LOSS,    /* of the tokens [low, high) of a sequence                                  */
    THING_NORM,    /* of one parameter's gradient                                              */
    THING_CLIP,    /* factor and global norm                                                   */
    THING_TABLE,   /* a constant                                                               */
    THING_ZEROS,   /* of `clear`                                                               */
    THING_SCRATCH, /* what a call left in its scratch                                          */
} ThingKind;

/* Fields that a kind does not use are 0, so that equal things are equal bytes for bytes. */
typedef struct Thing {
    ThingKind kind;
    int       name;  /* number of a value's name; index of a parameter                       */
    int       layer; /* of the value or the parameter                                        */
    int       sequence;
    int64_t   low, high;
    int64_t   row_bytes; /* 0: it is one whole, without rows                                    */
} Thing;

/* Addresses [at, past) of a rank hold bytes of a thing whose row 0 lies, or would lie, at
 * `origin`. */
typedef struct Extent {
    int64_t at, past, origin;
    int     thing;
    int     writer; /* the instruction of this rank; -1: there before the program began         */
} Extent;

typedef struct Memory {
    Extent *extents; /* by address; none overlap                                                */
    int     count, room;
} Memory;

/* Tokens of the batch, counted through all its sequences: disjoint ranges, rising. */
typedef struct Cover {
    int64_t (*ranges)[2];
    int count, room;
} Cover;

/* Bytes that a message has: nobody may write them, and while it comes in nobody may read them. */
typedef struct Lock {
    int64_t at, past;
    int     instruction; /* its send or receive                                                 */
    bool    incoming;
} Lock;

/* A message: the k-th send of a pair of ranks and the k-th receive. */
typedef struct Entry {
    int  send, receive; /* instructions of the two ranks; -1: there is none                     */
    bool send_reached, receive_reached, done;
} Entry;

typedef struct Queue {
    Entry *entries;
    int    count, room;
    int    sends, receives, done; /* how many have one                                          */
} Queue;

typedef struct ProvenRank {
    Memory memory;
    Lock  *locks;
    int    nlocks, lock_room;
    int   *partner; /* [ninstructions] of a send its sent, of a wait its receive, and back      */
    int   *entry;   /* [ninstructions] number in its queue, of the four kinds of message        */
    int    at;      /* the next instruction                                                     */
} ProvenRank;

typedef struct Prover {
    const Program  *program;
    const Codelets *codelets;
    const Model    *model;
    const Layout   *layout;
    const Batch    *batch;
    Region         *region;
    Error          *error;
    int             nsequences;
    int64_t        *first_token; /* [nsequences + 1] where each sequence begins in a Cover      */
    int64_t        *documents;   /* [nsequences][2] document and start; -2: not seen yet        */
    const char    **names;       /* of values, numbered as they come                            */
    int             nnames, name_room;
    int           **operand_name; /* [codelet][operand] number of its name                      */
    Thing          *things;
    int             nthings, thing_room;
    int            *slots; /* open addressing: thing + 1, 0: free                               */
    int             nslots;
    Cover          *covers;
    int             ncovers, cover_room;
    int (*tensors)[2]; /* [ntensors] weight and layer, in the order of norms                    */
    int          ntensors;
    ProvenRank  *ranks;
    Queue       *queues; /* [from * nranks + to]                                                 */
    struct Span *spans;  /* of the call that is being proven                                     */
    int          span_room;
} Prover;

/* An instruction that is being proven. */
typedef struct Site {
    Prover            *prover;
    int                rank, number;
    const Instruction *instruction;
} Site;

/* prove_memory.c */
int  thing_of(Prover *prover, Thing thing); /* its number; equal things have one number */
int  name_of(Prover *prover, const char *name);
int  memory_find(const Memory *memory, int64_t at); /* first extent that ends behind `at` */
void memory_write(Prover *prover, Memory *memory, Extent extent);
void memory_copy(Prover *prover, const Memory *from, int64_t at, Memory *to, int64_t to_at,
                 int64_t bytes, int writer);
bool cover_add(Prover *prover, Cover *cover, int64_t first, int64_t past); /* false: twice */
bool cover_is(const Cover *cover, int64_t first, int64_t past);
int  share_new(Prover *prover, int weight, int layer); /* a thing of its own, from no token yet */
bool expect(Site site, const char *what, int thing, int64_t at, int64_t past, int64_t origin);
const char *found_at(Site site, int64_t at);
bool        expect_written(Site site, const char *what, int64_t at, int64_t past);
/* Weights, moments and tables are written by their update alone. */
bool may_write(Site site, const char *what, int64_t at, int64_t past);
bool may_touch(Site site, const char *what, int64_t at, int64_t past, bool writes);
bool operand_range(Site site, const char *what, const Operand *operand, int64_t *at, int64_t *past);
bool buffer_range(Site site, const char *what, int buffer, int64_t row, int64_t rows, int64_t *at,
                  int64_t *past);

/* prove_moves.c: load, add and clear; the sums that parameters' gradients are */
bool    prove_load(Site site);
bool    prove_add(Site site);
bool    prove_clear(Site site);
int64_t length_of(const Prover *prover, int sequence);
void    store_thing(Site site, int thing, int64_t at, int64_t past, int64_t origin);
Extent *share_at(const Prover *prover, int rank, int64_t at, int64_t past);
/* The sum that an add goes into: begun by the flag or by zeros, or going on. -1: refused. */
int open_share(Site site, const char *what, bool first, int weight, int layer, int64_t at,
               int64_t past);

/* prove_calls.c */
bool prove_call(Site site);
bool losses_complete(Site site, const char *what, int64_t at);

/* prove_messages.c */
bool        pair_messages(Prover *prover);
bool        order_respects_messages(Prover *prover);
bool        prove_message(Site site, bool *blocked);
const char *why_stuck(Site site);

/* prove_words.c */
bool refuse(Site site, const char *format, ...) __attribute__((format(printf, 2, 3)));
#ifdef __clang_analyzer__ /* as in error.h */
#define refuse(...) (refuse(__VA_ARGS__), false)
#endif
const char *in_words(Site site);
const char *thing_words(Prover *prover, int thing);
const char *extent_words(Prover *prover, const Extent *extent);
const char *rows_words(Prover *prover, int thing, int64_t at, int64_t past, int64_t origin);

#endif
