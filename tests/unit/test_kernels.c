/* Kernels that go row by row, and the update, against float64 loops. */
#include "tests/support/kernel_cases.h"

static void setup(void)
{
    case_state = 3;
}

TestSuite(kernels, .init = setup);

static void embedding_case(int64_t n, int64_t vocabulary, int32_t flags)
{
    real   *table = case_random(vocabulary * HIDDEN), *y = case_reals(n * HIDDEN);
    real   *dy = case_random(n * HIDDEN), *dtable = case_random(vocabulary * HIDDEN);
    int32_t tokens[40];
    double *y_expected = case_doubles(n * HIDDEN), *d_expected = case_doubles(vocabulary * HIDDEN);
    for (int64_t i = 0; i < vocabulary * HIDDEN; i++)
        d_expected[i] = flags & PW_CALL_FIRST ? 0 : (double)dtable[i];
    for (int64_t t = 0; t < n; t++) {
        tokens[t] = (int32_t)case_between(0, vocabulary - 1);
        for (int64_t i = 0; i < HIDDEN; i++) {
            y_expected[t * HIDDEN + i] = (double)table[tokens[t] * HIDDEN + i];
            d_expected[tokens[t] * HIDDEN + i] += (double)dy[t * HIDDEN + i];
        }
    }
    PW_KERNEL(embedding_forward)(y, tokens, table, n);
    PW_KERNEL(embedding_backward)(dtable, dy, tokens, n, vocabulary, flags);
    case_compare("y", y, y_expected, n * HIDDEN);
    case_compare("dtable", dtable, d_expected, vocabulary * HIDDEN);
    free(table);
    free(dy);
}

Test(kernels, embedding_takes_rows_and_adds_their_gradients)
{
    embedding_case(40, 11, 0);
    embedding_case(7, 23, PW_CALL_FIRST);
}

static void rmsnorm_case(int64_t n, int with_sum, int32_t flags)
{
    real   *x = case_random(n * HIDDEN), *gain = case_random(HIDDEN), *y = case_reals(n * HIDDEN);
    real   *scale = case_reals(n), *again = case_reals(n * HIDDEN), *dy = case_random(n * HIDDEN);
    real   *sum = with_sum ? case_random(n * HIDDEN) : NULL, *dx = case_reals(n * HIDDEN);
    real   *dgain = case_random(HIDDEN);
    double *ey = case_doubles(n * HIDDEN), *escale = case_doubles(n);
    double *edx = case_doubles(n * HIDDEN), *edgain = case_doubles(HIDDEN);
    for (int64_t i = 0; i < HIDDEN; i++)
        edgain[i] = flags & PW_CALL_FIRST ? 0 : (double)dgain[i];
    for (int64_t t = 0; t < n; t++) {
        const real *row = x + t * HIDDEN, *drow = dy + t * HIDDEN;
        double      squares = 0, product = 0;
        for (int64_t i = 0; i < HIDDEN; i++) {
            squares += (double)row[i] * (double)row[i];
            product += (double)row[i] * (double)gain[i] * (double)drow[i];
        }
        double s = escale[t] = 1 / sqrt(squares / HIDDEN + (double)EPSILON);
        for (int64_t i = 0; i < HIDDEN; i++) {
            ey[t * HIDDEN + i] = (double)gain[i] * (double)row[i] * s;
            edgain[i] += (double)drow[i] * (double)row[i] * s;
            edx[t * HIDDEN + i] =
                (sum ? (double)sum[t * HIDDEN + i] : 0) +
                s * ((double)gain[i] * (double)drow[i] - (double)row[i] * s * s * product / HIDDEN);
        }
    }
    PW_KERNEL(rmsnorm_forward)(y, scale, x, gain, n);
    PW_KERNEL(rmsnorm_rebuild)(again, x, scale, gain, n);
    cr_assert_arr_eq(y, again, (size_t)(n * HIDDEN) * sizeof(real));
    PW_KERNEL(rmsnorm_backward)(dx, dgain, dy, x, scale, gain, sum, n, flags);
    case_compare("y", y, ey, n * HIDDEN);
    case_compare("scale", scale, escale, n);
    case_compare("dx", dx, edx, n * HIDDEN);
    case_compare("dgain", dgain, edgain, HIDDEN);
    free(x);
    free(gain);
    free(again);
    free(dy);
    free(sum);
}

Test(kernels, rmsnorm_agrees_with_its_formula)
{
    rmsnorm_case(1, 0, PW_CALL_FIRST);
    rmsnorm_case(33, 1, PW_CALL_FIRST);
    rmsnorm_case(95, 1, 0);
}

