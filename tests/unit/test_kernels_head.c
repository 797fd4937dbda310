/* The head's loss and gradients against float64, and in the double build against finite
 * differences; sampling. */
#include "tests/support/kernel_cases.h"

enum { NSEGMENTS = 3 };

typedef struct Head {
    PwSegment     segments[NSEGMENTS];
    PwStepNumbers step;
    PwCall        call;
    real         *x, *w;
    int32_t      *targets;
    float        *weights;
    void         *scratch;
} Head;

static int64_t scratch_bytes(const PwCall *call)
{
    int64_t rows = SCRATCH_LESS(call->tokens, (int64_t)HEAD_TOKENS), element = sizeof(real);
    return HEAD_LOSS_ROOM(call->vocabulary, HIDDEN, element) + rows * call->vocabulary * element;
}

static void head_make(Head *h, int64_t vocabulary, const int32_t *lengths)
{
    *h      = (Head){.step = {.inverse_weight = 0.125, .seed = 5}};
    h->call = (PwCall){.segments   = h->segments,
                       .nsegments  = NSEGMENTS,
                       .step       = &h->step,
                       .vocabulary = vocabulary};
    for (int s = 0; s < NSEGMENTS; s++) {
        h->segments[s] = (PwSegment){.row = (int32_t)h->call.tokens, .tokens = lengths[s]};
        h->call.tokens += lengths[s];
    }
    h->x       = case_random(h->call.tokens * HIDDEN);
    h->w       = case_random(vocabulary * HIDDEN);
    h->targets = case_bytes(h->call.tokens * 4);
    h->weights = case_bytes(h->call.tokens * 4);
    h->scratch = case_bytes(scratch_bytes(&h->call));
    for (int64_t t = 0; t < h->call.tokens; t++) {
        h->weights[t] = t % 5 == 1 ? 0 : (float)(0.25 * (double)case_between(1, 8));
        h->targets[t] = t % 5 == 1 ? -1 : (int32_t)case_between(0, vocabulary - 1);
    }
}

static void head_free(Head *h)
{
    case_check_guard(h->scratch, scratch_bytes(&h->call));
    free(h->x);
    free(h->w);
    free(h->targets);
    free(h->weights);
    free(h->scratch);
}

/* Losses by segment; gradients added to dx and dw where they are there. */
static void head_reference(const Head *h, double *loss, double *dx, double *dw)
{
    int64_t vocabulary = h->call.vocabulary;
    double *p          = case_doubles(vocabulary);
    for (int s = 0; s < NSEGMENTS; s++) {
        loss[s] = 0;
        for (int64_t t = h->segments[s].row; t < h->segments[s].row + h->segments[s].tokens; t++) {
            double largest = -INFINITY, sum = 0;
            if (h->weights[t] == 0)
                continue;
            for (int64_t v = 0; v < vocabulary; v++) {
                p[v] = 0;
                for (int64_t i = 0; i < HIDDEN; i++)
                    p[v] += (double)h->x[t * HIDDEN + i] * (double)h->w[v * HIDDEN + i];
                largest = fmax(largest, p[v]);
            }
            for (int64_t v = 0; v < vocabulary; v++)
                sum += exp(p[v] - largest);
            loss[s] += (double)h->weights[t] * (largest + log(sum) - p[h->targets[t]]);
            for (int64_t v = 0; dx && v < vocabulary; v++) {
                double d = exp(p[v] - largest) / sum - (v == h->targets[t]);
                d *= (double)h->weights[t] * h->step.inverse_weight;
                for (int64_t i = 0; i < HIDDEN; i++) {
                    dx[t * HIDDEN + i] += d * (double)h->w[v * HIDDEN + i];
                    dw[v * HIDDEN + i] += d * (double)h->x[t * HIDDEN + i];
                }
            }
        }
    }
    free(p);
}

static void head_case(int64_t vocabulary, const int32_t *lengths, int32_t flags)
{
    Head h;
    head_make(&h, vocabulary, lengths);
    h.call.flags = flags;
    int64_t nx = h.call.tokens * HIDDEN, nw = vocabulary * HIDDEN;
    real   *dx = case_reals(nx), *dw = case_random(nw);
    double *edx = case_doubles(nx), *edw = case_doubles(nw);
    double  loss[NSEGMENTS], evaluated[NSEGMENTS], expected[NSEGMENTS];
    for (int64_t i = 0; i < nw; i++)
        edw[i] = flags & PW_CALL_FIRST ? 0 : (double)dw[i];
    head_reference(&h, expected, edx, edw);
    PW_KERNEL(head_loss)(dx, dw, loss, h.x, h.w, h.targets, h.weights, &h.call, h.scratch);
    PW_KERNEL(head_evaluate)(evaluated, h.x, h.w, h.targets, h.weights, &h.call, h.scratch);
    for (int s = 0; s < NSEGMENTS; s++) {
        double error = fabs(loss[s] - expected[s]);
        cr_assert(error <= kernel_tolerance * fmax(1, expected[s]), "loss %d: off by %g", s, error);
        cr_assert(loss[s] == evaluated[s]);
    }
    case_compare("dx", dx, edx, nx);
    case_compare("dw", dw, edw, nw);
    head_free(&h);
}

