/* RMSNorm of each head of the queries and keys, ahead of RoPE (Henry et al. 2020, arXiv 2010.04245;
 * in the form of Qwen3): one gain for all heads of queries, one for those of keys.
 *   x, y, dx, dy [n][QKV]: queries, keys, and values, which pass;  scale [n][HEADS + KV_HEADS]:
 *   1 / rms, kept for backward;  gains and their gradients [HEAD_DIM]
 * With u = gain * dy:  dx = scale * (u - x * scale^2 * mean(u * x));  dgain += dy * x * scale,
 * added up over BLOCK tokens at a time: rounding grows with their number. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"

#ifndef HEAD_DIM
#define HEAD_DIM 64
#define GROUP 1 /* query heads per head of keys and values */
#define QKV 768
#endif
#ifndef EPSILON
#define EPSILON ((real)1e-5)
#endif
#define KV_HEADS (QKV / (HEAD_DIM * (GROUP + 2)))
#define HEADS (KV_HEADS * GROUP)
#define NORMED (HEADS + KV_HEADS)
enum { BLOCK = 8 };

/* LANES elements of a head from the i-th on, or as many as there are. */
VEC_INLINE Vec load(const real *head, int64_t i)
{
    return HEAD_DIM - i < LANES ? vec_load_part(head + i, HEAD_DIM - i) : vec_load(head + i);
}

VEC_INLINE void store(real *head, int64_t i, Vec v)
{
    if (HEAD_DIM - i < LANES)
        vec_store_part(head + i, v, HEAD_DIM - i);
    else
        vec_store(head + i, v);
}

static void copy_values(real *to, const real *from)
{
    __builtin_memcpy(to + NORMED * HEAD_DIM, from + NORMED * HEAD_DIM,
                     KV_HEADS * HEAD_DIM * sizeof(real));
}

void PW_KERNEL(head_norm_forward)(real *y, real *scale, const real *x, const real *q_gain,
                                  const real *k_gain, int64_t n)
{
    for (int64_t t = 0; t < n; t++, x += QKV, y += QKV, scale += NORMED) {
        for (int64_t head = 0; head < NORMED; head++) {
            const real *gain = head < HEADS ? q_gain : k_gain, *from = x + head * HEAD_DIM;
            Vec         squares = {0};
            for (int64_t i = 0; i < HEAD_DIM; i += LANES)
                squares = vec_fma(load(from, i), load(from, i), squares);
            scale[head] = 1 / pw_sqrt(vec_sum(squares) / HEAD_DIM + EPSILON);
            for (int64_t i = 0; i < HEAD_DIM; i += LANES)
                store(y + head * HEAD_DIM, i,
                      load(gain, i) * (load(from, i) * vec_all(scale[head])));
        }
        copy_values(y, x);
    }
}

static void backward_head(real *dx, const real *dy, const real *x, real scale, const real *gain)
{
    Vec product = {0};
    for (int64_t i = 0; i < HEAD_DIM; i += LANES)
        product = vec_fma(load(gain, i) * load(dy, i), load(x, i), product);
    real mean = vec_sum(product) / HEAD_DIM * scale * scale;
    for (int64_t i = 0; i < HEAD_DIM; i += LANES) {
        Vec u = load(gain, i) * load(dy, i);
        store(dx, i, vec_fma(load(x, i), vec_all(-mean), u) * vec_all(scale));
    }
}

/* The share of n tokens' heads [first, past). */
static void backward_gain(real *dgain, const real *dy, const real *x, const real *scale, int64_t n,
                          int64_t first, int64_t past, int adds)
{
    for (int64_t i = 0; i < HEAD_DIM; i += LANES) {
        Vec d = {0};
        for (int64_t t = 0; t < n; t++)
            for (int64_t head = first; head < past; head++) {
                int64_t at = t * QKV + head * HEAD_DIM;
                d = vec_fma(load(dy + at, i), load(x + at, i) * vec_all(scale[t * NORMED + head]),
                            d);
            }
        store(dgain, i, adds ? d + load(dgain, i) : d);
    }
}

void PW_KERNEL(head_norm_backward)(real *dx, real *dq_gain, real *dk_gain, const real *dy,
                                   const real *x, const real *scale, const real *q_gain,
                                   const real *k_gain, int64_t n, int32_t flags)
{
    for (int64_t t0 = 0; t0 < n; t0 += BLOCK) {
        int64_t     block    = n - t0 < BLOCK ? n - t0 : BLOCK;
        int         adds     = t0 > 0 || !(flags & PW_CALL_FIRST);
        const real *block_dy = dy + t0 * QKV, *block_x = x + t0 * QKV;
        const real *block_scale = scale + t0 * NORMED;
        backward_gain(dq_gain, block_dy, block_x, block_scale, block, 0, HEADS, adds);
        backward_gain(dk_gain, block_dy, block_x, block_scale, block, HEADS, NORMED, adds);
        for (int64_t t = t0; t < t0 + block; t++) {
            for (int64_t head = 0; head < NORMED; head++)
                backward_head(dx + t * QKV + head * HEAD_DIM, dy + t * QKV + head * HEAD_DIM,
                              x + t * QKV + head * HEAD_DIM, scale[t * NORMED + head],
                              head < HEADS ? q_gain : k_gain);
            copy_values(dx + t * QKV, dy + t * QKV);
        }
    }
}
