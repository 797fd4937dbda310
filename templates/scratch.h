/* scratch.h: bytes of scratch that the kernels take, for the codelet table and for the kernels.
 * Each is a number of the model's shapes and of the size of a real alone, holds for every vector
 * width, and leaves the start at PW_ALIGN. A kernel whose need grows with the rows of a call has a
 * second number, bytes a token (..._TOKEN_SCRATCH); the whole need is fixed + token * rows. */
#ifndef PW_SCRATCH_H
#define PW_SCRATCH_H

/* Products go by blocks: MATMUL_ROWS rows and MATMUL_COLUMNS columns of the result, MATMUL_DEPTH
 * terms of the sums. Both packed blocks and a cache line of slack for the last panel. */
#define MATMUL_ROWS 252
#define MATMUL_COLUMNS 1024
#define MATMUL_DEPTH 256
#define MATMUL_SCRATCH(element_bytes)                                                              \
    ((element_bytes) * (MATMUL_DEPTH * (MATMUL_ROWS + MATMUL_COLUMNS) + 64))

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

/* The head goes by blocks of so many tokens, whose logits stand in scratch. */
#define HEAD_TOKENS 256
#define HEAD_SCRATCH(vocabulary, element_bytes)                                                    \
    ((element_bytes) * (((int64_t)HEAD_TOKENS * (vocabulary) + 15) / 16 * 16) +                    \
     MATMUL_SCRATCH(element_bytes))

#endif
