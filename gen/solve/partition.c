/* partition: the lightest heaviest run; see partition.h. */
#include "gen/solve/partition.h"

double partition(Region *region, const double *weight, int nitems, const bool *may_cut, int nparts,
                 int *border)
{
    int     width = nitems + 1;
    double *sum   = REGION_ARRAY(region, double, width);
    double *best  = REGION_ARRAY(region, double, (size_t)(nparts + 1) * (size_t)width);
    int    *from  = REGION_ARRAY(region, int, (size_t)(nparts + 1) * (size_t)width);
    for (int i = 0; i < nitems; i++)
        sum[i + 1] = sum[i] + weight[i];
    for (int p = 0; p <= nparts; p++)
        for (int i = 0; i < width; i++)
            best[p * width + i] = p == 0 && i == 0 ? 0 : -1;
    for (int p = 1; p <= nparts; p++)
        for (int past = p; past < width; past++)
            for (int first = p - 1; first < past; first++) {
                double before = best[(p - 1) * width + first];
                double run    = sum[past] - sum[first];
                double most   = before > run ? before : run;
                if (before < 0 || (first > 0 && may_cut && !may_cut[first]))
                    continue;
                if (best[p * width + past] < 0 || most < best[p * width + past]) {
                    best[p * width + past] = most;
                    from[p * width + past] = first;
                }
            }
    border[nparts] = nitems;
    for (int p = nparts; p > 0 && best[nparts * width + nitems] >= 0; p--)
        border[p - 1] = from[p * width + border[p]];
    return best[nparts * width + nitems];
}
