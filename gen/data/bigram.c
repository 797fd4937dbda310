/* bigram: see bigram.h. */
#include "gen/data/bigram.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SYMBOLS = 257, BUFFER = 1 << 16 }; /* bytes, and end of document */

typedef struct Counts {
    int64_t pairs[SYMBOLS][SYMBOLS];
} Counts;

/* Counts the pairs of one document; false: the file ended, or a token is no byte. */
static bool count_document(Counts *counts, FILE *file, int64_t start, int64_t length)
{
    uint16_t buffer[BUFFER];
    int      last = -1;
    if (length > 0 && fseeko(file, start, SEEK_SET) != 0)
        return false;
    while (length > 0) {
        size_t want = length < BUFFER ? (size_t)length : BUFFER;
        if (fread(buffer, sizeof *buffer, want, file) != want)
            return false;
        for (size_t i = 0; i < want; i++) {
            if (buffer[i] >= SYMBOLS)
                return false;
            if (last >= 0)
                counts->pairs[last][buffer[i]]++;
            last = buffer[i];
        }
        length -= (int64_t)want;
    }
    return true;
}

static double entropy(const Counts *counts)
{
    double bits = 0, all = 0;
    for (int a = 0; a < SYMBOLS; a++) {
        double row = 0;
        for (int b = 0; b < SYMBOLS; b++)
            row += (double)counts->pairs[a][b];
        for (int b = 0; b < SYMBOLS; b++)
            if (counts->pairs[a][b] > 0)
                bits -= (double)counts->pairs[a][b] * log2((double)counts->pairs[a][b] / row);
        all += row;
    }
    return all > 0 ? bits / all : 0;
}

/* Over the documents that are not held out. */
static bool count_documents(Counts *counts, const TokenIndex *index, const uint8_t *held_out,
                            FILE *file, const char *path, Error *error)
{
    for (int64_t d = 0; d < index->documents; d++)
        if (!(held_out && held_out[d]) &&
            !count_document(counts, file, index->start[d], index->length[d]))
            return error_input(error,
                               "%s: document %lld: the file ends in it, or a token is no byte",
                               path, (long long)d);
    return true;
}

bool bigram_entropy(Region *region, const TokenIndex *index, const uint8_t *held_out, double *bits,
                    Error *error)
{
    const char *path   = region_format(region, "%s.bin", index->prefix);
    Counts     *counts = REGION_NEW(region, Counts);
    if (index->token_bytes != 2)
        return error_input(error,
                           "%s: found tokens of %d bytes, expected 2: bytes and end of document",
                           path, index->token_bytes);
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_input(error, "%s: cannot be opened: %s", path, strerror(errno));
    bool good = count_documents(counts, index, held_out, file, path, error);
    fclose(file);
    *bits = entropy(counts);
    return good;
}