/* One head: y, its scale, dx, and what the gain's gradient gets. */
static void head_norm_expected(double *y, double *scale, double *dx, double *dgain, const real *dy,
                               const real *x, const real *gain)
{
    double squares = 0, product = 0;
    for (int64_t i = 0; i < HEAD_DIM; i++) {
        squares += (double)x[i] * (double)x[i];
        product += (double)x[i] * (double)gain[i] * (double)dy[i];
    }
    double s = *scale = 1 / sqrt(squares / HEAD_DIM + (double)EPSILON);
    for (int64_t i = 0; i < HEAD_DIM; i++) {
        y[i]  = (double)gain[i] * (double)x[i] * s;
        dx[i] = s * ((double)gain[i] * (double)dy[i] - (double)x[i] * s * s * product / HEAD_DIM);
        dgain[i] += (double)dy[i] * (double)x[i] * s;
    }
}

enum { KV_HEADS = QKV / (HEAD_DIM * (GROUP + 2)), HEADS = KV_HEADS * GROUP };
enum { NORMED = HEADS + KV_HEADS };

/* Gains and their gradients: those of queries, then those of keys. */
static void head_norm_case(int64_t n, int32_t flags)
{
    real   *x = case_random(n * QKV), *gain = case_random(2 * HEAD_DIM), *y = case_reals(n * QKV);
    real   *scale = case_reals(n * NORMED), *dy = case_random(n * QKV), *dx = case_reals(n * QKV);
    real   *dgain = case_random(2 * HEAD_DIM);
    double *ey = case_doubles(n * QKV), *escale = case_doubles(n * NORMED);
    double *edx = case_doubles(n * QKV), *edgain = case_doubles(2 * HEAD_DIM);
    for (int64_t i = 0; i < 2 * HEAD_DIM; i++)
        edgain[i] = flags & PW_CALL_FIRST ? 0 : (double)dgain[i];
    for (int64_t t = 0; t < n; t++) {
        for (int64_t head = 0; head < NORMED; head++) {
            int64_t at = t * QKV + head * HEAD_DIM, which = head < HEADS ? 0 : HEAD_DIM;
            head_norm_expected(ey + at, escale + t * NORMED + head, edx + at, edgain + which,
                               dy + at, x + at, gain + which);
        }
        for (int64_t i = NORMED * HEAD_DIM; i < QKV; i++) { /* values pass */
            ey[t * QKV + i]  = (double)x[t * QKV + i];
            edx[t * QKV + i] = (double)dy[t * QKV + i];
        }
    }
    PW_KERNEL(head_norm_forward)(y, scale, x, gain, gain + HEAD_DIM, n);
    PW_KERNEL(head_norm_backward)
    (dx, dgain, dgain + HEAD_DIM, dy, x, scale, gain, gain + HEAD_DIM, n, flags);
    case_compare("y", y, ey, n * QKV);
    case_compare("scale", scale, escale, n * NORMED);
    case_compare("dx", dx, edx, n * QKV);
    case_compare("dgain", dgain, edgain, 2 * HEAD_DIM);
    free(x);
    free(gain);
    free(dy);
}

Test(kernels, head_norm_agrees_with_its_formula)
{
    head_norm_case(1, PW_CALL_FIRST);
    head_norm_case(21, PW_CALL_FIRST);
    head_norm_case(40, 0);
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

/* Also where a sigmoid is 0 or 1 to the last bit. */
Test(kernels, swiglu_agrees_with_its_formula)
{
    int64_t n       = 17;
    real   *gate_up = case_random(n * 2 * FFN), *dact = case_random(n * FFN);
    real   *act = case_reals(n * FFN), *dgate_up = case_reals(n * 2 * FFN);
    double *eact = case_doubles(n * FFN), *edgate_up = case_doubles(n * 2 * FFN);
    for (int64_t i = 0; i < n * 2 * FFN; i += 3)
        gate_up[i] *= 8;
    gate_up[0] = -2000;
    gate_up[1] = 2000;
    dact[0] = act[1] = 0;
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < FFN; i++) {
            double gate = (double)gate_up[t * 2 * FFN + i], d = (double)dact[t * FFN + i];
            double up = (double)gate_up[t * 2 * FFN + FFN + i], s = 1 / (1 + exp(-gate));
            eact[t * FFN + i]                = silu(gate) * up;
            edgate_up[t * 2 * FFN + i]       = d * up * (s + gate * s * (1 - s));
            edgate_up[t * 2 * FFN + FFN + i] = d * silu(gate);
        }
    PW_KERNEL(swiglu_forward)(act, gate_up, n);
    PW_KERNEL(swiglu_backward)(dgate_up, dact, gate_up, n);
    case_compare("act", act, eact, n * FFN);
    case_compare("dgate_up", dgate_up, edgate_up, n * 2 * FFN);
    free(gate_up);
    free(dact);
}