Test(kernels_head, losses_and_gradients_agree_with_the_formula)
{
    case_state = 13;
    head_case(257, (const int32_t[]){3, 1, 40}, PW_CALL_FIRST);
    head_case(61, (const int32_t[]){100, HEAD_TOKENS, 2}, 0);
    head_case(5, (const int32_t[]){1, 1, 1}, PW_CALL_FIRST);
}

/* dx against central differences of the loss itself; sharp in double only. */
Test(kernels_head, gradients_agree_with_finite_differences, .disabled = sizeof(real) == 4)
{
    Head h;
    case_state = 14;
    head_make(&h, 31, (const int32_t[]){4, 2, 3});
    real  *dx = case_reals(h.call.tokens * HIDDEN), *dw = case_random(31 * HIDDEN);
    double loss[NSEGMENTS], step                        = 1e-5;
    h.call.flags = PW_CALL_FIRST;
    PW_KERNEL(head_loss)(dx, dw, loss, h.x, h.w, h.targets, h.weights, &h.call, h.scratch);
    for (int i = 0; i < 60; i++) {
        int     of_w = i % 2;
        real   *at = of_w ? h.w : h.x, *gradient = of_w ? dw : dx, sum[2] = {0};
        int64_t index = case_between(0, (of_w ? 31 : h.call.tokens) * HIDDEN - 1);
        real    kept  = at[index];
        for (int side = 0; side < 2; side++) {
            at[index] = kept + (real)(side ? step : -step);
            PW_KERNEL(head_evaluate)
            (loss, h.x, h.w, h.targets, h.weights, &h.call, h.scratch);
            sum[side] = (real)(loss[0] + loss[1] + loss[2]);
        }
        at[index]        = kept;
        double numerical = (double)(sum[1] - sum[0]) / (2 * step) * h.step.inverse_weight;
        cr_assert(fabs(numerical - (double)gradient[index]) < 1e-8);
    }
    free(dx);
    free(dw);
    head_free(&h);
}

Test(kernels_head, sampling_at_temperature_0_takes_the_largest_logit)
{
    Head    h;
    int32_t next, best = 0;
    case_state = 15;
    head_make(&h, 61, (const int32_t[]){1, 2, 3});
    double largest = -INFINITY;
    for (int32_t v = 0; v < 61; v++) {
        double logit = 0;
        for (int64_t i = 0; i < HIDDEN; i++)
            logit += (double)h.x[5 * HIDDEN + i] * (double)h.w[v * HIDDEN + i];
        best    = logit > largest ? v : best;
        largest = fmax(largest, logit);
    }
    PW_KERNEL(head_sample)(&next, h.x, h.w, &h.call, h.scratch);
    cr_assert_eq(next, best);
    head_free(&h);
}

/* Over many seeds each token comes as often as the softmax says, within five deviations. */
Test(kernels_head, sampling_draws_from_the_softmax)
{
    enum { TOKENS = 7, DRAWS = 4000 };
    Head    h;
    int     times[TOKENS] = {0};
    double  p[TOKENS], sum = 0;
    int32_t next;
    case_state = 16;
    head_make(&h, TOKENS, (const int32_t[]){1, 2, 3});
    h.step.temperature = 2;
    for (int v = 0; v < TOKENS; v++) {
        double logit = 0;
        for (int64_t i = 0; i < HIDDEN; i++)
            logit += (double)h.x[5 * HIDDEN + i] * (double)h.w[v * HIDDEN + i];
        sum += p[v] = exp(logit / 2);
    }
    for (int i = 0; i < DRAWS; i++) {
        h.step.seed = (uint64_t)i;
        PW_KERNEL(head_sample)(&next, h.x, h.w, &h.call, h.scratch);
        cr_assert(next >= 0 && next < TOKENS);
        times[next]++;
    }
    for (int v = 0; v < TOKENS; v++) {
        double share = p[v] / sum, deviation = sqrt(DRAWS * share * (1 - share));
        cr_assert(fabs(times[v] - DRAWS * share) <= 5 * deviation + 1);
    }
    head_free(&h);
}
