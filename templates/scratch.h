/* scratch.h: bytes of scratch that the kernels take, for the codelet table and for the kernels.
 * Numbers of the model's shapes and of the size of a real, the same for every vector width. The
 * need is `fixed + token * rows`, where no more rows than the kernel's blocks have are counted; its
 * last byte is written in every call, so that what is declared is what is used. */
#ifndef PW_SCRATCH_H
#define PW_SCRATCH_H

#include "runtime/kernel.h"

#define SCRATCH_LESS(a, b) ((a) < (b) ? (a) : (b))
#define SCRATCH_MORE(a, b) ((a) > (b) ? (a) : (b))
#define SCRATCH_ALIGNED(bytes) (((bytes) + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN)

/* Products go by blocks: MATMUL_ROWS rows and MATMUL_COLUMNS columns of the result, MATMUL_DEPTH
 * terms of the sums. First stands the second factor's block in panels, up to 32 columns wide, then
 * the first one's: [rows][terms]. */
#define MATMUL_ROWS 252
#define MATMUL_COLUMNS 1024
#define MATMUL_DEPTH 256
#define MATMUL_PANELS(columns)                                                                     \
    (SCRATCH_LESS(((columns) + 31) / 32 * 32, (int64_t)MATMUL_COLUMNS)) /* bytes a term: * real */
#define MATMUL_SCRATCH(rows, columns, depth, real_bytes)                                           \
    ((real_bytes)*SCRATCH_LESS(depth, MATMUL_DEPTH) *                                              \
     (MATMUL_PANELS(columns) + SCRATCH_LESS(rows, MATMUL_ROWS)))

/* Attention goes by blocks of so many keys and queries. Panels are up to 32 columns wide. */
#define ATTENTION_KEYS 128
#define ATTENTION_QUERIES 42
#define ATTENTION_HEAD_COLUMNS(head_dim) (((head_dim) + 31) / 32 * 32)
/* K transposed, V, the block's queries and scores; a token: running maximum and sum of each
 * head. */
#define ATTENTION_FORWARD_SCRATCH(head_dim, element_bytes)                                         \
    ((element_bytes) * (ATTENTION_KEYS * ((head_dim) + ATTENTION_HEAD_COLUMNS(head_dim)) +         \
                        ATTENTION_QUERIES * (ATTENTION_KEYS + (head_dim))))
#define ATTENTION_FORWARD_TOKEN_SCRATCH(heads, element_bytes) (2 * (heads) * (element_bytes))
/* K and V transposed, K, dK, dV, the block's Q and dO in two forms, scores and their gradient; a
 * token: sum of dO * O of each head. */
#define ATTENTION_BACKWARD_SCRATCH(head_dim, element_bytes)                                        \
    ((element_bytes) * (ATTENTION_KEYS * (2 * (head_dim) + 3 * ATTENTION_HEAD_COLUMNS(head_dim)) + \
                        ATTENTION_QUERIES * (2 * ATTENTION_HEAD_COLUMNS(head_dim) + (head_dim) +   \
                                             2 * ATTENTION_KEYS)))
#define ATTENTION_BACKWARD_TOKEN_SCRATCH(heads, element_bytes) ((heads) * (element_bytes))

/* The head goes by blocks of so many tokens, whose logits stand in scratch behind the room of its
 * products: the forward one, and of head_loss those of both gradients. */
#define HEAD_TOKENS 256
#define HEAD_ROOM(rows, vocabulary, hidden, real_bytes)                                            \
    SCRATCH_ALIGNED(MATMUL_SCRATCH(rows, vocabulary, hidden, real_bytes))
#define HEAD_LOSS_ROOM(vocabulary, hidden, real_bytes)                                             \
    SCRATCH_MORE(                                                                                  \
        HEAD_ROOM(HEAD_TOKENS, vocabulary, hidden, real_bytes),                                    \
        SCRATCH_MORE(                                                                              \
            SCRATCH_ALIGNED(MATMUL_SCRATCH(HEAD_TOKENS, hidden, vocabulary, real_bytes)),          \
            SCRATCH_ALIGNED(MATMUL_SCRATCH(vocabulary, hidden, HEAD_TOKENS, real_bytes))))

#endif
