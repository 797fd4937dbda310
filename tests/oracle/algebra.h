/* algebra: the numbers that interpreter computes with, and the equations of a decoder. */
#ifndef PIPEWRIGHT_ALGEBRA_H
#define PIPEWRIGHT_ALGEBRA_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/forms/codelets.h"

/* A quantity of one token in one layer (or embed, head): VALUE(symbol, what it is made from). */
#define QUANTITIES(VALUE)                                                                          \
    VALUE(NONE, NONE)                                                                              \
    /* given: by operands, positions, weights */                                                   \
    VALUE(TOKEN, NONE)                                                                             \
    VALUE(TARGET, NONE)                                                                            \
    VALUE(LOSS_WEIGHT, NONE)                                                                       \
    VALUE(POSITION, NONE)                                                                          \
    VALUE(ROPE, NONE)                                                                              \
    VALUE(W_TABLE, NONE)                                                                           \
    VALUE(W_ATTN_NORM, NONE)                                                                       \
    VALUE(W_QKV, NONE)                                                                             \
    VALUE(W_O, NONE)                                                                               \
    VALUE(W_FFN_NORM, NONE)                                                                        \
    VALUE(W_GATE_UP, NONE)                                                                         \
    VALUE(W_DOWN, NONE)                                                                            \
    VALUE(W_FINAL_NORM, NONE)                                                                      \
    VALUE(W_LM_HEAD, NONE)                                                                         \
    VALUE(INPUT, NONE)                                                                             \
    VALUE(KEYS, NONE)     /* all keys and values that the token attends */                         \
    VALUE(D_OUTPUT, NONE) /* gradient of the layer's output */                                     \
    VALUE(D_KV, NONE)                                                                              \
    /* forward */                                                                                  \
    VALUE(EMBEDDED, TOKEN, W_TABLE)                                                                \
    VALUE(SCALE, INPUT)                                                                            \
    VALUE(NORMED, INPUT, SCALE, W_ATTN_NORM)                                                       \
    VALUE(QKV, NORMED, W_QKV)                                                                      \
    VALUE(Q, QKV, POSITION, ROPE)                                                                  \
    VALUE(KV, QKV, POSITION, ROPE)                                                                 \
    VALUE(ATTENDED, Q, KEYS)                                                                       \
    VALUE(LSE, Q, KEYS)                                                                            \
    VALUE(HIDDEN, ATTENDED, W_O, INPUT)                                                            \
    VALUE(SCALE2, HIDDEN)                                                                          \
    VALUE(NORMED2, HIDDEN, SCALE2, W_FFN_NORM)                                                     \
    VALUE(GATE_UP, NORMED2, W_GATE_UP)                                                             \
    VALUE(ACT, GATE_UP)                                                                            \
    VALUE(OUTPUT, ACT, W_DOWN, HIDDEN)                                                             \
    VALUE(FINAL, INPUT, W_FINAL_NORM)                                                              \
    VALUE(LOSS, FINAL, W_LM_HEAD, TARGET, LOSS_WEIGHT)                                             \
    /* backward */                                                                                 \
    VALUE(D_FINAL, FINAL, W_LM_HEAD, TARGET, LOSS_WEIGHT)                                          \
    VALUE(D_LAST, D_FINAL, INPUT, W_FINAL_NORM) /* gradient of the head's input */                 \
    VALUE(D_ACT, D_OUTPUT, W_DOWN)                                                                 \
    VALUE(D_GATE_UP, D_ACT, GATE_UP)                                                               \
    VALUE(D_NORMED2, D_GATE_UP, W_GATE_UP)                                                         \
    VALUE(D_HIDDEN, D_NORMED2, HIDDEN, SCALE2, W_FFN_NORM, D_OUTPUT)                               \
    VALUE(D_ATTENDED, D_HIDDEN, W_O)                                                               \
    VALUE(QUERY, Q, ATTENDED, LSE, D_ATTENDED) /* the query's side of a key's gradient */          \
    VALUE(D_Q, QUERY, KEYS)                                                                        \
    VALUE(D_QKV, D_Q, D_KV, POSITION, ROPE)                                                        \
    VALUE(D_NORMED, D_QKV, W_QKV)                                                                  \
    VALUE(D_INPUT, D_NORMED, INPUT, SCALE, W_ATTN_NORM, D_HIDDEN)                                  \
    /* a token's share in the gradient of a weight */                                              \
    VALUE(G_TABLE, TOKEN, D_OUTPUT)                                                                \
    VALUE(G_ATTN_NORM, D_NORMED, INPUT, SCALE)                                                     \
    VALUE(G_QKV, D_QKV, NORMED)                                                                    \
    VALUE(G_O, D_HIDDEN, ATTENDED)                                                                 \
    VALUE(G_FFN_NORM, D_NORMED2, HIDDEN, SCALE2)                                                   \
    VALUE(G_GATE_UP, D_GATE_UP, NORMED2)                                                           \
    VALUE(G_DOWN, D_OUTPUT, ACT)                                                                   \
    VALUE(G_FINAL_NORM, D_FINAL, INPUT)                                                            \
    VALUE(G_LM_HEAD, FINAL, W_LM_HEAD, TARGET, LOSS_WEIGHT)

typedef enum Quantity {
#define VALUE(symbol, ...) Q_##symbol,
    QUANTITIES(VALUE)
#undef VALUE
        NQUANTITIES
} Quantity;

/* What is known of one token. */
typedef struct Frame {
    bool     known[NQUANTITIES];
    uint32_t value[NQUANTITIES];
} Frame;

uint32_t mix(uint32_t hash, uint32_t word);
uint32_t solve(Frame *frame, Quantity quantity); /* from what is known, by the equations */
void     know(Frame *frame, Quantity quantity, uint32_t value);
uint32_t key_of(uint32_t kv);                    /* a key's part in Q_KEYS: they are added    */
uint32_t key_share(uint32_t query, uint32_t kv); /* a query's part in a key's gradient        */

/* Rows in memory: of a value, every word tells v; of a sum, every word is v times a constant.
 * Reading damaged words gives a number that depends on all of them. */
void     spread(uint32_t *words, int64_t count, uint32_t value);
uint32_t gather(const uint32_t *words, int64_t count);
void     spread_sum(uint32_t *words, int64_t count, uint32_t value);
void     add_sum(uint32_t *words, int64_t count, uint32_t value);
uint32_t gather_sum(const uint32_t *words, int64_t count);

/* What an operand of a codelet of this part is; Q_NONE: no quantity of a token. */
Quantity quantity_named(Part part, const char *name, int shift);
Quantity quantity_of_weight(const char *name); /* W_...; its share follows by share_of_weight */
Quantity share_of_weight(const char *name);

/* Updates. */
uint32_t norm_of(uint32_t gradient);
uint32_t updated(uint32_t old, uint32_t gradient, uint32_t clip, uint32_t how);
uint32_t first_value(int kind, int weight, int layer); /* of a weight or moment */
uint32_t token_word(const char *what, int64_t document, int64_t place);

#endif
