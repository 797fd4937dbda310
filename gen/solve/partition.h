/* partition: cuts a row of weighted items into runs; knows nothing of what they are. */
#ifndef PIPEWRIGHT_PARTITION_H
#define PIPEWRIGHT_PARTITION_H

#include <stdbool.h>

#include "gen/base/region.h"

/* Cuts items 0 .. nitems - 1 into `nparts` runs so that the heaviest run is as light as it can be
 * (exact, by dynamic programming). Only borders with may_cut[i] (before item i) are used; NULL:
 * all. Every run has an item. Writes border [nparts + 1], border[0] = 0, the last = nitems; returns
 * the heaviest run's weight, or -1 where there are not enough borders. Ties: the earlier border. */
double partition(Region *region, const double *weight, int nitems, const bool *may_cut, int nparts,
                 int *border);

#endif
