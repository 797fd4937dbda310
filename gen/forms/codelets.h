/* codelets: the codelet table, all that code and programs know of each other.
 *   made by    differentiate (from the model and templates/kernels.def), fuse
 *   read by    emit (prints the code), expand, allocate, prove, cost: what each codelet reads,
 *              writes, adds to, keeps, and its bytes
 *   printed    as a table, which reads back
 * A codelet = part x direction x level x half. Every kept tensor is a buffer of its own, none are
 * grouped: lives are finer so. */
#ifndef PIPEWRIGHT_CODELETS_H
#define PIPEWRIGHT_CODELETS_H

#include "gen/forms/model.h"

typedef enum Direction {
    DIRECTION_FORWARD,
    DIRECTION_REBUILD, /* forward again, ahead of backward; keeps what level all keeps         */
    DIRECTION_BACKWARD,
    DIRECTION_EVALUATE, /* head: loss only                                                     */
    DIRECTION_SAMPLE,   /* head: the next token                                                */
    DIRECTION_UPDATE,   /* adamw; grad_norm; clip                                              */
    NDIRECTIONS
} Direction;

/* What a forward keeps for its backward. BARE keeps nothing: levels input and none, and
 * forward-only programs. A backward is of level ALL or LEAN; after a rebuild it is ALL. */
typedef enum Level {
    LEVEL_ALL,
    LEVEL_LEAN,
    LEVEL_INPUT,
    LEVEL_BARE = LEVEL_INPUT,
    LEVEL_NONE,
    NLEVELS
} Level;
extern const char *const level_names[NLEVELS]; /* "all", "lean", "input", "none" */

typedef enum Half { HALF_BOTH, HALF_DX, HALF_DW, NHALVES } Half;

/* How many rows an operand has in a call. */
typedef enum Rows {
    ROWS_TOKEN,   /* one a token of the chunk                                                  */
    ROWS_CONTEXT, /* per segment, in the buffer of its chain: found through the call's segments */
    ROWS_SEGMENT, /* one a segment                                                             */
    ROWS_ONE,     /* one: weights as a whole, norms, scratch                                   */
} Rows;

typedef enum Access { ACCESS_READ, ACCESS_WRITE, ACCESS_ADD } Access;

/* What an operand is. The value of a token-row operand is known by its name; expand binds
 * (chunk, layer + shift, name) to a buffer. */
typedef enum Role {
    ROLE_TOKENS,   /* "tokens", "targets" int32, "weights" float: what load wrote             */
    ROLE_VALUE,    /* a value between codelets or kept: "input", "q", "attended", "normed", ..*/
    ROLE_GRADIENT, /* gradient of a value: "d_input", "d_q", ...                              */
    ROLE_KV,       /* keys and values, ROWS_CONTEXT                                           */
    ROLE_DKV,      /* their gradients, ROWS_CONTEXT                                           */
    ROLE_WEIGHT,   /* a working form of a parameter (index `weight`)                          */
    ROLE_DWEIGHT,  /* its gradient: added to, or written by the first toucher                 */
    ROLE_MOMENT1,
    ROLE_MOMENT2, /* AdamW's, in update                                          */
    ROLE_LOSS,    /* double, ROWS_SEGMENT: sum of weighted losses of a segment               */
    ROLE_NORM,    /* double: squares of one gradient tensor; clip reads all                  */
    ROLE_CLIP,    /* 2 doubles: the factor on gradients (0: no update), the global norm      */
    ROLE_TABLE,   /* a static constant: "rope" [context][head_dim / 2][2]                    */
    ROLE_NEXT,    /* int32: the sampled token                                                */
    ROLE_SCRATCH, /* bytes that live only during the call                                    */
    NROLES
} Role;

typedef struct CodeletOperand {
    const char *name; /* "input", "normed", "d_input", "scratch"; a weight "w_qkv", "dw_qkv"   */
    Role        role;
    Access      access;
    Rows        rows;
    int64_t     columns; /* elements a row; of a weight: rows x columns; 0: the call's   */
                         /* count (update), or bytes that codelet_scratch says           */
    int element_bytes;   /* 4 (real, int32); 8 (double)                                  */
    int shift;           /* layer of the value is the call's layer + shift: a layer's    */
                         /* output is "input" with shift 1                               */
    int weight;          /* index in Model.weights, or -1                                */
} CodeletOperand;

/* One kernel call inside a codelet: text with $name for an operand's pointer, $name+1 for one with
 * shift 1, and @name for a place in scratch; emit_c prints it without these marks. */
typedef struct CodeletLine {
    const char *kernel;    /* entry of kernels.def                                             */
    const char *arguments; /* "$normed, $scale, $input, $attn_norm, call->tokens"              */
} CodeletLine;

/* A value that lives only inside the codelet. Its offset in scratch is the sum of the earlier ones,
 * token_bytes * tokens, each rounded up to PW_ALIGN. */
typedef struct CodeletTemporary {
    const char *name;
    int64_t     token_bytes;
} CodeletTemporary;

/* What a kernel takes of the scratch behind the temporaries while it runs: token_bytes for each of
 * at most `most_tokens` tokens (0: of all), and so many more. The codelet's need is the largest. */
typedef struct CodeletRoom {
    const char *kernel;
    int64_t     token_bytes, most_tokens, fixed_bytes;
} CodeletRoom;

typedef struct Codelet {
    const char       *name; /* "pre_forward_all", "post_backward_lean_dw", "head_loss"         */
    Part              part; /* of an update: PART_HEAD, meaningless                             */
    Direction         direction;
    Level             level;
    Half              half;
    CodeletOperand   *operands;
    int               noperands; /* <= PW_MAX_OPERANDS                                         */
    CodeletLine      *lines;
    int               nlines;
    CodeletTemporary *temporaries;
    int               ntemporaries;
    CodeletRoom      *rooms;
    int               nrooms;
    double            flops_per_token; /* executed                                             */
    double            flops_per_pair;  /* core: per (query, key) pair that is attended         */
    double            bytes_per_token; /* read and written, for the machine profile            */
    const char       *origin;          /* comment for people: operations it came from          */
} Codelet;

typedef struct Codelets {
    Codelet *items; /* index = PwInstruction.codelet                                           */
    int      count;
} Codelets;

/* Scratch of one call with so many tokens, in bytes; includes the rounding. */
int64_t codelet_scratch(const Codelet *codelet, int64_t tokens);

/* The index of the codelet, or -1. LEVEL_NONE is looked up as LEVEL_INPUT. Where the table has no
 * codelet of that level, the one stands in that does the same: a backward's INPUT is ALL (after a
 * rebuild), core's LEAN is ALL, core's REBUILD is its forward, embed and head know no levels. A
 * part whose backward has no halves (embed, core, head) does all of it in dx; its dw is -1. An
 * update has no part: use codelet_named. */
int codelet_find(const Codelets *table, Part part, Direction direction, Level level, Half half);
int codelet_named(const Codelets *table, const char *name);
/* What a codelet's function is called: its name, unless a kernel has it. */
const char *codelet_function(Region *region, const Codelet *codelet);
int         codelet_operand(const Codelet *codelet, const char *name); /* index or -1 */

Codelets *codelets_read(Region *region, const char *text, const char *name, Error *error);
void      codelets_print(const Codelets *table, const Model *model, Text *out);
/* Why these are emitted, as comments that people read; a reader passes over lines with a '#'. */
void codelets_explain(const Codelets *table, Text *out);
bool codelets_check(const Codelets *table, const Model *model, Error *error);

#endif
