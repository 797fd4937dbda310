/* Matrix products of a linear layer, forward and backward.
 *   x [n][in], y, dy [n][out], w, dw [out][in]
 *   forward      y  = x w^T + sum       sums over in
 *   backward_dx  dx = dy w              sums over out
 *   backward_dw  dw = dy^T x (+ dw)     sums over the n tokens
 * By blocks: a block of the second factor in panels of TILE_COLUMNS, one of which stays in L1 while
 * a block of the first factor streams past it from L2. Both are copied to scratch, so that rows
 * which lie a power of two apart do not fight for the same cache sets. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/tile.h"
#include "templates/scratch.h"

/* A product c [rows][columns] over `depth` terms. Element (i, k) of the first factor and (k, j) of
 * the second, by whether k runs along the rows of memory. */
typedef struct Factor {
    const real *at;
    int64_t     row; /* elements from one row of memory to the next             */
    int         k_is_row;
} Factor;

typedef struct Product {
    real       *c;
    int64_t     c_row;
    const real *start; /* of the sums; NULL: zero. Rows as those of c           */
    Factor      a, b;
    int64_t     rows, columns, depth;
    int         by_blocks; /* each block of terms is a chain of its own, added to c  */
    int         adds;      /* with by_blocks: the first one too, else it writes c    */
    real       *scratch;
} Product;

_Static_assert(MATMUL_ROWS % TILE_ROWS == 0, "a block is whole tiles");
_Static_assert(MATMUL_COLUMNS % TILE_COLUMNS == 0, "a block is whole panels");

/* Rows [i0, i0 + rows) and terms [k0, k0 + depth) of the first factor. Tile after tile,
 * [rows][depth], or [depth][rows] where k is the row of memory; the last one may have fewer
 * rows. */
static void pack_rows(real *to, const Factor *a, int64_t i0, int64_t rows, int64_t k0,
                      int64_t depth)
{
    for (int64_t i = 0; i < rows; i += TILE_ROWS, to += TILE_ROWS * depth) {
        int64_t count = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        if (!a->k_is_row) {
            for (int64_t r = 0; r < count; r++)
                __builtin_memcpy(to + r * depth, a->at + (i0 + i + r) * a->row + k0,
                                 (size_t)depth * sizeof(real));
            continue;
        }
        const real *from = a->at + k0 * a->row + i0 + i;
        if (count == TILE_ROWS)
            for (int64_t k = 0; k < depth; k++)
                __builtin_memcpy(to + k * TILE_ROWS, from + k * a->row, TILE_ROWS * sizeof(real));
        else
            for (int64_t k = 0; k < depth; k++)
                for (int64_t r = 0; r < count; r++)
                    to[k * count + r] = from[k * a->row + r];
    }
}

static void pack_columns(real *to, const Factor *b, int64_t j0, int64_t columns, int64_t k0,
                         int64_t depth)
{
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS, to += TILE_COLUMNS * depth) {
        int count = (int)(columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS);
        if (b->k_is_row)
            panel_copy(to, b->at + k0 * b->row + j0 + j, b->row, depth, count);
        else
            panel_transpose(to, b->at + (j0 + j) * b->row + k0, b->row, depth, count);
    }
}

VEC_INLINE void multiply_block(const Product *p, const real *rows_packed, const real *panels,
                               int64_t i0, int64_t rows, int64_t j0, int64_t columns, int64_t k0,
                               int64_t depth, int k_is_row)
{
    const real *from = p->by_blocks ? NULL : k0 > 0 ? p->c : p->start;
    TileEnd     end  = p->by_blocks && (k0 > 0 || p->adds) ? TILE_ADD : TILE_STORE;
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS, panels += TILE_COLUMNS * depth) {
        int count = (int)(columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS);
        for (int64_t i = 0; i < rows; i += TILE_ROWS) {
            int64_t offset = (i0 + i) * p->c_row + j0 + j;
            int     tall   = (int)(rows - i < TILE_ROWS ? rows - i : TILE_ROWS);
            tile(tall, count, p->c + offset, p->c_row, from ? from + offset : NULL, p->c_row,
                 rows_packed + i * depth, k_is_row ? 1 : depth, k_is_row ? tall : 1, panels, depth,
                 end);
        }
    }
}

static void multiply(Product p)
{
    real *panels = p.scratch, *rows_packed = panels + MATMUL_SCRATCH(0, p.columns, p.depth, 1);
    for (int64_t j0 = 0; j0 < p.columns; j0 += MATMUL_COLUMNS) {
        int64_t columns = p.columns - j0 < MATMUL_COLUMNS ? p.columns - j0 : MATMUL_COLUMNS;
        for (int64_t k0 = 0; k0 < p.depth; k0 += MATMUL_DEPTH) {
            int64_t depth = p.depth - k0 < MATMUL_DEPTH ? p.depth - k0 : MATMUL_DEPTH;
            pack_columns(panels, &p.b, j0, columns, k0, depth);
            for (int64_t i0 = 0; i0 < p.rows; i0 += MATMUL_ROWS) {
                int64_t rows = p.rows - i0 < MATMUL_ROWS ? p.rows - i0 : MATMUL_ROWS;
                pack_rows(rows_packed, &p.a, i0, rows, k0, depth);
                if (p.a.k_is_row)
                    multiply_block(&p, rows_packed, panels, i0, rows, j0, columns, k0, depth, 1);
                else
                    multiply_block(&p, rows_packed, panels, i0, rows, j0, columns, k0, depth, 0);
            }
        }
    }
}

void PW_KERNEL(matmul_forward)(real *y, const real *x, const real *w, const real *sum, int64_t n,
                               int64_t out, int64_t in, void *scratch)
{
    multiply((Product){.c       = y,
                       .c_row   = out,
                       .start   = sum,
                       .a       = {.at = x, .row = in},
                       .b       = {.at = w, .row = in},
                       .rows    = n,
                       .columns = out,
                       .depth   = in,
                       .scratch = scratch});
}

void PW_KERNEL(matmul_backward_dx)(real *dx, const real *dy, const real *w, int64_t n, int64_t out,
                                   int64_t in, void *scratch)
{
    multiply((Product){.c       = dx,
                       .c_row   = in,
                       .a       = {.at = dy, .row = out},
                       .b       = {.at = w, .row = in, .k_is_row = 1},
                       .rows    = n,
                       .columns = in,
                       .depth   = out,
                       .scratch = scratch});
}

void PW_KERNEL(matmul_backward_dw)(real *dw, const real *dy, const real *x, int64_t n, int64_t out,
                                   int64_t in, int32_t flags, void *scratch)
{
    multiply((Product){.c         = dw,
                       .c_row     = in,
                       .a         = {.at = dy, .row = out, .k_is_row = 1},
                       .b         = {.at = x, .row = in, .k_is_row = 1},
                       .rows      = out,
                       .columns   = in,
                       .depth     = n,
                       .by_blocks = 1,
                       .adds      = !(flags & PW_CALL_FIRST),
                       .scratch   = scratch});
}
