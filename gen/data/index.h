/* index: a token set in Megatron's indexed format, PREFIX.idx and PREFIX.bin (its layout is in
 * index.c). The .idx alone is enough to plan; the order of samples is not in it and is ours. */
#ifndef PIPEWRIGHT_INDEX_H
#define PIPEWRIGHT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

typedef struct TokenIndex {
    const char    *prefix;      /* path without ".idx"                                          */
    int            token_bytes; /* 1, 2, 4 or 8                                                 */
    int            token_code;  /* Megatron's number of the type                                */
    int64_t        documents, tokens;
    const int64_t *length;   /* [documents] tokens; may be 0                                      */
    const int64_t *start;    /* [documents] byte of the .bin at which it starts, in any order     */
    const int64_t *prompt;   /* [documents] tokens of the prompt it begins with: to predict one   */
                             /* of them does not count (PREFIX.prompt); NULL: there is none       */
    int64_t     bin_bytes;   /* -1: there is no .bin                                              */
    const char *hash;        /* SHA-256 of the .idx                                               */
    const char *prompt_hash; /* of PREFIX.prompt; "": there is none                             */
} TokenIndex;

/* `path`: PREFIX or PREFIX.idx. All that the file says is checked here, once. */
TokenIndex *index_open(Region *region, const char *path, Error *error);

/* The same from bytes; `bin_bytes` is the .bin's size, or -1. */
TokenIndex *index_parse(Region *region, const void *bytes, size_t count, int64_t bin_bytes,
                        const char *name, Error *error);

/* Writes an .idx with one sequence a document; lengths below 2^31. */
bool index_write(const char *path, const int64_t *length, int64_t documents, int token_bytes,
                 Error *error);

/* Whether every id in the .bin is in [0, vocabulary); reads all of it. */
bool index_check_tokens(const TokenIndex *index, int64_t vocabulary, Error *error);

#endif
