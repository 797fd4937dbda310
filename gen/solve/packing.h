/* packing: puts items into bins of one size; knows nothing of what they are. */
#ifndef PIPEWRIGHT_PACKING_H
#define PIPEWRIGHT_PACKING_H

#include "gen/base/region.h"

#include <stdint.h>

/* Best fit decreasing (Johnson 1974): the largest item first, each into the bin that it fills best;
 * where none has room a new one is opened. `room` [nbins]: what is left in bins that are there
 * already. An item larger than `limit` gets a bin of its own. Writes bin[i], numbers of bins, new
 * ones counting on from nbins; returns how many bins there are then. Ties: the lower number. */
int pack_best_fit(Region *region, const int64_t *size, int nitems, int64_t limit,
                  const int64_t *room, int nbins, int *bin);

#endif
