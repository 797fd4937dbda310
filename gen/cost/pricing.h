/* pricing: all that the price of a plan depends on beside the plan; made once per job, or per
 * child. A chunk's unit prices are those of one layer's codelets; predict.c adds them up by
 * stage. */
#ifndef PIPEWRIGHT_PRICING_H
#define PIPEWRIGHT_PRICING_H

#include "gen/cost/seconds.h"
#include "gen/forms/layout.h"

typedef struct Pricing {
    const Model        *model;
    const Codelets     *codelets;
    const Layout       *layout;
    const Cost         *cost;
    const CodeletCost **entries; /* [codelets->count], by number of codelet */
} Pricing;

/* False: the cost table lacks a codelet. The structures are kept, not copied. */
bool pricing_make(Region *region, const Model *model, const Codelets *codelets,
                  const Layout *layout, const Cost *cost, Pricing *pricing, Error *error);

/* Seconds of the codelet that codelet_find names; 0 where there is none, as a dw of core. */
double pricing_seconds(const Pricing *pricing, Part part, Direction direction, Level level,
                       Half half, int64_t tokens, const CostSegment *segments, int nsegments);

#endif
