/* place: divides the model into stages, and gives every weight its home.
 *   reads    the job (ranks, stages, memory); the data's lengths; the cost of each half layer, of
 *            embedding and head
 *   writes   the layout: stages, homes, the static map of each rank
 *   fails    more stages than half layers
 *   stands   after tune: what is even depends on what things cost
 * Stage s is on rank s modulo ranks. Borders between whole layers are kept where those inside
 * layers would gain less than 1%. A weight's home is the rank of the stage that runs it. */
#include <inttypes.h>

#include "gen/cost/pricing.h"
#include "gen/job/job_passes.h"
#include "gen/solve/partition.h"

/* Of a chunk as long as a context. Only attention looks at segments. */
static double seconds_of(const Pricing *pricing, Part part, Direction direction, int64_t tokens,
                         const CostSegment *segment)
{
    return pricing_seconds(pricing, part, direction, LEVEL_ALL, HALF_BOTH, tokens, segment,
                           segment != NULL);
}

static double both(const Pricing *pricing, Part part, int64_t tokens)
{
    return seconds_of(pricing, part, DIRECTION_FORWARD, tokens, NULL) +
           seconds_of(pricing, part, DIRECTION_BACKWARD, tokens, NULL);
}

/* Attention of one sequence, without what it takes however short it is. */
static double attention_of(const Pricing *pricing, int64_t length)
{
    CostSegment segment = {length, 0};
    double      seconds = 0;
    for (Direction way = DIRECTION_FORWARD; way <= DIRECTION_BACKWARD; way++)
        seconds += seconds_of(pricing, PART_CORE, way, length, &segment) -
                   seconds_of(pricing, PART_CORE, way, length, NULL);
    return seconds;
}

/* Attention over as many tokens of the data as a context has: of documents as they are, the longer
 * ones in parts. What is short pays little, so its share of a layer is the data's to say. Without
 * lengths: one full context. */
static double attention(const Job *job, const Pricing *pricing, const Lengths *lengths)
{
    int64_t context = job->data.context, tokens = 0;
    double  whole = attention_of(pricing, context), seconds = 0;
    for (int i = 0; lengths && i < lengths->ncounts; i++) {
        int64_t length = lengths->counts[i].length, documents = lengths->counts[i].documents;
        int64_t parts = length / context, rest = length % context;
        if (parts > 0 && job->data.too_long != LONG_SPLIT)
            parts = 1, rest = 0;
        seconds += (double)documents *
                   ((double)parts * whole + (rest > 0 ? attention_of(pricing, rest) : 0));
        tokens += documents * (parts * context + rest);
    }
    seconds = tokens > 0 ? seconds * ((double)context / (double)tokens) : whole;
    return both(pricing, PART_CORE, context) + seconds;
}

/* Seconds of each half layer on one context of tokens; embedding in the first, head in the last.
 * The head has no forward in training: its backward does both. */
static double *half_seconds(Region *region, const Job *job, const Pricing *pricing,
                            const Lengths *lengths)
{
    int     halves  = 2 * (int)pricing->model->layers;
    int64_t tokens  = job->data.context;
    double *seconds = REGION_ARRAY(region, double, halves);
    double  pre     = both(pricing, PART_PRE, tokens) + attention(job, pricing, lengths);
    double  post    = both(pricing, PART_POST, tokens);
    for (int half = 0; half < halves; half++)
        seconds[half] = half % 2 ? post : pre;
    seconds[0] += both(pricing, PART_EMBED, tokens);
    seconds[halves - 1] += seconds_of(pricing, PART_HEAD, DIRECTION_BACKWARD, tokens, NULL);
    return seconds;
}

/* Borders [nstages + 1] in half layers. */
static int *divide(Region *region, const double *seconds, int halves, int nstages)
{
    enum { WHOLE, HALVES };
    int  *border[2] = {REGION_ARRAY(region, int, nstages + 1),
                       REGION_ARRAY(region, int, nstages + 1)};
    bool *between   = REGION_ARRAY(region, bool, halves);
    for (int half = 0; half < halves; half += 2)
        between[half] = true;
    double whole = partition(region, seconds, halves, between, nstages, border[WHOLE]);
    double most  = partition(region, seconds, halves, NULL, nstages, border[HALVES]);
    return border[whole >= 0 && whole <= 1.01 * most ? WHOLE : HALVES];
}

static int *given_borders(Region *region, const Job *job)
{
    int *border = REGION_ARRAY(region, int, job->nstages + 1);
    for (int s = 0; s <= job->nstages; s++)
        border[s] = (int)(2 * job->stage_layers[s]);
    return border;
}

/* The ranks of embedding, of both halves of every layer, of the head. */
static void make_homes(Region *region, Layout *layout, int layers)
{
    const LayoutStage *last = &layout->stages[layout->nstages - 1];
    layout->homes           = REGION_ARRAY(region, int, 2 * (layers + 2));
    layout->homes[0] = layout->homes[1] = layout->stages[0].rank;
    for (const LayoutStage *stage = layout->stages; stage <= last; stage++)
        for (int half = stage->first; half < stage->past; half++)
            layout->homes[half + 2] = stage->rank;
    layout->homes[2 * layers + 2] = layout->homes[2 * layers + 3] = last->rank;
}

Layout *place(Region *region, const Job *job, const Model *model, const Codelets *codelets,
              const Cost *cost, const Lengths *lengths, Error *error)
{
    Pricing pricing;
    int     halves = 2 * (int)model->layers;
    if (!pricing_make(region, model, codelets, NULL, cost, &pricing, error))
        return NULL;
    if (!job->stage_layers && job->nstages > halves) {
        error_at(error, ((Place){job->path, 0}), .field = "layout.stages",
                 .found    = region_format(region, "%d", job->nstages),
                 .expected = region_format(region, "at most two for each of the %" PRId64 " layers",
                                           model->layers));
        return NULL;
    }
    int *border;
    if (job->stage_layers)
        border = given_borders(region, job);
    else
        border = divide(region, half_seconds(region, job, &pricing, lengths), halves, job->nstages);
    Layout *layout     = REGION_NEW(region, Layout);
    layout->nranks     = job->nranks;
    layout->nstages    = job->nstages;
    layout->real_bytes = job->real_bytes;
    layout->stages     = REGION_ARRAY(region, LayoutStage, job->nstages);
    layout->ranks      = REGION_ARRAY(region, RankLayout, job->nranks);
    for (int s = 0; s < job->nstages; s++)
        layout->stages[s] = (LayoutStage){s % job->nranks, border[s], border[s + 1]};
    make_homes(region, layout, (int)model->layers);
    layout_place_statics(region, layout, model);
    for (int r = 0; r < job->nranks; r++)
        layout->ranks[r].capacity = job->memory;
    return layout;
}
