/* token_set: writes PREFIX.bin, PREFIX.prompt (where a document has a prompt) and PREFIX.idx. */
#ifndef PIPEWRIGHT_TOKEN_SET_H
#define PIPEWRIGHT_TOKEN_SET_H

#include "gen/data/documents.h"
#include "gen/data/sources.h"
#include "gen/data/tokenizer.h"

/* Fills in what it counts: documents, tokens, bytes, empty, not_text. */
bool token_set_write(Region *region, const Job *job, const Tokenizer *tokenizer,
                     const Sources *sources, DataProgress *progress, void *context,
                     DataReport *report, Error *error);

/* Where text stops being UTF-8 without NUL: the byte's place, or -1 if it is right throughout. */
int64_t text_fault(const void *bytes, size_t count);

#endif
