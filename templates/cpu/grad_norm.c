/* The global norm of the gradient, and the factor that clips it (Pascanu et al. 2013, arXiv
 * 1211.5063). Squares are summed in double: of a tensor on its home, then over all tensors by
 * number on every rank, so that every rank finds the same factor. */
#include "templates/cpu/kernels.h"

/* In SUMS partial sums, each of every SUMS-th element: vectorised, and in the same order always. */
enum { SUMS = 16 };

void PW_KERNEL(grad_norm)(double *norm, const real *gradient, int64_t count)
{
    double  part[SUMS] = {0};
    int64_t i          = 0;
    for (; i + SUMS <= count; i += SUMS)
        for (int lane = 0; lane < SUMS; lane++) {
            double g   = (double)gradient[i + lane];
            part[lane] = part[lane] + g * g;
        }
    for (int lane = 0; i < count; i++, lane++)
        part[lane] += (double)gradient[i] * (double)gradient[i];
    for (int half = SUMS / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            part[lane] += part[lane + half];
    *norm = part[0];
}

/* factor[0]: what gradients are multiplied with; NaN where a norm or a loss is not finite, 0 where
 * the batch has no weight. factor[1]: the global norm. */
void PW_KERNEL(clip)(double *factor, const double *norms, const double *losses, int64_t ntensors,
                     int64_t nlosses, const PwStepNumbers *step)
{
    double squares = 0, loss = 0;
    for (int64_t i = 0; i < ntensors; i++)
        squares += norms[i];
    for (int64_t i = 0; i < nlosses; i++)
        loss += losses[i];
    double norm = sqrt(squares);
    factor[1]   = norm;
    if (!isfinite(norm) || !isfinite(loss))
        factor[0] = NAN;
    else if (step->inverse_weight == 0)
        factor[0] = 0;
    else
        factor[0] = step->clip > 0 && norm > step->clip ? step->clip / norm : 1;
}
