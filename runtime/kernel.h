/* kernel.h: all that a kernel template and an emitted codelet may include.
 * Kernels and codelets get plain pointers into the rank's arena; nothing here allocates. `real` is
 * float; the same sources compile with -DPW_REAL=double for the tests that need sharper numbers. */
#ifndef PW_KERNEL_INTERFACE_H
#define PW_KERNEL_INTERFACE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifndef PW_REAL
#define PW_REAL float
#endif
typedef PW_REAL real;

/* The compiler contracts nothing (-ffp-contract=off): a fused multiply-add stands where it is
 * meant. */
#define pw_fma(a, b, c) _Generic((a), float : fmaf, default : fma)(a, b, c)
#define pw_sqrt(a) _Generic((a), float : sqrtf, default : sqrt)(a)
#define pw_log(a) _Generic((a), float : logf, default : log)(a)

/* A job with two shapes of one kernel compiles it twice, with a suffix. */
#ifndef PW_SUFFIX
#define PW_KERNEL(name) name
#else
#define PW_KERNEL_JOIN(name, suffix) name##suffix
#define PW_KERNEL_WITH(name, suffix) PW_KERNEL_JOIN(name, suffix)
#define PW_KERNEL(name) PW_KERNEL_WITH(name, PW_SUFFIX)
#endif

enum { PW_ALIGN = 64, PW_MAX_OPERANDS = 24 };

/* A run of tokens of one sequence inside a chunk. Offsets are bytes from the start of the arena.
 * A sequence's keys and values in one layer are one range of rows, a row a token:
 * [keys: KV_HEADS][HEAD_DIM] [values: KV_HEADS][HEAD_DIM]; their gradients are another such
 * range. */
typedef struct PwSegment {
    int32_t row;     /* its first row in the chunk                                             */
    int32_t tokens;  /* > 0                                                                    */
    int32_t context; /* earlier tokens of the sequence: also the position of the first token   */
    int32_t flags;   /* PW_SEGMENT_*                                                           */
    int64_t kv;      /* row 0, the sequence's first token; own rows start at row `context`     */
    int64_t dkv;     /* likewise for the gradients; -1 where a call has none                   */
} PwSegment;

enum {
    PW_SEGMENT_KV_KEPT   = 1, /* rebuild: keys and values are still there, do not write them   */
    PW_SEGMENT_DKV_FIRST = 2, /* the chain's last chunk: writes all its dK, dV without reading */
};

enum {
    PW_CALL_FIRST = 1, /* first toucher: weight gradients are written, not added to            */
};

/* What one training step has in numbers beyond the program: filled in by the runtime. */
typedef struct PwStepNumbers {
    double   learning_rate, weight_decay, beta1, beta2, epsilon;
    double   correction1, correction2; /* 1 - beta^t of AdamW's two moments                    */
    double   clip;                     /* the largest global norm; 0: no clipping              */
    double   inverse_weight;           /* 1 / sum of the batch's loss weights; 0: no update    */
    uint64_t seed;                     /* for sampling                                         */
    double   temperature;
} PwStepNumbers;

/* One call of a codelet, as the executor hands it over. `at` follows the operands of the codelet
 * table, in its order; operands whose rows go by segment (kv, dkv) are NULL: see `segments`. */
typedef struct PwCall {
    unsigned char       *arena;
    void                *at[PW_MAX_OPERANDS];
    int64_t              tokens; /* rows of the chunk                                          */
    const PwSegment     *segments;
    int64_t              nsegments;
    int32_t              flags; /* PW_CALL_*                                                   */
    int32_t              heads, kv_heads; /* of this rank, in core                             */
    int64_t              vocabulary;      /* rows of the head's weight on this rank            */
    int64_t              count;           /* elements, in update and grad_norm                 */
    const PwStepNumbers *step;
} PwCall;

typedef void (*PwCodelet)(const PwCall *call);

/* Every buffer begins at a multiple of PW_ALIGN. */
static inline int64_t pw_align(int64_t bytes)
{
    return (bytes + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
}

/* The next place in a codelet's scratch, for so many rows. The sizes are those of the codelet
 * table: CodeletTemporary of gen/forms/codelets.h. */
static inline void *pw_take(unsigned char **scratch, int64_t rows, int64_t row_bytes)
{
    void *at = *scratch;
    *scratch += pw_align(rows * row_bytes);
    return at;
}

#endif
