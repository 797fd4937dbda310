/* Attention and RoPE against the full matrix of scores in float64: several segments a chunk,
 * earlier context, grouped heads; and a sequence in chunks against the same sequence whole. */
#include "tests/support/kernel_cases.h"

enum { MOST_SEGMENTS = 4, KV_HEADS = QKV / (HEAD_DIM * (GROUP + 2)), HEADS = KV_HEADS * GROUP };
enum { KV_ROW = 2 * KV_HEADS * HEAD_DIM };

/* A chunk with its chains' buffers in an arena: keys and values, then their gradients. */
typedef struct Case {
    PwSegment     segments[MOST_SEGMENTS];
    PwCall        call;
    PwStepNumbers step;
    int64_t       rows; /* of keys and values, of all segments */
    real         *q, *dout;
    void         *scratch;
    int64_t       scratch_bytes;
} Case;

static int64_t scratch_bytes(int64_t tokens)
{
    int64_t element = sizeof(real);
    int64_t forward = ATTENTION_FORWARD_SCRATCH(HEAD_DIM, element) +
                      tokens * ATTENTION_FORWARD_TOKEN_SCRATCH(HEADS, element);
    int64_t backward = ATTENTION_BACKWARD_SCRATCH(HEAD_DIM, element) +
                       tokens * ATTENTION_BACKWARD_TOKEN_SCRATCH(HEADS, element);
    return forward > backward ? forward : backward;
}

/* The gradients start as random numbers, to be added to. */
static void case_make(Case *c, const PwSegment *segments, int nsegments)
{
    *c = (Case){.call = {.nsegments = nsegments, .heads = HEADS, .kv_heads = KV_HEADS}};
    c->call.segments = c->segments;
    c->call.step     = &c->step;
    for (int s = 0; s < nsegments; s++) {
        c->segments[s]     = segments[s];
        c->segments[s].row = (int32_t)c->call.tokens;
        c->segments[s].kv  = c->rows * KV_ROW * (int64_t)sizeof(real);
        c->call.tokens += segments[s].tokens;
        c->rows += segments[s].context + segments[s].tokens;
    }
    for (int s = 0; s < nsegments; s++)
        c->segments[s].dkv = c->segments[s].kv + c->rows * KV_ROW * (int64_t)sizeof(real);
    c->call.arena    = (unsigned char *)case_random(2 * c->rows * KV_ROW);
    c->q             = case_random(c->call.tokens * HEADS * HEAD_DIM);
    c->dout          = case_random(c->call.tokens * HEADS * HEAD_DIM);
    c->scratch_bytes = scratch_bytes(c->call.tokens);
    c->scratch       = case_bytes(c->scratch_bytes);
}

static void case_free(Case *c)
{
    case_check_guard(c->scratch, c->scratch_bytes);
    case_check_guard(c->call.arena, 2 * c->rows * KV_ROW * (int64_t)sizeof(real));
    free(c->call.arena);
    free(c->q);
    free(c->dout);
    free(c->scratch);
}

