/* Causal attention with grouped queries, by blocks, without ever forming the matrix of scores (Dao
 * et al. 2022, arXiv 2205.14135): forward keeps a running maximum and sum for each query, backward
 * computes the scores again from the kept log-sum-exp.
 *   q, o, dq, dout [tokens][heads][HEAD_DIM];  lse [tokens][heads], may be NULL in forward
 *   keys, values and their gradients: rows of the segments' chains (kernel.h)
 * Token i of a segment attends to the sequence's rows [0, context + i]. Blocks of keys start at
 * multiples of ATTENTION_KEYS in the sequence, and what lies above the diagonal inside a tile adds
 * exact zeros: a token's bits do not depend on where its sequence was cut into chunks.
 * The outer loop is over blocks of keys, which are packed once for all queries of all heads of
 * their group. In backward a block's dK and dV are summed in scratch, over heads and then queries
 * in rising order, and go to memory once. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/tile.h"
#include "templates/scratch.h"

#ifndef HEAD_DIM
#define HEAD_DIM 64
#define GROUP 1 /* query heads per head of keys and values */
#endif
#define HEAD_COLUMNS ATTENTION_HEAD_COLUMNS(HEAD_DIM) /* whole panels at any width of vectors */
enum { KEYS = ATTENTION_KEYS, QUERIES = ATTENTION_QUERIES };
_Static_assert(QUERIES % TILE_ROWS == 0, "a block of queries is whole tiles");
_Static_assert(KEYS % TILE_COLUMNS == 0, "a block of keys is whole panels");

#define LOG2_E 1.44269504088896340736

/* One head of one segment against one block of keys. */
typedef struct Block {
    int64_t context;  /* of the segment                                                     */
    int64_t key;      /* the block's first row in the sequence                              */
    int     keys;     /* its rows                                                           */
    int64_t head_row; /* elements from a token to the next in q, o, dq, dout                */
    int64_t heads;    /* the same in lse and other numbers of a token and head              */
    real    scale;    /* 1 / sqrt(HEAD_DIM)                                                 */
} Block;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How many keys of the block token `query` sees; in blocks that it is asked for, at least one. */
static int visible(const Block *block, int64_t query)
{
    return (int)smaller(block->keys, block->context + query + 1 - block->key);
}

/* Keys or values as panels for products that sum over HEAD_DIM. */
static void pack_transposed(real *panels, const real *rows, int64_t row, int keys)
{
    for (int j = 0; j < keys; j += TILE_COLUMNS, panels += HEAD_DIM * TILE_COLUMNS)
        panel_transpose(panels, rows + j * row, row, HEAD_DIM,
                        (int)smaller(TILE_COLUMNS, keys - j));
}

/* Rows of a head as panels for products that sum over rows. */
static void pack_heads(real *panels, const real *rows, int64_t row, int count)
{
    for (int j = 0; j < HEAD_DIM; j += TILE_COLUMNS, panels += count * TILE_COLUMNS)
        panel_copy(panels, rows + j, row, count, (int)smaller(TILE_COLUMNS, HEAD_DIM - j));
}

/* Rows of a head one after another: in memory they lie a multiple of a page's half apart, and would
 * fight for the same cache sets. */
static void pack_queries(real *to, const real *rows, int64_t row, int count)
{
    for (int i = 0; i < count; i++)
        __builtin_memcpy(to + i * HEAD_DIM, rows + i * row, HEAD_DIM * sizeof(real));
}

/* scores [QUERIES][KEYS] = a [queries][HEAD_DIM] times panels, as far as the queries see. */
static void score(real *scores, const real *a, const real *panels, const Block *block,
                  int64_t query, int queries)
{
    for (int j = 0; j < block->keys; j += TILE_COLUMNS) {
        int first = (int)larger(0, block->key + j - block->context - query);
        for (int i = first / TILE_ROWS * TILE_ROWS; i < queries; i += TILE_ROWS)
            tile_whole((int)smaller(TILE_ROWS, queries - i), scores + i * KEYS + j, KEYS, NULL, 0,
                       a + i * HEAD_DIM, HEAD_DIM, 1, panels + j * HEAD_DIM, HEAD_DIM, TILE_STORE);
    }
}

