/* vector.h: a vector of `real`, as wide as the machine's registers, by one-line named functions:
 * the kernels say vec_fma and compile for AVX-512, AVX2 and anything else that the compiler
 * vectorises. Nothing contracts (-ffp-contract=off): a fused multiply-add stands where it is meant.
 * Sums over lanes have one order, by halves, so results are the same in every run on one class of
 * machine. */
#ifndef PW_VECTOR_H
#define PW_VECTOR_H

#include "runtime/kernel.h"

#if defined __AVX512F__ || (defined __AVX2__ && defined __FMA__)
#include <immintrin.h>
#endif

#if defined __AVX512F__
#define VEC_BYTES 64
#define VEC_INTRINSIC(name)                                                                        \
    _Generic((real)0, float : _mm512_##name##_ps, default : _mm512_##name##_pd)
#elif defined __AVX2__ && defined __FMA__
#define VEC_BYTES 32
#define VEC_INTRINSIC(name)                                                                        \
    _Generic((real)0, float : _mm256_##name##_ps, default : _mm256_##name##_pd)
#else
#define VEC_BYTES 16
#endif

enum { LANES = VEC_BYTES / sizeof(real) };

typedef __typeof__(_Generic((real)0, float : (int32_t)0, default : (int64_t)0)) RealBits;
typedef real     Vec __attribute__((vector_size(VEC_BYTES)));
typedef RealBits VecBits __attribute__((vector_size(VEC_BYTES)));
typedef real VecAnywhere __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));

#define VEC_INLINE static inline __attribute__((always_inline, unused))

/* Before a loop whose count is a constant, and whose arrays of vectors are to be registers. */
#ifdef __clang__
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 16")
#endif

VEC_INLINE Vec vec_load(const real *from)
{
    return *(const VecAnywhere *)from;
}

VEC_INLINE void vec_store(real *to, Vec v)
{
    *(VecAnywhere *)to = v;
}

VEC_INLINE Vec vec_all(real x)
{
    return x - (Vec){0};
}

/* The first `count` lanes; the others are zero, and nothing behind them is read. */
VEC_INLINE Vec vec_load_part(const real *from, int64_t count)
{
    Vec v = {0};
    for (int64_t lane = 0; lane < count; lane++)
        v[lane] = from[lane];
    return v;
}

VEC_INLINE void vec_store_part(real *to, Vec v, int64_t count)
{
    for (int64_t lane = 0; lane < count; lane++)
        to[lane] = v[lane];
}

#ifdef VEC_INTRINSIC

VEC_INLINE Vec vec_fma(Vec a, Vec b, Vec c)
{
    return VEC_INTRINSIC(fmadd)(a, b, c);
}

/* b where either is not a number. */
VEC_INLINE Vec vec_max(Vec a, Vec b)
{
    return VEC_INTRINSIC(max)(a, b);
}

VEC_INLINE Vec vec_sqrt(Vec a)
{
    return VEC_INTRINSIC(sqrt)(a);
}

#else

/* Where fma is no instruction it would be a call into libm for every lane: rounded twice instead,
 * the same way in every kernel. */
VEC_INLINE Vec vec_fma(Vec a, Vec b, Vec c)
{
#ifdef __FP_FAST_FMAF
    for (int lane = 0; lane < LANES; lane++)
        c[lane] = pw_fma(a[lane], b[lane], c[lane]);
    return c;
#else
    return a * b + c;
#endif
}

VEC_INLINE Vec vec_max(Vec a, Vec b)
{
    VecBits above = a > b;
    return (Vec)((above & (VecBits)a) | (~above & (VecBits)b));
}

VEC_INLINE Vec vec_sqrt(Vec a)
{
    for (int lane = 0; lane < LANES; lane++)
        a[lane] = pw_sqrt(a[lane]);
    return a;
}

#endif

/* Lanes [0, count) set. */
VEC_INLINE VecBits vec_first(int64_t count)
{
    VecBits lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    return lane < (RealBits)count;
}

/* Lanes of v where mask is set (all bits of a lane), else 0. */
VEC_INLINE Vec vec_where(VecBits mask, Vec v)
{
    return (Vec)(mask & (VecBits)v);
}

