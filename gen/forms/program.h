/* program: for each rank a flat list of instructions; what is proven, stored and run.
 *   made by    expand, communicate, overlap, allocate;  read by prove, simulate, pack, the runtime
 *   printed    as a listing, which reads back; stored in the binary form of program_format.h */
#ifndef PIPEWRIGHT_PROGRAM_H
#define PIPEWRIGHT_PROGRAM_H

#include "gen/forms/plan.h"
#include "runtime/program_format.h"

extern const char *const instruction_names[PW_NINSTRUCTIONS]; /* "load", "call", ...           */
extern const char *const program_kind_names[];                /* "train", "evaluate", ...      */

/* Rows of a buffer that live and die together: keys and values of chunk j, from Fj to Bj. Rows that
 * are written anew after their last use have a part for each life. */
typedef struct BufferPart {
    int64_t row, rows;
    int     first; /* the instruction of this rank that writes them first; -1: not yet         */
    int     last;  /* the last one that needs them; where they are sent, `sent`                */
} BufferPart;

/* A range of one rank's arena: a value of a chunk, or of a chain in one layer, into which each
 * chunk writes its part in place. Made by expand and communicate. Owned by Program.region. */
typedef struct Buffer {
    const char *name;                   /* as listings call it: "C2.L4.q", "S2.L4.kv"          */
    int64_t     row_bytes, rows, bytes; /* bytes: all rows, rounded up to PW_ALIGN             */
    BufferPart *parts; /* [nparts], by row, then life; filled in by allocate                   */
    int         nparts;
    int64_t     offset; /* bytes from the start of the arena; -1 before allocate               */
    bool        is_static;
} Buffer;

typedef struct Operand {
    int     buffer;    /* index in the rank's buffers; -1: none, found through the segments    */
    int64_t row, rows; /* of the buffer                                                        */
    Access  access;
} Operand;

/* A segment of a call: where its chain's keys and values, and their gradients, lie. */
typedef struct CallSegment {
    int     row, tokens, context, flags; /* as PwSegment                                       */
    int     sequence;
    int     kv, dkv;         /* buffers; -1: none                                              */
    int64_t kv_row, dkv_row; /* row of the buffer that is the sequence's token 0               */
} CallSegment;

typedef struct Instruction {
    PwInstructionKind kind;
    int               flags;   /* PW_CALL_*                                                    */
    int               codelet; /* call                                                         */
    int               layer, chunk;
    int               peer, message; /* `message` pairs send with sent, receive with wait      */
    int               tokens;
    Operand          *operands; /* call: in the order of the codelet table; load: tokens,      */
                                /* targets, weights                                            */
    int          noperands;
    CallSegment *segments;
    int          nsegments;
    PwSource    *sources; /* load                                                         */
    int          nsources;
    char         letter;    /* mark: 'F' 'B' 'W' 'R' 'H' 'E'                              */
    int          operation; /* mark: its number in the plan's order of this rank          */
    int          stage;     /* mark                                                       */
    int64_t      count;
    double       predicted; /* seconds; filled in by simulate                             */
    int64_t      live;      /* bytes of the arena in use here; filled in by allocate      */
    const char  *note;      /* for listings: "early: needed at 31"; may be NULL           */
} Instruction;

typedef struct RankProgram {
    Instruction *instructions;
    int          ninstructions;
    Buffer      *buffers;
    int          nbuffers;
    int64_t      static_bytes, capacity;
    int64_t      peak; /* bytes of arena, static part included; -1 before allocate             */
    int          peak_instruction;
} RankProgram;

typedef struct Program {
    Region      *region; /* owns everything in it                                              */
    int64_t      step;
    int          kind; /* PwProgramKind                                                        */
    RankProgram *ranks;
    int          nranks;
    int          nsequences;
    int64_t      tokens, position;
    double       weight, predicted_seconds;
    PwOrder     *order; /* all ranks' instructions in one order that respects messages         */
    int64_t      norder;
    int32_t     *loss_sequence; /* [nlosses] the sequence of each row of `losses`               */
    int64_t      nlosses;
    char         plan_hash[65];
} Program;

/* The rank's buffer of that name, or -1. "losses" and "next" are known to the runtime. */
int program_buffer(const RankProgram *rank, const char *name);

/* Bytes of the fullest rank's arena; -1 before allocate. */
int64_t program_peak(const Program *program);

/* Listing text. Reading needs the codelet table, for names; `name` stands in errors. */
void     program_print(const Program *program, const Codelets *codelets, Text *out);
void     program_print_rank(const Program *program, const Codelets *codelets, int rank, Text *out);
Program *program_read(Region *region, const char *text, const char *name, const Codelets *codelets,
                      Error *error);

/* Binary. The bytes of a program depend on nothing but the program. */
void     program_store(const Program *program, const Codelets *codelets, Text *out);
Program *program_load(Region *region, const void *bytes, size_t count, const char *name,
                      const Codelets *codelets, Error *error);

/* Well made? Indices in range, operands as the codelet table has them, sends paired with sents. */
bool program_check(const Program *program, const Codelets *codelets, const Model *model,
                   Error *error);

#endif
