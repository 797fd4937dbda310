/* tokenizer: bytes to ids and back. One is there now: the bytes themselves, and end of document. */
#ifndef PIPEWRIGHT_TOKENIZER_H
#define PIPEWRIGHT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/text.h"

typedef struct Tokenizer Tokenizer;
struct Tokenizer {
    const char *name;
    int64_t     vocabulary;
    int32_t     end_of_document;
    /* ids [count]: there is room for one a byte; returns how many there are. */
    int64_t (*encode)(const Tokenizer *tokenizer, const void *bytes, size_t count, int32_t *ids);
    /* Adds the bytes of ids; end of document has none. */
    void (*decode)(const Tokenizer *tokenizer, const int32_t *ids, int64_t count, Text *out);
};

/* NULL and an error that lists the names: there is none of this name. */
const Tokenizer *tokenizer_named(const char *name, Error *error);

#endif
