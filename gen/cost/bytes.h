/* bytes: the one byte count that policies and plans see, from the codelet table's operands. What
 * allocate counts is the truth; this comes close to it without lowering the plan. */
#ifndef PIPEWRIGHT_BYTES_H
#define PIPEWRIGHT_BYTES_H

#include "gen/cost/pricing.h"
#include "gen/forms/plan.h"

/* Bytes of a chunk in one layer. Parts: [0] pre and core, [1] post. */
typedef struct LayerBytes {
    int64_t keep[2][NLEVELS]; /* from F to B                                              */
    int64_t held[2][2];       /* from B to W: at level all (or rebuilt), at lean          */
    int64_t grow, shrink;     /* gradients of keys and values, in pre and core            */
    int64_t scratch;          /* during an operation, beside what is kept                 */
    int64_t input, attended;  /* one value each: what crosses between stages              */
} LayerBytes;

/* `chunk` is a chunk of `plan`: its chains decide what later chunks need. */
LayerBytes bytes_of_layer(const Pricing *pricing, const Plan *plan, int chunk);

/* Bytes that go from the stage that ends at this border (in half layers) to the next one. */
int64_t bytes_across(const LayerBytes *bytes, int border);

/* Weights and gradients that a rank holds for the length of the step because it runs a part of the
 * model whose home is elsewhere, or a tied head. */
int64_t bytes_away(const Pricing *pricing, const Plan *plan, int rank);

/* Every (weight, layer) that rank `rank` runs in this plan though its home is another; calls `each`
 * with the number (layout_tensor) and the bytes of the tensor. */
typedef void (*AwayTensor)(void *context, int home, int tensor, int64_t bytes);
void bytes_away_each(const Pricing *pricing, const Plan *plan, int rank, AwayTensor each,
                     void *context);

#endif
