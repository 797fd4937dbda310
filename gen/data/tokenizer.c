/* tokenizer: bytes. An id is a byte; 256 ends a document. */
#include "gen/data/tokenizer.h"

#include <string.h>

enum { BYTES_END = 256, BYTES_VOCABULARY = 257 };

static int64_t bytes_encode(const Tokenizer *tokenizer, const void *bytes, size_t count,
                            int32_t *ids)
{
    (void)tokenizer;
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        ids[i] = at[i];
    return (int64_t)count;
}

static void bytes_decode(const Tokenizer *tokenizer, const int32_t *ids, int64_t count, Text *out)
{
    (void)tokenizer;
    for (int64_t i = 0; i < count; i++) {
        char byte = (char)ids[i];
        if (ids[i] >= 0 && ids[i] < BYTES_END)
            text_bytes(out, &byte, 1);
    }
}

static const Tokenizer tokenizers[] = {
    {"bytes", BYTES_VOCABULARY, BYTES_END, bytes_encode, bytes_decode},
};

const Tokenizer *tokenizer_named(const char *name, Error *error)
{
    for (const Tokenizer *tokenizer = tokenizers; tokenizer < tokenizers + COUNT(tokenizers);
         tokenizer++)
        if (strcmp(tokenizer->name, name) == 0)
            return tokenizer;
    error_input(error,
                "model.vocab: no tokenizer is called \"%s\"; there is \"bytes\"; token sets "
                "that were made elsewhere need none",
                name);
    return NULL;
}
