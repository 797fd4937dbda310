/* bigram: see bigram.h. */
#include "gen/data/bigram.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYMBOLS = 257, BUFFER = 1 << 16 }; /* bytes, and end of document */

typedef struct Counts {
    int64_t pairs[SYMBOLS][SYMBOLS];
} Counts;

/* Counts the pairs of the next `length` tokens; false: the file ended, or a token is no byte. */
static bool count_document(Counts *counts, FILE *file, int64_t length, bool counted)
{
    uint16_t buffer[BUFFER];
    int      last = -1;
    while (length > 0) {
        size_t want = length < BUFFER ? (size_t)length : BUFFER;
        if (fread(buffer, sizeof *buffer, want, file) != want)
            return false;
        for (size_t i = 0; counted && i < want; i++) {
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

bool bigram_entropy(const TokenIndex *index, const uint8_t *held_out, double *bits, Error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.bin", index->prefix);
    if (index->token_bytes != 2)
        return error_input(error,
                           "%s: found tokens of %d bytes, expected 2: bytes and end of "
                           "document",
                           path, index->token_bytes);
    FILE   *file   = fopen(path, "rb");
    Counts *counts = calloc(1, sizeof *counts);
    if (!file || !counts) {
        free(counts);
        if (file)
            fclose(file);
        return error_input(error, "%s: cannot be opened: %s", path, strerror(errno));
    }
    bool good = true;
    for (int64_t d = 0; good && d < index->documents; d++)
        good = count_document(counts, file, index->length[d], !held_out || !held_out[d]);
    *bits = entropy(counts);
    free(counts);
    fclose(file);
    return good || error_input(error, "%s: ends early, or holds a token that is no byte", path);
}
