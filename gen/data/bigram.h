/* bigram: how well the byte before predicts the next one: the yardstick that a trained model of
 * bytes has to beat. */
#ifndef PIPEWRIGHT_BIGRAM_H
#define PIPEWRIGHT_BIGRAM_H

#include "gen/data/index.h"

/* Bits a token: the entropy of a token given the one before, over all documents but those marked in
 * `held_out` ([documents], may be NULL), with the documents' own counts (Shannon 1951). */
bool bigram_entropy(Region *region, const TokenIndex *index, const uint8_t *held_out, double *bits,
                    Error *error);

#endif
