/* SwiGLU (Shazeer 2020, arXiv 2002.05202): act = gate * sigmoid(gate) * up.
 *   act, dact [n][FFN];  gate_up, dgate_up [n][2][FFN]: gate, then up */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"

#ifndef FFN
#define FFN 704
#endif

/* exp would overflow where the sigmoid of a float is 0 long since. */
VEC_INLINE Vec sigmoid(Vec x)
{
    const real most = sizeof(real) == sizeof(double) ? 700 : 87;
    return 1 / (1 + vec_exp(-vec_max(vec_all(-most), x)));
}

VEC_INLINE Vec forward(Vec gate, Vec up)
{
    return gate * sigmoid(gate) * up;
}

VEC_INLINE Vec backward_gate(Vec d, Vec gate, Vec up)
{
    Vec s = sigmoid(gate);
    return d * up * (s * vec_fma(gate, 1 - s, vec_all(1)));
}

VEC_INLINE Vec backward_up(Vec d, Vec gate)
{
    return d * (gate * sigmoid(gate));
}

void PW_KERNEL(swiglu_forward)(real *act, const real *gate_up, int64_t n)
{
    for (int64_t t = 0; t < n; t++, act += FFN, gate_up += 2 * FFN) {
        int64_t i = 0;
        for (; i + LANES <= FFN; i += LANES)
            vec_store(act + i, forward(vec_load(gate_up + i), vec_load(gate_up + FFN + i)));
        if (i < FFN)
            vec_store_part(act + i,
                           forward(vec_load_part(gate_up + i, FFN - i),
                                   vec_load_part(gate_up + FFN + i, FFN - i)),
                           FFN - i);
    }
}

void PW_KERNEL(swiglu_backward)(real *dgate_up, const real *dact, const real *gate_up, int64_t n)
{
    for (int64_t t = 0; t < n; t++, dact += FFN, gate_up += 2 * FFN, dgate_up += 2 * FFN) {
        int64_t i = 0;
        for (; i + LANES <= FFN; i += LANES) {
            Vec d = vec_load(dact + i), gate = vec_load(gate_up + i);
            vec_store(dgate_up + i, backward_gate(d, gate, vec_load(gate_up + FFN + i)));
            vec_store(dgate_up + FFN + i, backward_up(d, gate));
        }
        if (i < FFN) {
            Vec d    = vec_load_part(dact + i, FFN - i);
            Vec gate = vec_load_part(gate_up + i, FFN - i);
            Vec up   = vec_load_part(gate_up + FFN + i, FFN - i);
            vec_store_part(dgate_up + i, backward_gate(d, gate, up), FFN - i);
            vec_store_part(dgate_up + FFN + i, backward_up(d, gate), FFN - i);
        }
    }
}