/* Lanes of a where mask is set, else of b. */
VEC_INLINE Vec vec_either(VecBits mask, Vec a, Vec b)
{
    return (Vec)((mask & (VecBits)a) | (~mask & (VecBits)b));
}

/* Lane i is lane from[i] of a and b, one behind the other. */
VEC_INLINE Vec vec_shuffle(Vec a, Vec b, VecBits from)
{
#ifdef __clang__ /* has no shuffle by a vector, and makes one of this */
    Vec v = a;
    for (int lane = 0; lane < LANES; lane++)
        v[lane] = from[lane] < LANES ? a[from[lane]] : b[from[lane] - LANES];
    return v;
#else
    return __builtin_shuffle(a, b, from);
#endif
}

/* Every lane moved down by `count`; what comes in above is of no use. */
VEC_INLINE Vec vec_down(Vec v, int count)
{
    VecBits from;
    for (int lane = 0; lane < LANES; lane++)
        from[lane] = (lane + count) % LANES;
    return vec_shuffle(v, v, from);
}

VEC_INLINE real vec_sum(Vec v)
{
    VEC_UNROLL
    for (int half = LANES / 2; half > 0; half /= 2)
        v += vec_down(v, half);
    return v[0];
}

/* The largest lane; no lane may be NaN for it to mean anything. */
VEC_INLINE real vec_largest(Vec v)
{
    VEC_UNROLL
    for (int half = LANES / 2; half > 0; half /= 2)
        v = vec_max(v, vec_down(v, half));
    return v[0];
}

/* 2^x for x above the smallest normal exponent, below which it stays there; NaN stays NaN.
 * x = n + r with r in [-1/2, 1/2]: adding 1.5 * 2^(mantissa bits) leaves n in the low bits, which
 * go to the exponent. (2^r - 1) / r is a polynomial through Chebyshev's points: its error is 4e-9
 * for float, 7e-18 for double. */
VEC_INLINE Vec vec_exp2(Vec x)
{
    static const double for_float[]  = {0.69314718802622877,   0.24022650760568126,
                                        0.055503571142190782,  0.0096180825572778524,
                                        0.0013390863364671234, 0.00015453162945120691};
    static const double for_double[] = {
        0.69314718055994529,    0.24022650695910097,    0.055504108664821597,
        0.0096181291076068882,  0.0013333558146416936,  0.0001540353044173605,
        1.5252733829836119e-05, 1.3215442587921689e-06, 1.0178062445845774e-07,
        7.0725859492692234e-09, 4.4549605981865186e-10};
    enum { DOUBLE = sizeof(real) == sizeof(double), DEGREE = DOUBLE ? 11 : 6 };
    const double *coefficient = DOUBLE ? for_double : for_float;
    const Vec     shift       = vec_all(DOUBLE ? (real)6755399441055744.0 : (real)12582912.0);
    x                         = vec_max(vec_all(DOUBLE ? -1022 : -126), x);
    Vec n                     = x + shift;
    Vec r                     = x - (n - shift);
    Vec y                     = vec_all((real)coefficient[DEGREE - 1]);
    for (int i = DEGREE - 2; i >= 0; i--)
        y = vec_fma(y, r, vec_all((real)coefficient[i]));
    y = vec_fma(y, r, vec_all(1));
    return (Vec)((VecBits)y + ((VecBits)n << (DOUBLE ? 52 : 23)));
}

/* e^x, with the rounding of x log2(e) given back: x = n ln 2 + r is not needed to better than that,
 * since 2^(h + l) = 2^h + 2^h l ln 2 for a small l. Results below the smallest normal number stay
 * there; x must not be above the largest exponent. */
VEC_INLINE Vec vec_exp(Vec x)
{
    const real log2_e = (real)1.44269504088896340736;
    const real rest   = (real)(1.44269504088896340736 - (double)(real)1.44269504088896340736);
    Vec        high   = x * vec_all(log2_e);
    Vec        low    = vec_fma(x, vec_all(log2_e), -high);
    Vec        y      = vec_exp2(high);
    low               = vec_fma(x, vec_all(rest), low);
    return vec_fma(y, low * vec_all((real)0.69314718055994530942), y);
}

#endif
