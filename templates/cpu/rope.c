/* Rotary position embedding (Su et al. 2021, arXiv 2104.09864), halves as in Hugging Face's Llama:
 *   out[j] = x[j] cos - x[j + d/2] sin;  out[j + d/2] = x[j + d/2] cos + x[j] sin
 *   qkv, dqkv [tokens][QKV]: queries, keys, values;  q, dq [tokens][HEADS][HEAD_DIM]
 *   table [position][HEAD_DIM / 2][2]: cos and sin
 * Forward takes qkv apart: rotated queries to q, rotated keys and values to the segments' own rows
 * of their chains' buffers. Backward puts it together again, turning the other way. */
#include "templates/cpu/kernels.h"

#ifndef HEAD_DIM
#define HEAD_DIM 64
#define GROUP 1 /* query heads per head of keys and values */
#define QKV 768
#endif
#define HALF (HEAD_DIM / 2)
#define KV_HEADS (QKV / (HEAD_DIM * (GROUP + 2)))
#define HEADS (KV_HEADS * GROUP)
#define KV_ROW (2 * KV_HEADS * HEAD_DIM)
#ifndef SHAPES_AT_RUN_TIME /* bench/step measures what constants are worth */
_Static_assert(QKV == HEAD_DIM * (HEADS + 2 * KV_HEADS), "QKV is all heads");
#endif

/* Heads that lie one after another; `turn` is 1 forward, -1 backward. */
static void rotate(real *restrict to, const real *restrict from, const real *restrict angles,
                   int64_t heads, real turn)
{
    for (int64_t head = 0; head < heads; head++, to += HEAD_DIM, from += HEAD_DIM)
        for (int64_t j = 0; j < HALF; j++) {
            real c = angles[2 * j], s = turn * angles[2 * j + 1];
            to[j]        = pw_fma(from[j], c, -(from[j + HALF] * s));
            to[j + HALF] = pw_fma(from[j + HALF], c, from[j] * s);
        }
}

void PW_KERNEL(rope_forward)(real *q, const real *qkv, const real *table, const PwCall *call)
{
    for (int64_t s = 0; s < call->nsegments; s++) {
        const PwSegment *segment = &call->segments[s];
        real            *kv      = (real *)(call->arena + segment->kv) + segment->context * KV_ROW;
        for (int64_t t = 0; t < segment->tokens; t++) {
            const real *from   = qkv + (segment->row + t) * QKV;
            const real *angles = table + (segment->context + t) * HEAD_DIM;
            rotate(q + (segment->row + t) * HEADS * HEAD_DIM, from, angles, HEADS, 1);
            if (segment->flags & PW_SEGMENT_KV_KEPT)
                continue;
            rotate(kv + t * KV_ROW, from + HEADS * HEAD_DIM, angles, KV_HEADS, 1);
            __builtin_memcpy(kv + t * KV_ROW + KV_HEADS * HEAD_DIM,
                             from + (HEADS + KV_HEADS) * HEAD_DIM,
                             KV_HEADS * HEAD_DIM * sizeof(real));
        }
    }
}

void PW_KERNEL(rope_backward)(real *dqkv, const real *dq, const real *table, const PwCall *call)
{
    for (int64_t s = 0; s < call->nsegments; s++) {
        const PwSegment *segment = &call->segments[s];
        const real *dkv = (const real *)(call->arena + segment->dkv) + segment->context * KV_ROW;
        for (int64_t t = 0; t < segment->tokens; t++) {
            real       *to     = dqkv + (segment->row + t) * QKV;
            const real *angles = table + (segment->context + t) * HEAD_DIM;
            rotate(to, dq + (segment->row + t) * HEADS * HEAD_DIM, angles, HEADS, -1);
            rotate(to + HEADS * HEAD_DIM, dkv + t * KV_ROW, angles, KV_HEADS, -1);
            __builtin_memcpy(to + (HEADS + KV_HEADS) * HEAD_DIM,
                             dkv + t * KV_ROW + KV_HEADS * HEAD_DIM,
                             KV_HEADS * HEAD_DIM * sizeof(real));
        }
    }
}
