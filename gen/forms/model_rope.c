/* model_rope: the frequencies of RoPE (Su et al. 2021, arXiv 2104.09864) and of its extensions to
 * longer contexts: linear, Llama 3's, YaRN (Peng et al. 2023, arXiv 2309.00071); as transformers'
 * modeling_rope_utils has them. Of libm only sqrt, so that every machine gets the same bits: roots
 * by Newton's method, logarithms by their series. */
#include <math.h>
#include <string.h>

#include "gen/forms/model.h"

static const double pi = 3.14159265358979323846;

static double power(double base, int64_t exponent)
{
    double result = 1;
    for (; exponent > 0; exponent /= 2, base *= base)
        if (exponent % 2 == 1)
            result *= base;
    return result;
}

/* base^(1/degree), base > 1: Newton from above, where it only falls until rounding stops it. */
static double root(double base, int64_t degree)
{
    double x = 1 + (base - 1) / (double)degree; /* Bernoulli: not below the root */
    for (;;) {
        double next = x - (x - base / power(x, degree - 1)) / (double)degree;
        if (!(next < x))
            return x;
        x = next;
    }
}

/* log(1 + t) = 2 artanh(t / (2 + t)), after taking square roots until the value is near 1. */
static double logarithm(double x)
{
    int halvings = 0;
    for (; x > 1.1 || x < 0.9; halvings++)
        x = sqrt(x);
    double z = (x - 1) / (x + 1), square = z * z, term = z, sum = z;
    for (int i = 3; i < 40; i += 2) {
        term *= square;
        sum += term / i;
    }
    return 2 * sum * power(2, halvings);
}

static double within(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double scale_llama3(const RopeScaling *rope, double frequency)
{
    double wave = 2 * pi / frequency, context = (double)rope->original_context;
    if (wave < context / rope->high_frequency)
        return frequency;
    if (wave > context / rope->low_frequency)
        return frequency / rope->factor;
    double share =
        (context / wave - rope->low_frequency) / (rope->high_frequency - rope->low_frequency);
    return (1 - share) * frequency / rope->factor + share * frequency;
}

/* The dimension that turns `turns` times within the original context. */
static double yarn_dimension(const Model *model, double turns)
{
    return (double)model->head_dim *
           logarithm((double)model->rope.original_context / (2 * pi * turns)) /
           (2 * logarithm(model->rope_theta));
}

static void scale_yarn(const Model *model, double *frequency)
{
    const RopeScaling *rope = &model->rope;
    double             low  = within(floor(yarn_dimension(model, rope->beta_fast)), 0, 1e9);
    double             high =
        within(ceil(yarn_dimension(model, rope->beta_slow)), 0, (double)model->head_dim - 1);
    if (low == high)
        high += 0.001;
    for (int64_t j = 0; j < model->head_dim / 2; j++) {
        double ramp  = within(((double)j - low) / (high - low), 0, 1);
        frequency[j] = ramp * frequency[j] / rope->factor + (1 - ramp) * frequency[j];
    }
}

double model_rope(const Model *model, double *frequency)
{
    const RopeScaling *rope = &model->rope;
    int64_t            half = model->head_dim / 2;
    bool               yarn = strcmp(rope->type, "yarn") == 0;
    double             base = root(model->rope_theta, half); /* theta^(2 / head_dim) */
    for (int64_t j = 0; j < half; j++) {
        frequency[j] = (float)(1 / power(base, j));
        if (strcmp(rope->type, "linear") == 0)
            frequency[j] /= rope->factor;
        else if (strcmp(rope->type, "llama3") == 0)
            frequency[j] = scale_llama3(rope, frequency[j]);
    }
    if (yarn)
        scale_yarn(model, frequency);
    for (int64_t j = 0; j < half; j++)
        frequency[j] = (float)frequency[j];
    if (!yarn)
        return 1;
    return rope->attention_factor > 0 ? rope->attention_factor
           : rope->factor > 1         ? 0.1 * logarithm(rope->factor) + 1
                                      : 1;
}
