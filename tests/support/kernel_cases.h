/* kernel_cases.h: what the tests of kernels share: random numbers from a seed, arrays that end in a
 * guard, and the largest error against a float64 reference. Kernels are compiled once per set of
 * shapes (tests/meson.build); the reference loops take the same constants. */
#ifndef PIPEWRIGHT_KERNEL_CASES_H
#define PIPEWRIGHT_KERNEL_CASES_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "templates/cpu/kernels.h"
#include "templates/scratch.h"

enum { GUARD = 64, GUARD_BYTE = 0xa5 };

/* How far sums of some hundred terms may be off, for numbers about 1. */
static const double kernel_tolerance = sizeof(real) == sizeof(double) ? 1e-12 : 2e-5;

static uint64_t case_state;

static inline double case_unit(void)
{
    case_state = case_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(case_state >> 11) * 0x1p-53;
}

static inline int64_t case_between(int64_t low, int64_t high)
{
    return low + (int64_t)(case_unit() * (double)(high - low + 1));
}

/* Bytes at a multiple of PW_ALIGN, with a guard behind them; all of it is GUARD_BYTE. */
static inline void *case_bytes(int64_t bytes)
{
    size_t         size = ((size_t)bytes + GUARD + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
    unsigned char *p    = aligned_alloc(PW_ALIGN, size);
    cr_assert_not_null(p);
    memset(p, GUARD_BYTE, size);
    return p;
}

static inline void case_check_guard(const void *p, int64_t bytes)
{
    const unsigned char *end = (const unsigned char *)p + bytes;
    for (int i = 0; i < GUARD; i++)
        cr_assert_eq(end[i], GUARD_BYTE, "byte %d behind the end was written", i);
}

/* Checks that a kernel used its scratch to the end and no further, and frees it. */
static inline void case_check_scratch(void *p, int64_t bytes)
{
    const unsigned char *end  = (const unsigned char *)p + bytes;
    int                  used = 0;
    case_check_guard(p, bytes);
    for (int i = 1; i <= PW_ALIGN && i <= bytes; i++)
        used = used || end[-i] != GUARD_BYTE;
    cr_assert(used, "%ld bytes of scratch are declared, the last ones not written", (long)bytes);
    free(p);
}

static inline real *case_reals(int64_t count)
{
    return case_bytes(count * (int64_t)sizeof(real));
}

static inline real *case_random(int64_t count)
{
    real *p = case_reals(count);
    for (int64_t i = 0; i < count; i++)
        p[i] = (real)(2 * case_unit() - 1);
    return p;
}

/* Checks the guard, compares with the reference relative to its largest element, frees both. */
static inline void case_compare(const char *what, real *p, double *expected, int64_t count)
{
    double largest = 1, error = 0;
    case_check_guard(p, count * (int64_t)sizeof(real));
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)p[i] - expected[i]);
        cr_assert(isfinite(difference), "%s: element %ld is %g", what, (long)i, (double)p[i]);
        error = fmax(error, difference);
    }
    cr_assert(error <= kernel_tolerance * largest, "%s: off by %g of %g", what, error, largest);
    free(p);
    free(expected);
}

static inline double *case_doubles(int64_t count)
{
    double *p = calloc((size_t)count + 1, sizeof *p);
    cr_assert_not_null(p);
    return p;
}

#endif