Test(kernels, grad_norm_sums_squares)
{
    for (int64_t count = 1; count < 100; count += 7) {
        real  *g    = case_random(count);
        double norm = 0, expected = 0;
        for (int64_t i = 0; i < count; i++)
            expected += (double)g[i] * (double)g[i];
        PW_KERNEL(grad_norm)(&norm, g, count);
        cr_assert(fabs(norm - expected) <= 1e-13 * expected);
        free(g);
    }
}

Test(kernels, clip_limits_the_global_norm)
{
    PwStepNumbers step    = {.clip = 1, .inverse_weight = 0.1};
    const double  norms[] = {9, 16}, losses[] = {1, 2};
    double        factor[2];
    PW_KERNEL(clip)(factor, norms, losses, 2, 2, &step);
    cr_assert(factor[0] == 0.2 && factor[1] == 5);
    step.clip = 6;
    PW_KERNEL(clip)(factor, norms, losses, 2, 2, &step);
    cr_assert(factor[0] == 1);
    step.clip = 0;
    PW_KERNEL(clip)(factor, norms, losses, 2, 2, &step);
    cr_assert(factor[0] == 1, "clip 0 does not clip");
}

Test(kernels, clip_stops_what_is_not_finite_or_has_no_weight)
{
    PwStepNumbers step   = {.clip = 1, .inverse_weight = 0.1};
    const double  good[] = {9, 16}, bad[] = {1, INFINITY}, worse[] = {NAN, 1};
    double        factor[2];
    PW_KERNEL(clip)(factor, bad, good, 2, 2, &step);
    cr_assert(isnan(factor[0]));
    PW_KERNEL(clip)(factor, good, worse, 2, 2, &step);
    cr_assert(isnan(factor[0]));
    step.inverse_weight = 0;
    PW_KERNEL(clip)(factor, good, good, 2, 2, &step);
    cr_assert(factor[0] == 0);
}

static void adamw_case(int64_t count, int decays, double factor, double inverse_weight)
{
    PwStepNumbers step      = {.learning_rate  = 0.01,
                               .weight_decay   = 0.1,
                               .beta1          = 0.9,
                               .beta2          = 0.95,
                               .epsilon        = 1e-8,
                               .correction1    = 1 - pow(0.9, 3),
                               .correction2    = 1 - pow(0.95, 3),
                               .inverse_weight = inverse_weight};
    const double  factors[] = {factor, 1};
    real         *w = case_random(count), *m1 = case_random(count), *m2 = case_random(count);
    real         *g  = case_random(count);
    double       *ew = case_doubles(count), *e1 = case_doubles(count), *e2 = case_doubles(count);
    for (int64_t i = 0; i < count; i++) {
        m2[i]     = m2[i] * m2[i];
        double eg = (double)g[i] * factor;
        ew[i]     = (double)w[i];
        e1[i]     = (double)m1[i];
        e2[i]     = (double)m2[i];
        if (!isfinite(factor) || inverse_weight == 0)
            continue;
        e1[i] = step.beta1 * e1[i] + (1 - step.beta1) * eg;
        e2[i] = step.beta2 * e2[i] + (1 - step.beta2) * eg * eg;
        ew[i] *= decays ? 1 - step.learning_rate * step.weight_decay : 1;
        ew[i] -= step.learning_rate * (e1[i] / step.correction1) /
                 (sqrt(e2[i] / step.correction2) + step.epsilon);
    }
    PW_KERNEL(adamw)(w, m1, m2, g, factors, count, decays, &step);
    case_compare("weight", w, ew, count);
    case_compare("moment1", m1, e1, count);
    case_compare("moment2", m2, e2, count);
    free(g);
}

Test(kernels, adamw_agrees_with_its_formula)
{
    adamw_case(3, 1, 0.5, 0.1);
    adamw_case(67, 0, 1, 0.1);
    adamw_case(64, 1, 0.25, 0.1);
}

