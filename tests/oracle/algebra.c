/* algebra: see the header. */
#include "tests/oracle/algebra.h"

#include <string.h>

/* Bijective (the finalizer of MurmurHash3), so that a word tells the number that it was made
 * from. */
static uint32_t scramble(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ x >> 16;
}

static uint32_t unscramble(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7ed1b41du;
    x ^= x >> 13 ^ x >> 26;
    x *= 0xa5cb9243u;
    return x ^ x >> 16;
}

uint32_t mix(uint32_t hash, uint32_t word)
{
    return scramble(hash * 0x9e3779b1u + word + 0x7f4a7c15u);
}

void know(Frame *frame, Quantity quantity, uint32_t value)
{
    frame->known[quantity] = true;
    frame->value[quantity] = value;
}

enum { MOST_INPUTS = 5 };

uint32_t solve(Frame *frame, Quantity quantity)
{
    static const uint8_t inputs[NQUANTITIES][MOST_INPUTS] = {
#define VALUE(symbol, ...) {INPUTS(__VA_ARGS__, NONE, NONE, NONE, NONE)},
#define INPUTS(a, b, c, d, e, ...) Q_##a, Q_##b, Q_##c, Q_##d, Q_##e
        QUANTITIES(VALUE)
#undef INPUTS
#undef VALUE
    };
    if (frame->known[quantity])
        return frame->value[quantity];
    if (inputs[quantity][0] == Q_NONE)
        bug("quantity %d is wanted where no operand gives it", (int)quantity);
    uint32_t value = mix(1, (uint32_t)quantity);
    for (int i = 0; i < MOST_INPUTS && inputs[quantity][i] != Q_NONE; i++)
        value = mix(value, solve(frame, (Quantity)inputs[quantity][i]));
    know(frame, quantity, value);
    return value;
}

uint32_t key_of(uint32_t kv)
{
    return mix(2, kv);
}

uint32_t key_share(uint32_t query, uint32_t kv)
{
    return mix(mix(3, query), kv);
}

void spread(uint32_t *words, int64_t count, uint32_t value)
{
    for (int64_t i = 0; i < count; i++)
        words[i] = scramble(value + (uint32_t)i * 0x632be59bu);
}

static uint32_t damaged(const uint32_t *words, int64_t count)
{
    uint32_t hash = 4;
    for (int64_t i = 0; i < count; i++)
        hash = mix(hash, words[i]);
    return hash;
}

uint32_t gather(const uint32_t *words, int64_t count)
{
    uint32_t value = count ? unscramble(words[0]) : 0;
    for (int64_t i = 1; i < count; i++)
        if (words[i] != scramble(value + (uint32_t)i * 0x632be59bu))
            return damaged(words, count);
    return value;
}

/* 1 for the first word, so that a sum can be read off. */
static uint32_t factor_of(int64_t i)
{
    return i ? scramble((uint32_t)i) | 1 : 1;
}

void spread_sum(uint32_t *words, int64_t count, uint32_t value)
{
    for (int64_t i = 0; i < count; i++)
        words[i] = value * factor_of(i);
}

void add_sum(uint32_t *words, int64_t count, uint32_t value)
{
    for (int64_t i = 0; i < count; i++)
        words[i] += value * factor_of(i);
}

uint32_t gather_sum(const uint32_t *words, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        if (words[i] != words[0] * factor_of(i))
            return damaged(words, count);
    return count ? words[0] : 0;
}

typedef struct Name {
    Part        part;
    const char *name;
    int         shift;
    Quantity    quantity;
} Name;

