/* pricing: finds each codelet's entry once, since plans ask for the same few hundreds of times. */
#include "gen/cost/pricing.h"

bool pricing_make(Region *region, const Model *model, const Codelets *codelets,
                  const Layout *layout, const Cost *cost, Pricing *pricing, Error *error)
{
    *pricing = (Pricing){model, codelets, layout, cost,
                         REGION_ARRAY(region, const CodeletCost *, codelets->count)};
    if (!cost_covers(cost, codelets, error))
        return false;
    for (int i = 0; i < codelets->count; i++)
        pricing->entries[i] = cost_entry(cost, codelets->items[i].name);
    return true;
}

double pricing_seconds(const Pricing *pricing, Part part, Direction direction, Level level,
                       Half half, int64_t tokens, const CostSegment *segments, int nsegments)
{
    int codelet = codelet_find(pricing->codelets, part, direction, level, half);
    return codelet < 0 ? 0
                       : seconds_of_entry(pricing->entries[codelet], tokens, segments, nsegments);
}
