/* tokens: the token set, mapped: Megatron's PREFIX.idx and PREFIX.bin, and beside them
 * PREFIX.prompt where some leading tokens of documents count for nothing. Checked once, when it is
 * opened; a file that changes under a run is an error that names it. */
#ifndef PW_TOKENS_H
#define PW_TOKENS_H

#include <stdint.h>
#include <time.h>

#include "runtime/failure.h"

typedef struct PwTokenFile {
    char                 path[PW_PATH_MAX];
    const unsigned char *at; /* mapped; NULL: none, or empty                                   */
    int64_t              bytes;
    struct timespec      changed;
} PwTokenFile;

typedef struct PwTokens {
    PwTokenFile    index, data, prompt;
    char           hash[65];   /* SHA-256 of the .bin; "": nobody asked (dataset.h)         */
    int            type, size; /* Megatron's code, bytes a token                            */
    int64_t        nsequences, ndocuments;
    int64_t        vocabulary;
    const int32_t *typed_prompt; /* generation: the tokens that document -1 stands for        */
    int64_t        ntyped;
} PwTokens;

bool pw_tokens_open(PwTokens *tokens, const char *prefix, int64_t vocabulary, PwError *error);
/* The files are what they were when they were opened. */
bool pw_tokens_check(const PwTokens *tokens, PwError *error);
void pw_tokens_close(PwTokens *tokens);

/* `count` rows from token `start` of a document: inputs, targets (the next token; beyond the
 * document 0), weights (1; 0 beyond the document and inside the prompt). Each may be NULL. Dies
 * where the document does not reach so far or a token is outside the vocabulary. */
void pw_tokens_read(const PwTokens *tokens, int64_t document, int64_t start, int64_t count,
                    int32_t *inputs, int32_t *targets, float *weights);

#endif