Quantity quantity_named(Part part, const char *name, int shift)
{
    static const Name names[] = {
        {PART_EMBED, "tokens", 0, Q_TOKEN},
        {PART_EMBED, "input", 1, Q_EMBEDDED},
        {PART_EMBED, "d_input", 1, Q_D_OUTPUT},
        {PART_PRE, "input", 0, Q_INPUT},
        {PART_PRE, "normed", 0, Q_NORMED},
        {PART_PRE, "scale", 0, Q_SCALE},
        {PART_PRE, "q", 0, Q_Q},
        {PART_PRE, "d_q", 0, Q_D_Q},
        {PART_PRE, "d_qkv", 0, Q_D_QKV},
        {PART_PRE, "d_hidden", 0, Q_D_HIDDEN},
        {PART_PRE, "d_input", 0, Q_D_INPUT},
        {PART_CORE, "q", 0, Q_Q},
        {PART_CORE, "attended", 0, Q_ATTENDED},
        {PART_CORE, "lse", 0, Q_LSE},
        {PART_CORE, "d_attended", 0, Q_D_ATTENDED},
        {PART_CORE, "d_q", 0, Q_D_Q},
        {PART_POST, "input", 0, Q_INPUT},
        {PART_POST, "attended", 0, Q_ATTENDED},
        {PART_POST, "hidden", 0, Q_HIDDEN},
        {PART_POST, "scale2", 0, Q_SCALE2},
        {PART_POST, "normed2", 0, Q_NORMED2},
        {PART_POST, "gate_up", 0, Q_GATE_UP},
        {PART_POST, "act", 0, Q_ACT},
        {PART_POST, "input", 1, Q_OUTPUT},
        {PART_POST, "d_input", 1, Q_D_OUTPUT},
        {PART_POST, "d_gate_up", 0, Q_D_GATE_UP},
        {PART_POST, "d_hidden", 0, Q_D_HIDDEN},
        {PART_POST, "d_attended", 0, Q_D_ATTENDED},
        {PART_HEAD, "input", 0, Q_INPUT},
        {PART_HEAD, "targets", 0, Q_TARGET},
        {PART_HEAD, "weights", 0, Q_LOSS_WEIGHT},
        {PART_HEAD, "d_input", 0, Q_D_LAST},
    };
    for (int i = 0; i < COUNT(names); i++)
        if (names[i].part == part && names[i].shift == shift && strcmp(names[i].name, name) == 0)
            return names[i].quantity;
    return Q_NONE;
}

static const struct {
    const char *name;
    Quantity    weight, share;
} weights[] = {
    {"table", Q_W_TABLE, Q_G_TABLE},
    {"attn_norm", Q_W_ATTN_NORM, Q_G_ATTN_NORM},
    {"qkv", Q_W_QKV, Q_G_QKV},
    {"o", Q_W_O, Q_G_O},
    {"ffn_norm", Q_W_FFN_NORM, Q_G_FFN_NORM},
    {"gate_up", Q_W_GATE_UP, Q_G_GATE_UP},
    {"down", Q_W_DOWN, Q_G_DOWN},
    {"final_norm", Q_W_FINAL_NORM, Q_G_FINAL_NORM},
    {"lm_head", Q_W_LM_HEAD, Q_G_LM_HEAD},
};

static int weight_named(const char *name)
{
    for (int i = 0; i < COUNT(weights); i++)
        if (strcmp(weights[i].name, name) == 0)
            return i;
    bug("no equation has a weight called %s", name);
}

Quantity quantity_of_weight(const char *name)
{
    return weights[weight_named(name)].weight;
}

Quantity share_of_weight(const char *name)
{
    return weights[weight_named(name)].share;
}

uint32_t norm_of(uint32_t gradient)
{
    return mix(5, gradient);
}

uint32_t updated(uint32_t old, uint32_t gradient, uint32_t clip, uint32_t how)
{
    return mix(mix(mix(mix(6, old), gradient), clip), how);
}

uint32_t first_value(int kind, int weight, int layer)
{
    return mix(mix(mix(7, (uint32_t)kind), (uint32_t)weight), (uint32_t)layer);
}

uint32_t token_word(const char *what, int64_t document, int64_t place)
{
    return mix(mix(mix(8, (uint32_t)*what << 8 | (uint32_t)what[1]), (uint32_t)document),
               (uint32_t)place);
}