Test(kernels, adamw_changes_nothing_without_a_finite_factor_or_weight)
{
    adamw_case(37, 1, NAN, 0.1);
    adamw_case(37, 1, 0, 0);
}

/* The sum of d * output, for the output that `forward` makes of x. */
typedef void (*Forward)(real *y, const real *x, const real *gain, int64_t n);

static double product_with(const real *d, real *y, const real *x, const real *gain, int64_t n,
                           int64_t columns, Forward forward)
{
    double sum = 0;
    forward(y, x, gain, n);
    for (int64_t i = 0; i < n * columns; i++)
        sum += (double)d[i] * (double)y[i];
    return sum;
}

static void forward_norm(real *y, const real *x, const real *gain, int64_t n)
{
    real scale[8];
    PW_KERNEL(rmsnorm_forward)(y, scale, x, gain, n);
}

static void forward_head_norm(real *y, const real *x, const real *gain, int64_t n)
{
    real scale[8 * NORMED];
    PW_KERNEL(head_norm_forward)(y, scale, x, gain, gain + HEAD_DIM, n);
}

static void forward_swiglu(real *y, const real *x, const real *gain, int64_t n)
{
    (void)gain;
    PW_KERNEL(swiglu_forward)(y, x, n);
}

static void check_differences(const char *what, real *at, const real *gradient, int64_t count,
                              const real *d, real *y, const real *x, const real *gain, int64_t n,
                              int64_t columns, Forward forward)
{
    const double step = 1e-5;
    for (int i = 0; i < 40; i++) {
        int64_t index = case_between(0, count - 1);
        real    kept  = at[index];
        at[index]     = kept + (real)step;
        double above  = product_with(d, y, x, gain, n, columns, forward);
        at[index]     = kept - (real)step;
        double below  = product_with(d, y, x, gain, n, columns, forward);
        at[index]     = kept;
        double error  = (above - below) / (2 * step) - (double)gradient[index];
        cr_assert(fabs(error) < 1e-7, "%s %ld: off by %g", what, (long)index, error);
    }
}

/* Sharp in double only. */
Test(kernels, gradients_agree_with_finite_differences, .disabled = sizeof(real) == 4)
{
    enum { N = 6 };
    real *x = case_random(N * HIDDEN), *gain = case_random(HIDDEN), *y = case_reals(N * HIDDEN);
    real *d = case_random(N * HIDDEN), *dx = case_reals(N * HIDDEN), *dgain = case_reals(HIDDEN);
    real  scale[N];
    PW_KERNEL(rmsnorm_forward)(y, scale, x, gain, N);
    PW_KERNEL(rmsnorm_backward)(dx, dgain, d, x, scale, gain, NULL, N, PW_CALL_FIRST);
    check_differences("x", x, dx, N * HIDDEN, d, y, x, gain, N, HIDDEN, forward_norm);
    check_differences("gain", gain, dgain, HIDDEN, d, y, x, gain, N, HIDDEN, forward_norm);
    real *gate_up = case_random(N * 2 * FFN), *act = case_reals(N * FFN);
    real *dact = case_random(N * FFN), *dgate_up = case_reals(N * 2 * FFN);
    PW_KERNEL(swiglu_backward)(dgate_up, dact, gate_up, N);
    check_differences("gate_up", gate_up, dgate_up, N * 2 * FFN, dact, act, gate_up, NULL, N, FFN,
                      forward_swiglu);
    real *all[] = {x, gain, y, d, dx, dgain, gate_up, act, dact, dgate_up};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

Test(kernels, head_norm_agrees_with_finite_differences, .disabled = sizeof(real) == 4)
{
    enum { N = 6 };
    real *x = case_random(N * QKV), *gain = case_random(2 * HEAD_DIM), *y = case_reals(N * QKV);
    real *d = case_random(N * QKV), *dx = case_reals(N * QKV), *dgain = case_reals(2 * HEAD_DIM);
    real  scale[N * NORMED];
    PW_KERNEL(head_norm_forward)(y, scale, x, gain, gain + HEAD_DIM, N);
    PW_KERNEL(head_norm_backward)
    (dx, dgain, dgain + HEAD_DIM, d, x, scale, gain, gain + HEAD_DIM, N, PW_CALL_FIRST);
    check_differences("x", x, dx, N * QKV, d, y, x, gain, N, QKV, forward_head_norm);
    check_differences("gain", gain, dgain, 2 * HEAD_DIM, d, y, x, gain, N, QKV, forward_head_norm);
    real *all[] = {x, gain, y, d, dx, dgain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}