/* c [queries][HEAD_DIM] (+)= scores times panels [HEAD_COLUMNS / TILE_COLUMNS][keys]. */
static void weigh(real *c, const real *scores, const real *panels, const Block *block,
                  int64_t query, int queries)
{
    for (int j = 0; j < HEAD_DIM; j += TILE_COLUMNS)
        for (int i = 0; i < queries; i += TILE_ROWS) {
            int   rows = (int)smaller(TILE_ROWS, queries - i);
            real *to   = c + i * block->head_row + j;
            tile(rows, (int)smaller(TILE_COLUMNS, HEAD_DIM - j), to, block->head_row,
                 block->key > 0 ? to : NULL, block->head_row, scores + i * KEYS, KEYS, 1,
                 panels + j * block->keys, visible(block, query + i + rows - 1), TILE_STORE);
        }
}

/* Zeros behind a row's visible scores, as far as a tile that holds the row may read. */
static void clear_behind(real *row, int seen)
{
    int from = (seen + LANES - 1) / LANES * LANES;
    int to   = (int)smaller(KEYS, seen + TILE_ROWS);
    for (int j = from; j < to; j++)
        row[j] = 0;
}

static void multiply_head(real *o, real factor)
{
    for (int j = 0; j < HEAD_DIM; j++)
        o[j] *= factor;
}

/* Turns a row of scores into weights; brings the token's maximum, sum and earlier output along. */
static void soften(real *row, int seen, real *maximum, real *sum, real *o, const Block *block)
{
    const real    c     = block->scale * (real)LOG2_E;
    const int     whole = seen / LANES * LANES;
    const VecBits rest  = vec_first(seen - whole);
    Vec           most  = vec_all(block->key > 0 ? *maximum : -INFINITY);
    for (int j = 0; j < whole; j += LANES)
        most = vec_max(most, vec_load(row + j));
    if (whole < seen)
        most = vec_max(most, vec_either(rest, vec_load(row + whole), most));
    real new_maximum = vec_largest(most);
    Vec  shift = vec_all(-new_maximum * c), part = {0};
    for (int j = 0; j < whole; j += LANES) {
        Vec p = vec_exp2(vec_fma(vec_load(row + j), vec_all(c), shift));
        part += p;
        vec_store(row + j, p);
    }
    if (whole < seen) {
        Vec p = vec_exp2(vec_fma(vec_load(row + whole), vec_all(c), shift));
        p     = vec_where(rest, p);
        part += p;
        vec_store(row + whole, p);
    }
    clear_behind(row, seen);
    real earlier = block->key > 0 ? *sum : 0;
    if (block->key > 0 && new_maximum > *maximum) {
        real factor = vec_exp2(vec_all((*maximum - new_maximum) * c))[0];
        earlier *= factor;
        multiply_head(o, factor);
    }
    *maximum = new_maximum;
    *sum     = earlier + vec_sum(part);
}

static void forward_block(real *o, real *lse, const real *q, int64_t query, int queries,
                          const Block *block, const real *keys, const real *values, real *packed,
                          real *scores, real *maximum, real *sum)
{
    pack_queries(packed, q, block->head_row, queries);
    score(scores, packed, keys, block, query, queries);
    for (int i = 0; i < queries; i++)
        soften(scores + i * KEYS, visible(block, query + i), maximum + i * block->heads,
               sum + i * block->heads, o + i * block->head_row, block);
    weigh(o, scores, values, block, query, queries);
    for (int i = 0; i < queries; i++) {
        if (block->context + query + i >= block->key + block->keys)
            continue; /* sees later keys too */
        int64_t n = i * block->heads;
        multiply_head(o + i * block->head_row, 1 / sum[n]);
        if (lse)
            lse[n] = maximum[n] * block->scale + pw_log(sum[n]);
    }
}