static double dot(const real *a, const real *b)
{
    double sum = 0;
    for (int i = 0; i < HEAD_DIM; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* One query: o, lse; with `dq` also dq, and dkv added to. */
static void query_reference(const Case *c, int s, int64_t t, int head, double *o, double *lse,
                            double *dq, double *dkv)
{
    const PwSegment *segment = &c->segments[s];
    int64_t          at = (segment->row + t) * HEADS + head, n = segment->context + t + 1;
    const real      *keys   = (const real *)(c->call.arena + segment->kv) + head / GROUP * HEAD_DIM;
    const real      *values = keys + KV_HEADS * HEAD_DIM, *q = c->q + at * HEAD_DIM;
    double          *p = case_doubles(n), largest = -INFINITY, sum = 0, delta = 0;
    for (int64_t j = 0; j < n; j++) {
        p[j]    = dot(q, keys + j * KV_ROW) / sqrt(HEAD_DIM);
        largest = fmax(largest, p[j]);
    }
    for (int64_t j = 0; j < n; j++)
        sum += exp(p[j] - largest);
    for (int64_t j = 0; j < n; j++) {
        p[j] = exp(p[j] - largest) / sum;
        for (int i = 0; i < HEAD_DIM; i++)
            o[at * HEAD_DIM + i] += p[j] * (double)values[j * KV_ROW + i];
    }
    lse[at]          = largest + log(sum);
    const real *dout = c->dout + at * HEAD_DIM;
    for (int i = 0; i < HEAD_DIM; i++)
        delta += (double)dout[i] * o[at * HEAD_DIM + i];
    double *dkeys = dkv + (segment->kv / (int64_t)sizeof(real)) + head / GROUP * HEAD_DIM;
    for (int64_t j = 0; j < n; j++) {
        double ds = p[j] * (dot(dout, values + j * KV_ROW) - delta) / sqrt(HEAD_DIM);
        for (int i = 0; i < HEAD_DIM; i++) {
            dq[at * HEAD_DIM + i] += ds * (double)keys[j * KV_ROW + i];
            dkeys[j * KV_ROW + i] += ds * (double)q[i];
            dkeys[j * KV_ROW + KV_HEADS * HEAD_DIM + i] += p[j] * (double)dout[i];
        }
    }
    free(p);
}

static void attention_case(const PwSegment *segments, int nsegments)
{
    Case c;
    case_make(&c, segments, nsegments);
    int64_t nq = c.call.tokens * HEADS * HEAD_DIM, nkv = c.rows * KV_ROW;
    double *o_expected = case_doubles(nq), *lse_expected = case_doubles(c.call.tokens * HEADS);
    double *dq_expected = case_doubles(nq), *dkv_expected = case_doubles(nkv);
    real   *o = case_reals(nq), *lse = case_reals(c.call.tokens * HEADS), *dq = case_reals(nq);
    real   *dkv = (real *)c.call.arena + nkv;
    for (int s = 0; s < nsegments; s++) {
        int64_t first = c.segments[s].kv / (int64_t)sizeof(real);
        int64_t rows  = c.segments[s].context + c.segments[s].tokens;
        for (int64_t i = first; i < first + rows * KV_ROW; i++)
            dkv_expected[i] = c.segments[s].flags & PW_SEGMENT_DKV_FIRST ? 0 : (double)dkv[i];
        for (int64_t t = 0; t < c.segments[s].tokens; t++)
            for (int head = 0; head < HEADS; head++)
                query_reference(&c, s, t, head, o_expected, lse_expected, dq_expected,
                                dkv_expected);
    }
    PW_KERNEL(attention_forward)(o, lse, c.q, &c.call, c.scratch);
    PW_KERNEL(attention_backward)(dq, c.dout, c.q, o, lse, &c.call, c.scratch);
    real *dkv_copy = case_reals(nkv);
    memcpy(dkv_copy, dkv, (size_t)nkv * sizeof(real));
    case_compare("o", o, o_expected, nq);
    case_compare("lse", lse, lse_expected, c.call.tokens * HEADS);
    case_compare("dq", dq, dq_expected, nq);
    case_compare("dkv", dkv_copy, dkv_expected, nkv);
    case_free(&c);
}

Test(kernels_attention, agrees_with_the_full_matrix)
{
    case_state = 7;
    for (int i = 0; i < 12; i++) {
        PwSegment segments[MOST_SEGMENTS];
        int       nsegments = (int)case_between(1, MOST_SEGMENTS);
        for (int s = 0; s < nsegments; s++)
            segments[s] =
                (PwSegment){.tokens  = (int32_t)case_between(1, i < 8 ? 60 : 300),
                            .context = (int32_t)(case_between(0, 1) * case_between(0, 300)),
                            .flags   = case_between(0, 1) ? PW_SEGMENT_DKV_FIRST : 0};
        attention_case(segments, nsegments);
    }
}

Test(kernels_attention, agrees_with_the_full_matrix_at_block_borders)
{
    static const int32_t lengths[] = {1, 2, ATTENTION_KEYS - 1, ATTENTION_KEYS, ATTENTION_KEYS + 1};
    case_state                     = 8;
    for (int i = 0; i < 25; i++)
        attention_case(&(PwSegment){.tokens = lengths[i % 5], .context = lengths[i / 5] - 1}, 1);
}

/* A sequence cut into chunks: the same bits of o and lse as whole. */
Test(kernels_attention, chunks_give_the_bits_of_the_whole)
{
    case_state = 9;
    for (int i = 0; i < 6; i++) {
        Case    c;
        int64_t tokens = case_between(2, 300), cut = case_between(1, tokens - 1);
        case_make(&c, &(PwSegment){.tokens = (int32_t)tokens}, 1);
        int64_t nq    = tokens * HEADS * HEAD_DIM;
        real   *whole = case_reals(nq), *parts = case_reals(nq);
        real   *lse = case_reals(tokens * HEADS), *lse_parts = case_reals(tokens * HEADS);
        PW_KERNEL(attention_forward)(whole, lse, c.q, &c.call, c.scratch);
        c.call.tokens        = cut;
        c.segments[0].tokens = (int32_t)cut;
        PW_KERNEL(attention_forward)(parts, lse_parts, c.q, &c.call, c.scratch);
        c.call.tokens         = tokens - cut;
        c.segments[0].tokens  = (int32_t)(tokens - cut);
        c.segments[0].context = (int32_t)cut;
        int64_t at            = cut * HEADS;
        PW_KERNEL(attention_forward)
        (parts + at * HEAD_DIM, lse_parts + at, c.q + at * HEAD_DIM, &c.call, c.scratch);
        cr_assert_arr_eq(whole, parts, (size_t)nq * sizeof(real), "cut at %ld", (long)cut);
        cr_assert_arr_eq(lse, lse_parts, (size_t)(tokens * HEADS) * sizeof(real));
        free(whole);
        free(parts);
        free(lse);
        free(lse_parts);
        case_free(&c);
    }
}

/* No log-sum-exp is kept where no backward follows; the output is the same. */
Test(kernels_attention, forward_without_lse_gives_the_same_output)
{
    Case c;
    case_state = 10;
    case_make(&c, &(PwSegment){.tokens = 77, .context = 130}, 1);
    int64_t nq = c.call.tokens * HEADS * HEAD_DIM;
    real   *o = case_reals(nq), *bare = case_reals(nq), *lse = case_reals(c.call.tokens * HEADS);
    PW_KERNEL(attention_forward)(o, lse, c.q, &c.call, c.scratch);
    PW_KERNEL(attention_forward)(bare, NULL, c.q, &c.call, c.scratch);
    cr_assert_arr_eq(o, bare, (size_t)nq * sizeof(real));
    free(o);
    free(bare);
    free(lse);
    case_free(&c);
}

static real *angles(int64_t positions)
{
    real *table = case_reals(positions * HEAD_DIM);
    for (int64_t p = 0; p < positions; p++)
        for (int j = 0; j < HEAD_DIM / 2; j++) {
            double angle                    = (double)p * pow(10000, -2.0 * j / HEAD_DIM);
            table[p * HEAD_DIM + 2 * j]     = (real)cos(angle);
            table[p * HEAD_DIM + 2 * j + 1] = (real)sin(angle);
        }
    return table;
}

/* The rotation of one head's vector by position, in float64. */
static void rotate_reference(double *to, const real *from, const real *table, int64_t position,
                             double turn)
{
    for (int j = 0; j < HEAD_DIM / 2; j++) {
        double c = (double)table[position * HEAD_DIM + 2 * j];
        double s = turn * (double)table[position * HEAD_DIM + 2 * j + 1];
        double a = (double)from[j], b = (double)from[j + HEAD_DIM / 2];
        to[j]                = a * c - b * s;
        to[j + HEAD_DIM / 2] = b * c + a * s;
    }
}

Test(kernels_attention, rope_turns_queries_and_keys_by_their_position)
{
    Case      c;
    PwSegment segments[] = {{.tokens = 5, .context = 9}, {.tokens = 7}};
    case_state           = 11;
    case_make(&c, segments, 2);
    int64_t tokens = c.call.tokens, nq = tokens * HEADS * HEAD_DIM;
    real   *table = angles(20), *qkv = case_random(tokens * QKV), *q = case_reals(nq);
    real   *dqkv       = case_reals(tokens * QKV);
    double *q_expected = case_doubles(nq), *kv_expected = case_doubles(c.rows * KV_ROW);
    double *dqkv_expected = case_doubles(tokens * QKV);
    for (int64_t i = 0; i < c.rows * KV_ROW; i++)
        kv_expected[i] = (double)((real *)c.call.arena)[i];
    for (int s = 0; s < 2; s++)
        for (int64_t t = 0; t < segments[s].tokens; t++) {
            int64_t     row = c.segments[s].row + t, position = segments[s].context + t;
            int64_t     kv  = c.segments[s].kv / (int64_t)sizeof(real) + position * KV_ROW;
            const real *dkv = (const real *)(c.call.arena + c.segments[s].dkv) + position * KV_ROW;
            for (int head = 0; head < HEADS + KV_HEADS; head++) {
                int         key  = head - HEADS;
                const real *from = qkv + row * QKV + head * HEAD_DIM;
                rotate_reference(key < 0 ? q_expected + (row * HEADS + head) * HEAD_DIM
                                         : kv_expected + kv + key * HEAD_DIM,
                                 from, table, position, 1);
                rotate_reference(dqkv_expected + row * QKV + head * HEAD_DIM,
                                 key < 0 ? c.q + (row * HEADS + head) * HEAD_DIM
                                         : dkv + key * HEAD_DIM,
                                 table, position, -1);
            }
            for (int i = 0; i < KV_ROW / 2; i++) {
                kv_expected[kv + KV_ROW / 2 + i] =
                    (double)qkv[row * QKV + (HEADS + KV_HEADS) * HEAD_DIM + i];
                dqkv_expected[row * QKV + (HEADS + KV_HEADS) * HEAD_DIM + i] =
                    (double)dkv[KV_ROW / 2 + i];
            }
        }
    PW_KERNEL(rope_forward)(q, qkv, table, &c.call);
    PW_KERNEL(rope_backward)(dqkv, c.q, table, &c.call);
    real *kv = case_reals(c.rows * KV_ROW);
    memcpy(kv, c.call.arena, (size_t)(c.rows * KV_ROW) * sizeof(real));
    case_compare("q", q, q_expected, nq);
    case_compare("kv", kv, kv_expected, c.rows * KV_ROW);
    case_compare("dqkv", dqkv, dqkv_expected, tokens * QKV);
    free(table);
    free(qkv);
    case_free(&c);
}

/* A rebuild whose keys and values still stand there writes queries only. */
Test(kernels_attention, rope_leaves_kept_keys_and_values_alone)
{
    Case c;
    case_state = 12;
    case_make(&c, &(PwSegment){.tokens = 6, .context = 3, .flags = PW_SEGMENT_KV_KEPT}, 1);
    real  *table = angles(9), *qkv = case_random(6 * QKV), *q = case_reals(6 * HEADS * HEAD_DIM);
    size_t size   = (size_t)(c.rows * KV_ROW) * sizeof(real);
    void  *before = case_bytes((int64_t)size);
    memcpy(before, c.call.arena, size);
    PW_KERNEL(rope_forward)(q, qkv, table, &c.call);
    cr_assert_arr_eq((char *)before, (char *)c.call.arena, size);
    free(table);
    free(qkv);
    free(q);
    free(before);
    case_free(&c);
}

/* What the gradients are of: the sum of dout * o. */
static double product_with_output(Case *c, real *o)
{
    double sum = 0;
    PW_KERNEL(attention_forward)(o, NULL, c->q, &c->call, c->scratch);
    for (int64_t i = 0; i < c->call.tokens * HEADS * HEAD_DIM; i++)
        sum += (double)c->dout[i] * (double)o[i];
    return sum;
}

/* Against central differences; sharp in double only. */
Test(kernels_attention, gradients_agree_with_finite_differences, .disabled = sizeof(real) == 4)
{
    PwSegment segments[] = {{.tokens = 30, .context = 120, .flags = PW_SEGMENT_DKV_FIRST},
                            {.tokens = 9, .flags = PW_SEGMENT_DKV_FIRST}};
    Case      c;
    case_state = 17;
    case_make(&c, segments, 2);
    int64_t nq = c.call.tokens * HEADS * HEAD_DIM, nkv = c.rows * KV_ROW;
    real   *o = case_reals(nq), *lse = case_reals(c.call.tokens * HEADS), *dq = case_reals(nq);
    real   *kv = (real *)c.call.arena, step = (real)1e-5;
    PW_KERNEL(attention_forward)(o, lse, c.q, &c.call, c.scratch);
    PW_KERNEL(attention_backward)(dq, c.dout, c.q, o, lse, &c.call, c.scratch);
    for (int i = 0; i < 60; i++) {
        int     of_kv = i % 2;
        int64_t index = case_between(0, (of_kv ? nkv : nq) - 1);
        real   *at = (of_kv ? kv : c.q) + index, kept = *at;
        *at          = kept + step;
        double above = product_with_output(&c, o);
        *at          = kept - step;
        double below = product_with_output(&c, o);
        *at          = kept;
        double error =
            (above - below) / (2 * (double)step) - (double)(of_kv ? kv[nkv + index] : dq[index]);
        cr_assert(fabs(error) < 1e-7, "%s %ld: off by %g", of_kv ? "kv" : "q", (long)index, error);
    }
    free(o);
    free(lse);
    free(dq);
    case_free(&c);
}
