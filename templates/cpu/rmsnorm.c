/* RMSNorm: y = gain * x / rms(x) (Zhang and Sennrich 2019, arXiv 1910.07467).
 *   x, y, dx, dy, sum [n][HIDDEN];  gain, dgain [HIDDEN];  scale [n]: 1 / rms, kept for backward
 * With u = gain * dy:  dx = sum + scale * (u - x * scale^2 * mean(u * x)),
 * dgain += dy * x * scale, added up over BLOCK tokens at a time: rounding grows with their
 * number. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"

#ifndef HIDDEN
#define HIDDEN 256
#define EPSILON ((real)1e-5)
#endif
#define WHOLE (HIDDEN / LANES * LANES)
enum { BLOCK = 32 };

void PW_KERNEL(rmsnorm_rebuild)(real *y, const real *x, const real *scale, const real *gain,
                                int64_t n)
{
    for (int64_t t = 0; t < n; t++, x += HIDDEN, y += HIDDEN)
        for (int64_t i = 0; i < HIDDEN; i++)
            y[i] = gain[i] * (x[i] * scale[t]);
}

void PW_KERNEL(rmsnorm_forward)(real *y, real *scale, const real *x, const real *gain, int64_t n)
{
    for (int64_t t = 0; t < n; t++) {
        const real *row  = x + t * HIDDEN;
        Vec         even = {0}, odd = {0};
        int64_t     i = 0;
        for (; i + 2 * LANES <= HIDDEN; i += 2 * LANES) {
            Vec v = vec_load(row + i), w = vec_load(row + i + LANES);
            even = vec_fma(v, v, even);
            odd  = vec_fma(w, w, odd);
        }
        for (; i < HIDDEN; i += LANES) {
            Vec v = vec_load_part(row + i, HIDDEN - i < LANES ? HIDDEN - i : LANES);
            even  = vec_fma(v, v, even);
        }
        scale[t] = 1 / pw_sqrt(vec_sum(even + odd) / HIDDEN + EPSILON);
        PW_KERNEL(rmsnorm_rebuild)(y + t * HIDDEN, row, scale + t, gain, 1);
    }
}

/* dx of one token. sum may be NULL or dx itself. */
static void backward_token(real *dx, const real *dy, const real *x, real scale, const real *gain,
                           const real *sum)
{
    Vec     even = {0}, odd = {0};
    int64_t i = 0;
    for (; i + 2 * LANES <= HIDDEN; i += 2 * LANES) {
        even = vec_fma(vec_load(gain + i) * vec_load(dy + i), vec_load(x + i), even);
        odd  = vec_fma(vec_load(gain + i + LANES) * vec_load(dy + i + LANES),
                       vec_load(x + i + LANES), odd);
    }
    for (; i < HIDDEN; i += LANES) {
        int64_t part = HIDDEN - i < LANES ? HIDDEN - i : LANES;
        even         = vec_fma(vec_load_part(gain + i, part) * vec_load_part(dy + i, part),
                               vec_load_part(x + i, part), even);
    }
    real mean = vec_sum(even + odd) / HIDDEN * scale * scale;
    for (i = 0; i < WHOLE; i += LANES) {
        Vec u = vec_load(gain + i) * vec_load(dy + i);
        Vec d = vec_fma(vec_load(x + i), vec_all(-mean), u);
        vec_store(dx + i, vec_fma(d, vec_all(scale), sum ? vec_load(sum + i) : (Vec){0}));
    }
    for (; i < HIDDEN; i++) {
        real d = pw_fma(x[i], -mean, gain[i] * dy[i]);
        dx[i]  = pw_fma(d, scale, sum ? sum[i] : 0);
    }
}

static void backward_gain(real *dgain, const real *dy, const real *x, const real *scale, int64_t n,
                          int adds)
{
    for (int64_t i = 0; i < HIDDEN; i += LANES) {
        int64_t part = HIDDEN - i < LANES ? HIDDEN - i : LANES;
        Vec     d    = {0};
        for (int64_t t = 0; t < n; t++) {
            const real *to_dy = dy + t * HIDDEN + i, *to_x = x + t * HIDDEN + i;
            Vec         a = part == LANES ? vec_load(to_dy) : vec_load_part(to_dy, part);
            Vec         b = part == LANES ? vec_load(to_x) : vec_load_part(to_x, part);
            d             = vec_fma(a, b * vec_all(scale[t]), d);
        }
        if (adds)
            d += vec_load_part(dgain + i, part);
        vec_store_part(dgain + i, d, part);
    }
}

void PW_KERNEL(rmsnorm_backward)(real *dx, real *dgain, const real *dy, const real *x,
                                 const real *scale, const real *gain, const real *sum, int64_t n,
                                 int32_t flags)
{
    for (int64_t t0 = 0; t0 < n; t0 += BLOCK) {
        int64_t block = n - t0 < BLOCK ? n - t0 : BLOCK;
        backward_gain(dgain, dy + t0 * HIDDEN, x + t0 * HIDDEN, scale + t0, block,
                      t0 > 0 || !(flags & PW_CALL_FIRST));
        for (int64_t t = t0; t < t0 + block; t++)
            backward_token(dx + t * HIDDEN, dy + t * HIDDEN, x + t * HIDDEN, scale[t], gain,
                           sum ? sum + t * HIDDEN : NULL);
    }
}