void PW_KERNEL(attention_forward)(real *o, real *lse, const real *q, const PwCall *call,
                                  void *scratch)
{
    const int64_t heads = call->heads, kv_row = 2 * call->kv_heads * HEAD_DIM;
    real         *keys = scratch, *values = keys + KEYS * HEAD_DIM;
    real         *packed  = values + KEYS * HEAD_COLUMNS;
    real         *scores  = packed + QUERIES * HEAD_DIM;
    real         *maximum = scores + KEYS * QUERIES, *sum = maximum + call->tokens * heads;
    for (int64_t n = 0; n < call->nsegments * call->kv_heads; n++) {
        const PwSegment *segment = &call->segments[n / call->kv_heads];
        int64_t          kv_head = n % call->kv_heads;
        const real      *rows    = (const real *)(call->arena + segment->kv) + kv_head * HEAD_DIM;
        int64_t          total   = segment->context + segment->tokens;
        Block            block   = {.context  = segment->context,
                                    .head_row = heads * HEAD_DIM,
                                    .heads    = heads,
                                    .scale    = 1 / pw_sqrt((real)HEAD_DIM)};
        for (block.key = 0; block.key < total; block.key += KEYS) {
            block.keys = (int)smaller(KEYS, total - block.key);
            pack_transposed(keys, rows + block.key * kv_row, kv_row, block.keys);
            pack_heads(values, rows + block.key * kv_row + kv_row / 2, kv_row, block.keys);
            int64_t first = larger(0, block.key - segment->context);
            for (int64_t head = kv_head * GROUP; head < (kv_head + 1) * GROUP; head++)
                for (int64_t query = first; query < segment->tokens; query += QUERIES) {
                    int64_t at = (segment->row + query) * heads + head;
                    forward_block(o + at * HEAD_DIM, lse ? lse + at : NULL, q + at * HEAD_DIM,
                                  query, (int)smaller(QUERIES, segment->tokens - query), &block,
                                  keys, values, packed, scores, maximum + at, sum + at);
                }
        }
    }
}

/* Turns scores into weights p, and products of dout with values into gradients of scores:
 * scale * p * (dp - delta). */
static void soften_backward(real *row, real *drow, int seen, real lse, real delta,
                            const Block *block)
{
    const Vec c     = vec_all(block->scale * (real)LOG2_E);
    const Vec shift = vec_all(-lse * (real)LOG2_E), scale = vec_all(block->scale);
    for (int j = 0; j < seen; j += LANES) {
        Vec p = vec_exp2(vec_fma(vec_load(row + j), c, shift));
        Vec d = vec_load(drow + j) - vec_all(delta);
        if (j + LANES > seen) {
            p = vec_where(vec_first(seen - j), p);
            d = vec_where(vec_first(seen - j), d);
        }
        vec_store(row + j, p);
        vec_store(drow + j, p * d * scale);
    }
    clear_behind(row, seen);
    clear_behind(drow, seen);
}

/* sums [KEYS][HEAD_COLUMNS] += scores^T times panels [HEAD_COLUMNS / TILE_COLUMNS][queries]. */
static void gather(real *sums, const real *scores, const real *panels, const Block *block,
                   int64_t query, int queries)
{
    for (int i = 0; i < block->keys; i += TILE_ROWS) {
        int rows  = (int)smaller(TILE_ROWS, block->keys - i);
        int first = (int)larger(0, block->key + i - block->context - query);
        if (first >= queries)
            break; /* later keys are seen by none of these queries either */
        for (int j = 0; j < HEAD_DIM; j += TILE_COLUMNS) {
            real *to = sums + i * HEAD_COLUMNS + j;
            tile_whole(rows, to, HEAD_COLUMNS, to, HEAD_COLUMNS, scores + first * KEYS + i, 1, KEYS,
                       panels + j * queries + first * TILE_COLUMNS, queries - first, TILE_STORE);
        }
    }
}

/* What backward holds in scratch while a block of keys is worked on. */
typedef struct BackwardScratch {
    real *keys_transposed, *values_transposed, *keys, *dkeys, *dvalues;
    real *q, *dout, *rows, *scores, *dscores, *delta;
} BackwardScratch;

static BackwardScratch divide_scratch(real *scratch)
{
    BackwardScratch s;
    s.keys_transposed   = scratch;
    s.values_transposed = s.keys_transposed + KEYS * HEAD_DIM;
    s.keys              = s.values_transposed + KEYS * HEAD_DIM;
    s.dkeys             = s.keys + KEYS * HEAD_COLUMNS;
    s.dvalues           = s.dkeys + KEYS * HEAD_COLUMNS;
    s.q                 = s.dvalues + KEYS * HEAD_COLUMNS;
    s.dout              = s.q + QUERIES * HEAD_COLUMNS;
    s.rows              = s.dout + QUERIES * HEAD_COLUMNS;
    s.scores            = s.rows + QUERIES * HEAD_DIM;
    s.dscores           = s.scores + QUERIES * KEYS;
    s.delta             = s.dscores + QUERIES * KEYS;
    return s;
}

