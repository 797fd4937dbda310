/* Products against three plain loops, at shapes that fit no tile, and what their bits depend on. */
#include "tests/support/kernel_cases.h"

static void setup(void)
{
    case_state = 4;
}

TestSuite(kernels_matmul, .init = setup);

static int64_t scratch_bytes(int64_t rows, int64_t columns, int64_t depth)
{
    return MATMUL_SCRATCH(rows, columns, depth, (int64_t)sizeof(real));
}

static void forward_case(int64_t n, int64_t out, int64_t in, int with_sum)
{
    real   *x = case_random(n * in), *w = case_random(out * in);
    real   *sum = with_sum ? case_random(n * out) : NULL, *y = case_reals(n * out);
    double *expected = case_doubles(n * out);
    for (int64_t t = 0; t < n; t++)
        for (int64_t o = 0; o < out; o++) {
            double v = sum ? (double)sum[t * out + o] : 0;
            for (int64_t i = 0; i < in; i++)
                v += (double)x[t * in + i] * (double)w[o * in + i];
            expected[t * out + o] = v;
        }
    void *scratch = case_bytes(scratch_bytes(n, out, in));
    PW_KERNEL(matmul_forward)(y, x, w, sum, n, out, in, scratch);
    case_check_scratch(scratch, scratch_bytes(n, out, in));
    case_compare("forward", y, expected, n * out);
    free(x);
    free(w);
    free(sum);
}

static void dx_case(int64_t n, int64_t out, int64_t in)
{
    real   *dy = case_random(n * out), *w = case_random(out * in), *dx = case_reals(n * in);
    double *expected = case_doubles(n * in);
    for (int64_t t = 0; t < n; t++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                expected[t * in + i] += (double)dy[t * out + o] * (double)w[o * in + i];
    void *scratch = case_bytes(scratch_bytes(n, in, out));
    PW_KERNEL(matmul_backward_dx)(dx, dy, w, n, out, in, scratch);
    case_check_scratch(scratch, scratch_bytes(n, in, out));
    case_compare("dx", dx, expected, n * in);
    free(dy);
    free(w);
}

static void dw_case(int64_t n, int64_t out, int64_t in, int32_t flags)
{
    real   *dy = case_random(n * out), *x = case_random(n * in);
    real   *dw       = flags & PW_CALL_FIRST ? case_reals(out * in) : case_random(out * in);
    double *expected = case_doubles(out * in);
    for (int64_t i = 0; i < out * in && !(flags & PW_CALL_FIRST); i++)
        expected[i] = (double)dw[i];
    for (int64_t t = 0; t < n; t++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                expected[o * in + i] += (double)dy[t * out + o] * (double)x[t * in + i];
    void *scratch = case_bytes(scratch_bytes(out, in, n));
    PW_KERNEL(matmul_backward_dw)(dw, dy, x, n, out, in, flags, scratch);
    case_check_scratch(scratch, scratch_bytes(out, in, n));
    case_compare("dw", dw, expected, out * in);
    free(dy);
    free(x);
}

static void all_cases(int64_t n, int64_t out, int64_t in)
{
    forward_case(n, out, in, 0);
    forward_case(n, out, in, 1);
    dx_case(n, out, in);
    dw_case(n, out, in, 0);
    dw_case(n, out, in, PW_CALL_FIRST);
}

Test(kernels_matmul, agrees_with_plain_loops_on_random_shapes)
{
    for (int i = 0; i < 40; i++)
        all_cases(case_between(1, 70), case_between(1, 70), case_between(1, 70));
}

Test(kernels_matmul, agrees_with_plain_loops_across_block_borders)
{
    all_cases(2, MATMUL_COLUMNS + 3, 2 * MATMUL_DEPTH + 1);
    all_cases(MATMUL_ROWS + 1, 3, 2 * MATMUL_DEPTH + 5);
    all_cases(2 * MATMUL_DEPTH + 7, MATMUL_ROWS + 5, MATMUL_COLUMNS + 9);
}

/* Chunks may be cut anywhere: a row's bits depend on that row alone. */
Test(kernels_matmul, bits_of_a_row_do_not_depend_on_the_other_rows)
{
    for (int i = 0; i < 20; i++) {
        int64_t n = case_between(2, 300), out = case_between(1, 90), in = case_between(1, 600);
        int64_t cut = case_between(1, n - 1), size = n * out * (int64_t)sizeof(real);
        real   *x = case_random(n * in), *w = case_random(out * in);
        real   *whole = case_reals(n * out), *parts = case_reals(n * out);
        void   *scratch = case_bytes(scratch_bytes(n, out, in));
        PW_KERNEL(matmul_forward)(whole, x, w, NULL, n, out, in, scratch);
        PW_KERNEL(matmul_forward)(parts, x, w, NULL, cut, out, in, scratch);
        PW_KERNEL(matmul_forward)
        (parts + cut * out, x + cut * in, w, NULL, n - cut, out, in, scratch);
        cr_assert_arr_eq(whole, parts, (size_t)size, "%ld rows cut at %ld", (long)n, (long)cut);
        free(scratch);
        free(x);
        free(w);
        free(whole);
        free(parts);
    }
}
