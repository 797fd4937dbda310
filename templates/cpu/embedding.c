/* Embedding: row `token` of a table.
 *   y, dy [n][HIDDEN];  table, dtable [vocabulary][HIDDEN]
 * Backward adds in the order of the tokens. */
#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"

#ifndef HIDDEN
#define HIDDEN 256
#endif

void PW_KERNEL(embedding_forward)(real *y, const int32_t *tokens, const real *table, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        __builtin_memcpy(y + t * HIDDEN, table + (int64_t)tokens[t] * HIDDEN,
                         HIDDEN * sizeof(real));
}

void PW_KERNEL(embedding_backward)(real *dtable, const real *dy, const int32_t *tokens, int64_t n,
                                   int64_t vocabulary, int32_t flags)
{
    if (flags & PW_CALL_FIRST)
        __builtin_memset(dtable, 0, (size_t)vocabulary * HIDDEN * sizeof(real));
    for (int64_t t = 0; t < n; t++, dy += HIDDEN) {
        real *restrict row = dtable + (int64_t)tokens[t] * HIDDEN;
        for (int64_t i = 0; i < HIDDEN; i++)
            row[i] += dy[i];
    }
}
