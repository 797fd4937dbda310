/* tile.h: the one loop that does the arithmetic of products and of attention: a tile of the result,
 * TILE_ROWS rows and TILE_COLUMNS columns, stays in registers while a sum of outer products runs
 * over k (Goto and van de Geijn 2008, doi 10.1145/1356052.1356053; the tile of BLIS's Haswell
 * kernel). Each element is one chain of fused multiply-adds over rising k, whatever tile it lies
 * in: its bits do not depend on how many rows or columns a call has.
 *   a    element (row, k) at a[row * a_row + k * a_step]
 *   b    a panel [k][TILE_COLUMNS], padded */
#ifndef PW_TILE_H
#define PW_TILE_H

#include "templates/cpu/vector.h"

/* Two vectors a row; as many rows as leave registers for a panel's two vectors and a factor. */
#if defined __AVX512F__
#define TILE_ROWS 14
#else
#define TILE_ROWS 6
#endif
enum { TILE_COLUMNS = 2 * LANES };

/* What a tile's sums start from, and what becomes of them. */
typedef enum TileEnd {
    TILE_STORE, /* c = start + sum, one chain that begins with start                            */
    TILE_ADD,   /* c = c + sum, the sum being a chain of its own                                */
} TileEnd;

VEC_INLINE void tile_of_rows(int rows, real *c, int64_t c_row, const real *start, int64_t start_row,
                             const real *a, int64_t a_row, int64_t a_step, const real *b, int64_t k,
                             TileEnd end)
{
    Vec sum[TILE_ROWS][2];
    VEC_UNROLL
    for (int i = 0; i < rows; i++) {
        sum[i][0] = start ? vec_load(start + i * start_row) : (Vec){0};
        sum[i][1] = start ? vec_load(start + i * start_row + LANES) : (Vec){0};
    }
    for (; k > 0; k--, a += a_step, b += TILE_COLUMNS) {
        Vec b0 = vec_load(b), b1 = vec_load(b + LANES);
        VEC_UNROLL
        for (int i = 0; i < rows; i++) {
            Vec factor = vec_all(a[i * a_row]);
            sum[i][0]  = vec_fma(factor, b0, sum[i][0]);
            sum[i][1]  = vec_fma(factor, b1, sum[i][1]);
        }
    }
    VEC_UNROLL
    for (int i = 0; i < rows; i++) {
        real *to = c + i * c_row;
        vec_store(to, end == TILE_ADD ? vec_load(to) + sum[i][0] : sum[i][0]);
        vec_store(to + LANES, end == TILE_ADD ? vec_load(to + LANES) + sum[i][1] : sum[i][1]);
    }
}

/* One tile of `rows` rows, all columns. `start` may be NULL (zero) or c itself. */
VEC_INLINE void tile_whole(int rows, real *c, int64_t c_row, const real *start, int64_t start_row,
                           const real *a, int64_t a_row, int64_t a_step, const real *b, int64_t k,
                           TileEnd end)
{
#define TILE_CASE(count)                                                                           \
    case count:                                                                                    \
        tile_of_rows(count, c, c_row, start, start_row, a, a_row, a_step, b, k, end);              \
        break
    switch (rows) {
        TILE_CASE(1);
        TILE_CASE(2);
        TILE_CASE(3);
        TILE_CASE(4);
        TILE_CASE(5);
        TILE_CASE(6);
#if TILE_ROWS == 14
        TILE_CASE(7);
        TILE_CASE(8);
        TILE_CASE(9);
        TILE_CASE(10);
        TILE_CASE(11);
        TILE_CASE(12);
        TILE_CASE(13);
        TILE_CASE(14);
#endif
    }
#undef TILE_CASE
}

/* As above with `columns` <= TILE_COLUMNS of the result in place. */
VEC_INLINE void tile(int rows, int columns, real *c, int64_t c_row, const real *start,
                     int64_t start_row, const real *a, int64_t a_row, int64_t a_step, const real *b,
                     int64_t k, TileEnd end)
{
    if (columns == TILE_COLUMNS) {
        tile_whole(rows, c, c_row, start, start_row, a, a_row, a_step, b, k, end);
        return;
    }
    real          edge[TILE_ROWS * TILE_COLUMNS] = {0};
    const real   *from                           = end == TILE_ADD ? c : start;
    const int64_t from_row                       = end == TILE_ADD ? c_row : start_row;
    for (int i = 0; from && i < rows; i++)
        for (int j = 0; j < columns; j++)
            edge[i * TILE_COLUMNS + j] = from[i * from_row + j];
    tile_whole(rows, edge, TILE_COLUMNS, end == TILE_ADD || !start ? NULL : edge, TILE_COLUMNS, a,
               a_row, a_step, b, k, end);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * c_row + j] = edge[i * TILE_COLUMNS + j];
}

/* A panel [k][TILE_COLUMNS] out of rows that lie `row` apart, `columns` of each, padded with 0. */
VEC_INLINE void panel_copy(real *panel, const real *from, int64_t row, int64_t k, int columns)
{
    if (columns == TILE_COLUMNS) {
        for (; k > 0; k--, panel += TILE_COLUMNS, from += row) {
            vec_store(panel, vec_load(from));
            vec_store(panel + LANES, vec_load(from + LANES));
        }
        return;
    }
    for (; k > 0; k--, panel += TILE_COLUMNS, from += row)
        for (int j = 0; j < TILE_COLUMNS; j++)
            panel[j] = j < columns ? from[j] : 0;
}

/* LANES x LANES elements, transposed in registers: in each round, rows i and i + LANES / 2 are
 * interleaved; after log2 LANES rounds every element is in its place. */
VEC_INLINE void vec_transpose(Vec v[LANES])
{
    VecBits low, high;
    for (int lane = 0; lane < LANES; lane++) {
        low[lane]  = lane / 2 + lane % 2 * LANES;
        high[lane] = low[lane] + LANES / 2;
    }
    VEC_UNROLL
    for (int round = 1; round < LANES; round *= 2) {
        Vec next[LANES];
        VEC_UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i]     = vec_shuffle(v[i], v[i + LANES / 2], low);
            next[2 * i + 1] = vec_shuffle(v[i], v[i + LANES / 2], high);
        }
        VEC_UNROLL
        for (int i = 0; i < LANES; i++)
            v[i] = next[i];
    }
}

/* A panel [k][TILE_COLUMNS] whose column j is row j of `from`: the rows lie `row` apart and hold k
 * elements each; `columns` of them are there. */
VEC_INLINE void panel_transpose(real *panel, const real *from, int64_t row, int64_t k, int columns)
{
    int64_t whole = columns == TILE_COLUMNS ? k / LANES * LANES : 0;
    for (int half = 0; half < 2; half++)
        for (int64_t i = 0; i < whole; i += LANES) {
            Vec v[LANES];
            VEC_UNROLL
            for (int j = 0; j < LANES; j++)
                v[j] = vec_load(from + (half * LANES + j) * row + i);
            vec_transpose(v);
            VEC_UNROLL
            for (int j = 0; j < LANES; j++)
                vec_store(panel + (i + j) * TILE_COLUMNS + half * LANES, v[j]);
        }
    for (int64_t i = whole; i < k; i++)
        for (int j = 0; j < TILE_COLUMNS; j++)
            panel[i * TILE_COLUMNS + j] = j < columns ? from[j * row + i] : 0;
}

#endif
