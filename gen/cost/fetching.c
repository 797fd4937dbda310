/* fetching: see fetching.h. A weight crosses once a step, when the rank first needs it; its receive
 * is posted two operations earlier (overlap), and a call begins when its weights are there. Between
 * two ranks one message follows the other in the order of need (communicate): what an operation's
 * first call needs goes ahead of the operation's input, all else behind it. That a value of a
 * chunk may stand behind weights in its queue is left out. */
#include "gen/cost/fetching.h"

#include "gen/cost/bytes.h"

enum { AHEAD = 2 };

struct Fetching {
    Region        *region;
    const Plan    *plan;
    const Pricing *pricing;
    bool          *has;   /* [nranks][layout_tensors] is there by now                         */
    double        *queue; /* [nranks][nranks] from, to: when its last message is done         */
};

/* An operation while its calls are walked. */
typedef struct Fetch {
    Fetching            *fetching;
    const PlanOperation *operation;
    const Pipeline      *pipeline;
    int                  rank;
    double               posted, now, waited;
} Fetch;

static void fetch_weight(Fetch *fetch, int weight, int layer)
{
    Fetching          *fetching = fetch->fetching;
    const Pricing     *pricing  = fetching->pricing;
    const Model       *model    = pricing->model;
    const ModelWeight *about    = &model->weights[weight];
    int                home     = layout_home(pricing->layout, model, weight, layer);
    int                tensor   = about->tied >= 0 ? layout_tensor(model, about->tied, -1)
                                                   : layout_tensor(model, weight, layer);
    bool              *has      = &fetching->has[fetch->rank * layout_tensors(model) + tensor];
    if (*has || home == fetch->rank)
        return;
    int64_t real_bytes = pricing->layout->real_bytes ? pricing->layout->real_bytes : 4;
    double *queue      = &fetching->queue[home * fetching->plan->nranks + fetch->rank];
    double  begin      = *queue > fetch->posted ? *queue : fetch->posted;
    *queue = begin + seconds_of_message(pricing->cost, about->rows * about->columns * real_bytes);
    *has   = true;
    if (*queue > fetch->now) {
        fetch->waited += *queue - fetch->now;
        fetch->now = *queue;
    }
}

static void fetch_part(Fetch *fetch, Part part, int layer)
{
    const Model *model = fetch->fetching->pricing->model;
    for (int weight = 0; weight < model->nweights; weight++)
        if (model->weights[weight].part == part)
            fetch_weight(fetch, weight, layer);
}

/* The forward call of a part, with the weights that it needs. */
static void walk_part(Fetch *fetch, Part part, int layer)
{
    const Fetching *fetching = fetch->fetching;
    const Chunk    *chunk    = &fetching->plan->chunks[fetch->operation->chunk];
    CostSegment    *segments = REGION_ARRAY(fetching->region, CostSegment, chunk->nsegments);
    for (int i = 0; i < chunk->nsegments; i++)
        segments[i] = (CostSegment){chunk->segments[i].length, chunk->segments[i].start};
    fetch_part(fetch, part, layer);
    fetch->now += pricing_seconds(fetching->pricing, part, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH,
                                  chunk->tokens, segments, chunk->nsegments);
}

/* The operation's input goes through its queue; it comes from the stage before or, in B, behind. */
static void take_input(Fetch *fetch, double arrives)
{
    int s = fetch->operation->stage;
    if (fetch->operation->letter == 'F' && s > 0)
        s--;
    if (fetch->operation->letter == 'B' && s < fetch->pipeline->nstages - 1)
        s++;
    int     from  = fetch->pipeline->stages[s].ranks[0];
    double *queue = &fetch->fetching->queue[from * fetch->fetching->plan->nranks + fetch->rank];
    if (arrives > *queue)
        *queue = arrives;
}

static void walk_forward(Fetch *fetch, double arrives)
{
    const PlanStage *stage = &fetch->pipeline->stages[fetch->operation->stage];
    if (fetch->operation->stage == 0)
        walk_part(fetch, PART_EMBED, -1);
    for (int half = stage->first; half < stage->past; half++) {
        walk_part(fetch, half % 2 ? PART_POST : PART_PRE, half / 2);
        if (half % 2 == 0)
            walk_part(fetch, PART_CORE, half / 2);
        if (half == stage->first)
            take_input(fetch, arrives);
    }
    if (stage->first == stage->past)
        take_input(fetch, arrives);
}

Fetching *fetching_of_plan(Region *region, const Plan *plan, const Pricing *pricing)
{
    int  n   = plan->nranks;
    bool any = false;
    for (int rank = 0; rank < n; rank++)
        any = any || bytes_away(pricing, plan, rank) > 0;
    if (!any)
        return NULL;
    Fetching *fetching = REGION_NEW(region, Fetching);
    fetching->region   = region;
    fetching->plan     = plan;
    fetching->pricing  = pricing;
    fetching->has      = REGION_ARRAY(region, bool, n *layout_tensors(pricing->model));
    fetching->queue    = REGION_ARRAY(region, double, n *n);
    return fetching;
}

/* Every weight is first needed by F, but the head's, by the last stage's B. */
double fetching_wait(Fetching *fetching, int rank, int number, const FetchTimes *times)
{
    const PlanOperation *operation = &fetching->plan->order[rank].operations[number];
    Fetch                fetch     = {.fetching  = fetching,
                                      .operation = operation,
                                      .pipeline  = plan_pipeline(fetching->plan, operation->chunk),
                                      .rank      = rank,
                                      .now       = times->begins};
    if (number > AHEAD)
        fetch.posted = times->ended[number - AHEAD - 1];
    if (operation->letter == 'F') {
        walk_forward(&fetch, times->arrives);
    } else {
        if (operation->letter == 'B' && operation->stage == fetch.pipeline->nstages - 1)
            fetch_part(&fetch, PART_HEAD, (int)fetching->plan->layers);
        take_input(&fetch, times->arrives);
    }
    return fetch.waited;
}
