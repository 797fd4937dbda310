/* The head: projection to the vocabulary and cross-entropy, in blocks of HEAD_TOKENS tokens whose
 * logits stand in scratch and become their gradients in place: no logits live between calls.
 *   x, dx [tokens][HIDDEN];  w, dw [vocabulary][HIDDEN];  loss [segments], one double each
 *   targets, weights [tokens]; where a weight is 0 the target may be any number
 * A token's loss is weight * (log sum exp(logits) - logit of its target), summed in double in the
 * order of tokens. Gradients are of the sum of losses over the whole batch, divided by the sum of
 * its weights (inverse_weight). */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"
#include "templates/scratch.h"

#ifndef HIDDEN
#define HIDDEN 256
#endif

/* 1 / sum of exp(logit - maximum), the logits turned into those powers. */
typedef struct Softmax {
    real maximum, sum;
} Softmax;

static real largest(const real *logits, int64_t count)
{
    Vec     most = vec_all(logits[0]);
    int64_t i    = 0;
    for (; i + LANES <= count; i += LANES)
        most = vec_max(most, vec_load(logits + i));
    real maximum = vec_largest(most);
    for (; i < count; i++)
        maximum = logits[i] > maximum ? logits[i] : maximum;
    return maximum;
}

/* logits become exp(logits - maximum). */
static Softmax exponentiate(real *logits, int64_t count)
{
    Softmax softmax = {.maximum = largest(logits, count)};
    Vec     shift = vec_all(softmax.maximum), sum = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        Vec p = vec_exp(vec_load(logits + i) - shift);
        sum += p;
        vec_store(logits + i, p);
    }
    real rest = 0;
    if (i < count) {
        Vec p = vec_exp(vec_load_part(logits + i, count - i) - shift);
        vec_store_part(logits + i, p, count - i);
        for (; i < count; i++)
            rest += logits[i];
    }
    softmax.sum = vec_sum(sum) + rest;
    return softmax;
}

static void multiply_row(real *row, real factor, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        row[i] *= factor;
}

/* Loss of one token; its logits become their gradient times `share`, where there is one. */
static double token_loss(real *logits, int32_t target, float weight, double share, int64_t count)
{
    if (weight == 0) {
        __builtin_memset(logits, 0, (size_t)count * sizeof(real));
        return 0;
    }
    real    logit   = logits[target];
    Softmax softmax = exponentiate(logits, count);
    real    factor  = (real)(weight * share);
    multiply_row(logits, factor / softmax.sum, count);
    logits[target] -= factor;
    return (double)weight * (log((double)softmax.sum) + (double)softmax.maximum - (double)logit);
}

/* Losses of rows [row, row + rows) of the call, added to those of their segments. */
static void add_losses(double *loss, real *logits, const int32_t *targets, const float *weights,
                       const PwCall *call, int64_t row, int64_t rows)
{
    int64_t segment = 0;
    for (int64_t t = row; t < row + rows; t++, logits += call->vocabulary) {
        while (segment + 1 < call->nsegments && t >= call->segments[segment + 1].row)
            segment++;
        loss[segment] += token_loss(logits, targets[t], weights[t], call->step->inverse_weight,
                                    call->vocabulary);
    }
}

/* The logits stand behind the room of the products. */
static real *behind(void *scratch, int64_t room)
{
    return (real *)((unsigned char *)scratch + room);
}

static void head(real *dx, real *dw, double *loss, const real *x, const real *w,
                 const int32_t *targets, const float *weights, const PwCall *call, void *room,
                 real *logits)
{
    for (int64_t segment = 0; segment < call->nsegments; segment++)
        loss[segment] = 0;
    for (int64_t row = 0; row < call->tokens; row += HEAD_TOKENS) {
        int64_t rows  = call->tokens - row < HEAD_TOKENS ? call->tokens - row : HEAD_TOKENS;
        int32_t flags = row > 0 ? 0 : call->flags;
        PW_KERNEL(matmul_forward)
        (logits, x + row * HIDDEN, w, NULL, rows, call->vocabulary, HIDDEN, room);
        add_losses(loss, logits, targets, weights, call, row, rows);
        if (!dx)
            continue;
        PW_KERNEL(matmul_backward_dx)
        (dx + row * HIDDEN, logits, w, rows, call->vocabulary, HIDDEN, room);
        PW_KERNEL(matmul_backward_dw)
        (dw, logits, x + row * HIDDEN, rows, call->vocabulary, HIDDEN, flags, room);
    }
}

void PW_KERNEL(head_loss)(real *dx, real *dw, double *loss, const real *x, const real *w,
                          const int32_t *targets, const float *weights, const PwCall *call,
                          void *scratch)
{
    const int64_t room = HEAD_LOSS_ROOM(call->vocabulary, HIDDEN, (int64_t)sizeof(real));
    head(dx, dw, loss, x, w, targets, weights, call, scratch, behind(scratch, room));
}

void PW_KERNEL(head_evaluate)(double *loss, const real *x, const real *w, const int32_t *targets,
                              const float *weights, const PwCall *call, void *scratch)
{
    const int64_t room = HEAD_ROOM(HEAD_TOKENS, call->vocabulary, HIDDEN, (int64_t)sizeof(real));
    head(NULL, NULL, loss, x, w, targets, weights, call, scratch, behind(scratch, room));
}

/* A number in [0, 1) from the seed and the position (splitmix64). */
static double draw(uint64_t seed, uint64_t position)
{
    uint64_t z = seed + (position + 1) * 0x9e3779b97f4a7c15u;
    z          = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z          = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* The token after the call's last one, drawn from the softmax of logits / temperature; temperature
 * 0 takes the largest logit, the lowest number among equals. */
void PW_KERNEL(head_sample)(int32_t *next, const real *x, const real *w, const PwCall *call,
                            void *scratch)
{
    const PwSegment *last       = &call->segments[call->nsegments - 1];
    const int64_t    vocabulary = call->vocabulary;
    real *logits = behind(scratch, HEAD_ROOM(1, vocabulary, HIDDEN, (int64_t)sizeof(real)));
    PW_KERNEL(matmul_forward)
    (logits, x + (call->tokens - 1) * HIDDEN, w, NULL, 1, vocabulary, HIDDEN, scratch);
    if (call->step->temperature == 0) {
        int32_t best = 0;
        for (int64_t i = 1; i < vocabulary; i++)
            best = logits[i] > logits[best] ? (int32_t)i : best;
        *next = best;
        return;
    }
    multiply_row(logits, (real)(1 / call->step->temperature), vocabulary);
    Softmax softmax = exponentiate(logits, vocabulary);
    double  left    = draw(call->step->seed, (uint64_t)last->context + (uint64_t)last->tokens);
    left *= (double)softmax.sum;
    int64_t token = 0;
    for (; token < vocabulary - 1; token++) {
        left -= (double)logits[token];
        if (left < 0)
            break;
    }
    *next = (int32_t)token;
}
