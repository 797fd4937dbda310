/* AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), as PyTorch computes it:
 *   g = factor * gradient;  m1 = beta1 m1 + (1 - beta1) g;  m2 = beta2 m2 + (1 - beta2) g^2
 *   weight = weight (1 - rate decay) - rate / c1 * m1 / (sqrt(m2 / c2) + epsilon)
 * Nothing changes where the factor is not a number or the batch has no weight. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"

typedef struct Numbers {
    Vec factor, beta1, rest1, beta2, rest2, keep, rate, inverse_root2, epsilon;
} Numbers;

VEC_INLINE void update(Vec *weight, Vec *moment1, Vec *moment2, Vec gradient, const Numbers *n)
{
    Vec g       = gradient * n->factor;
    *moment1    = vec_fma(*moment1, n->beta1, g * n->rest1);
    *moment2    = vec_fma(*moment2, n->beta2, g * g * n->rest2);
    Vec divisor = vec_fma(vec_sqrt(*moment2), n->inverse_root2, n->epsilon);
    *weight     = vec_fma(-n->rate, *moment1 / divisor, *weight * n->keep);
}

void PW_KERNEL(adamw)(real *weight, real *moment1, real *moment2, const real *gradient,
                      const double *factor, int64_t count, int decays, const PwStepNumbers *step)
{
    if (!isfinite(factor[0]) || step->inverse_weight == 0)
        return;
    const Numbers numbers = {
        .factor        = vec_all((real)factor[0]),
        .beta1         = vec_all((real)step->beta1),
        .rest1         = vec_all((real)(1 - step->beta1)),
        .beta2         = vec_all((real)step->beta2),
        .rest2         = vec_all((real)(1 - step->beta2)),
        .keep          = vec_all((real)(decays ? 1 - step->learning_rate * step->weight_decay : 1)),
        .rate          = vec_all((real)(step->learning_rate / step->correction1)),
        .inverse_root2 = vec_all((real)(1 / sqrt(step->correction2))),
        .epsilon       = vec_all((real)step->epsilon),
    };
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        Vec w = vec_load(weight + i), m1 = vec_load(moment1 + i), m2 = vec_load(moment2 + i);
        update(&w, &m1, &m2, vec_load(gradient + i), &numbers);
        vec_store(weight + i, w);
        vec_store(moment1 + i, m1);
        vec_store(moment2 + i, m2);
    }
    int64_t rest = count - i;
    if (rest > 0) {
        Vec w  = vec_load_part(weight + i, rest);
        Vec m1 = vec_load_part(moment1 + i, rest), m2 = vec_load_part(moment2 + i, rest);
        update(&w, &m1, &m2, vec_load_part(gradient + i, rest), &numbers);
        vec_store_part(weight + i, w, rest);
        vec_store_part(moment1 + i, m1, rest);
        vec_store_part(moment2 + i, m2, rest);
    }
}
