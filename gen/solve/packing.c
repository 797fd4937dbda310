/* packing: best fit decreasing; see packing.h. */
#include "gen/solve/packing.h"

#include <string.h>

/* Item numbers by size, the largest first; equal ones keep their order. */
static void sort_by_size(const int64_t *size, int *item, int *spare, int count)
{
    if (count < 2)
        return;
    int half = count / 2;
    sort_by_size(size, item, spare, half);
    sort_by_size(size, item + half, spare, count - half);
    memcpy(spare, item, (size_t)count * sizeof *item);
    for (int i = 0, a = 0, b = half; i < count; i++)
        item[i] =
            b == count || (a < half && size[spare[a]] >= size[spare[b]]) ? spare[a++] : spare[b++];
}

int pack_best_fit(Region *region, const int64_t *size, int nitems, int64_t limit,
                  const int64_t *room, int nbins, int *bin)
{
    int64_t *left = REGION_ARRAY(region, int64_t, nbins + nitems);
    int     *item = REGION_ARRAY(region, int, nitems);
    for (int i = 0; i < nbins; i++)
        left[i] = room[i];
    for (int i = 0; i < nitems; i++)
        item[i] = i;
    sort_by_size(size, item, REGION_ARRAY(region, int, nitems), nitems);
    for (int i = 0; i < nitems; i++) {
        int best = -1;
        for (int b = 0; b < nbins; b++)
            if (left[b] >= size[item[i]] && (best < 0 || left[b] < left[best]))
                best = b;
        if (best < 0) {
            best       = nbins++;
            left[best] = limit;
        }
        left[best] -= size[item[i]];
        bin[item[i]] = best;
    }
    return nbins;
}