/* Pointers are those of the block's first query in its head. */
static void backward_block(real *dq, const real *dout, const real *q, const real *lse,
                           const real *delta, int64_t query, int queries, const Block *block,
                           const BackwardScratch *s)
{
    pack_queries(s->rows, q, block->head_row, queries);
    score(s->scores, s->rows, s->keys_transposed, block, query, queries);
    pack_queries(s->rows, dout, block->head_row, queries);
    score(s->dscores, s->rows, s->values_transposed, block, query, queries);
    for (int i = 0; i < queries; i++)
        soften_backward(s->scores + i * KEYS, s->dscores + i * KEYS, visible(block, query + i),
                        lse[i * block->heads], delta[i * block->heads], block);
    weigh(dq, s->dscores, s->keys, block, query, queries);
    pack_heads(s->q, q, block->head_row, queries);
    pack_heads(s->dout, dout, block->head_row, queries);
    gather(s->dvalues, s->scores, s->dout, block, query, queries);
    gather(s->dkeys, s->dscores, s->q, block, query, queries);
}

static void add_rows(real *to, int64_t row, const real *sums, int keys, int first)
{
    for (int i = 0; i < keys; i++)
        for (int j = 0; j < HEAD_DIM; j++)
            to[i * row + j] = (first ? 0 : to[i * row + j]) + sums[i * HEAD_COLUMNS + j];
}

/* delta = sum over a head of dout * o: what the softmax's backward subtracts. */
static void find_delta(real *delta, const real *dout, const real *o, int64_t count)
{
    for (int64_t n = 0; n < count; n++, dout += HEAD_DIM, o += HEAD_DIM) {
        Vec sum = {0};
        for (int j = 0; j < HEAD_DIM; j += LANES) {
            int part = (int)smaller(LANES, HEAD_DIM - j);
            if (part == LANES)
                sum = vec_fma(vec_load(dout + j), vec_load(o + j), sum);
            else
                sum = vec_fma(vec_load_part(dout + j, part), vec_load_part(o + j, part), sum);
        }
        delta[n] = vec_sum(sum);
    }
}

static void backward_head(real *dq, const real *dout, const real *q, const real *lse,
                          const PwCall *call, int64_t kv_head, const PwSegment *segment,
                          const BackwardScratch *s)
{
    const int64_t heads = call->heads, kv_row = 2 * call->kv_heads * HEAD_DIM;
    const real   *rows   = (const real *)(call->arena + segment->kv) + kv_head * HEAD_DIM;
    real         *drows  = (real *)(call->arena + segment->dkv) + kv_head * HEAD_DIM;
    int64_t       total  = segment->context + segment->tokens;
    int           writes = segment->flags & PW_SEGMENT_DKV_FIRST;
    Block         block  = {.context  = segment->context,
                            .head_row = heads * HEAD_DIM,
                            .heads    = heads,
                            .scale    = 1 / pw_sqrt((real)HEAD_DIM)};
    for (block.key = 0; block.key < total; block.key += KEYS) {
        int64_t offset = block.key * kv_row;
        block.keys     = (int)smaller(KEYS, total - block.key);
        pack_transposed(s->keys_transposed, rows + offset, kv_row, block.keys);
        pack_transposed(s->values_transposed, rows + offset + kv_row / 2, kv_row, block.keys);
        pack_heads(s->keys, rows + offset, kv_row, block.keys);
        __builtin_memset(s->dkeys, 0, 2 * KEYS * HEAD_COLUMNS * sizeof(real)); /* and dvalues */
        int64_t first = larger(0, block.key - segment->context);
        for (int64_t head = kv_head * GROUP; head < (kv_head + 1) * GROUP; head++)
            for (int64_t query = first; query < segment->tokens; query += QUERIES) {
                int64_t at = (segment->row + query) * heads + head;
                backward_block(dq + at * HEAD_DIM, dout + at * HEAD_DIM, q + at * HEAD_DIM,
                               lse + at, s->delta + at, query,
                               (int)smaller(QUERIES, segment->tokens - query), &block, s);
            }
        add_rows(drows + offset, kv_row, s->dkeys, block.keys, writes);
        add_rows(drows + offset + kv_row / 2, kv_row, s->dvalues, block.keys, writes);
    }
}

void PW_KERNEL(attention_backward)(real *dq, const real *dout, const real *q, const real *o,
                                   const real *lse, const PwCall *call, void *scratch)
{
    BackwardScratch s = divide_scratch(scratch);
    find_delta(s.delta, dout, o, call->tokens * call->heads);
    for (int64_t n = 0; n < call->nsegments; n++)
        for (int64_t kv_head = 0; kv_head < call->kv_heads; kv_head++)
            backward_head(dq, dout, q, lse, call, kv_head, &call->segments[n], &s);
}
