/* bound_of_plan: no order of these chunks on these stages ends sooner than this.
 * A rank cannot begin before the first of its chunks has come down the stages before, must do all
 * of its work (nothing rebuilt), and behind its last B that chunk still goes back up the stages
 * before. Only a dw may lie behind that B, so where W stands apart the way up does not follow all
 * the work. */
#include "gen/cost/bound.h"

#include "gen/cost/plan_index.h"

static double least(double a, double b)
{
    return a < b ? a : b;
}

typedef struct RankBound {
    double work, weight; /* all of it; the dw that stand apart */
    double way_in, way_out;
    bool   any;
} RankBound;

static void add_chunk(const Plan *plan, const PlanCosts *costs, const PlanIndex *index, int k,
                      RankBound *bounds)
{
    const Pipeline   *pipeline = plan_pipeline(plan, k);
    const ChunkCosts *at       = &costs->chunks[k];
    double            in = 0, out = 0;
    for (int s = 0; s < pipeline->nstages; s++) {
        RankBound *bound  = &bounds[pipeline->stages[s].ranks[0]];
        bool       splits = index->splits[index->base[k] + s];
        double     dw     = splits ? at->weight[s] : 0;
        bound->way_in     = bound->any ? least(bound->way_in, in) : in;
        bound->way_out    = bound->any ? least(bound->way_out, out) : out;
        bound->any        = true;
        bound->work += at->forward[s] + at->backward[s];
        bound->weight += dw;
        in += at->forward[s] + at->transfer[s];
        out += at->backward[s] - dw + at->transfer[s];
    }
}

double bound_of_plan(Region *region, const Plan *plan, const PlanCosts *costs)
{
    PlanIndex  index  = plan_index(region, plan);
    RankBound *bounds = REGION_ARRAY(region, RankBound, plan->nranks);
    double     bound  = 0;
    for (int k = 0; k < plan->nchunks; k++)
        add_chunk(plan, costs, &index, k, bounds);
    for (int r = 0; r < plan->nranks; r++) {
        double all  = bounds[r].way_in + bounds[r].work;
        double back = all - bounds[r].weight + bounds[r].way_out;
        bound       = all > bound ? all : bound;
        bound       = back > bound ? back : bound;
    }
    return bound + costs->least_end;
}
