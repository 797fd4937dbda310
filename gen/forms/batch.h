/* batch: the sequences of one step.
 *   made by    sample;  read by decide, expand, prove;  printed as a list that reads back */
#ifndef PIPEWRIGHT_BATCH_H
#define PIPEWRIGHT_BATCH_H

#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"
#include "gen/base/text.h"

/* A document, or a part of one that is longer than the context. Every token of it is an input; each
 * predicts the document's next token; the document's last token predicts nothing (weight 0). */
typedef struct Sequence {
    int64_t document; /* number in the token set; -1 where only lengths are known              */
    int64_t start;    /* tokens from the document's first                                      */
    int64_t length;   /* tokens, > 0                                                           */
    double  weight;   /* sum of the loss weights of its targets                                */
} Sequence;

typedef struct Batch {
    int64_t   step;
    Sequence *sequences;
    int       nsequences;
    int64_t   tokens;   /* of all sequences                                                    */
    double    weight;   /* of all sequences: the loss's denominator                            */
    int64_t   context;  /* the job's                                                           */
    int64_t   position; /* sequences taken since the start, after this step: the saved state's */
} Batch;

Batch *batch_read(Region *region, const char *text, const char *name, Error *error);
void   batch_print(const Batch *batch, Text *out);

#endif
