/* ending: see ending.h. The same walk as the lowered program's: a rank that is done sends what it
 * made for others and its losses; at home a tensor waits for its shares, then its squares are
 * summed; squares of neighbouring tensors are one message; clip waits for everyone's. A queue
 * between two ranks carries one message after the other. */
#include "gen/cost/ending.h"

#include <stdlib.h>

/* A gradient of one tensor on its way home. */
typedef struct Share {
    int     tensor, from, to;
    int64_t bytes;
    double  arrives;
} Share;

typedef struct Ending {
    Region            *region;
    const Plan        *plan;
    const Pricing     *pricing;
    Share             *shares; /* by home, then tensor, then maker                             */
    int                nshares, room;
    int                maker; /* while shares are collected                                   */
    int                next;  /* the first share that is not added up yet                     */
    const CodeletCost *squares, *update[2]; /* update: plain, decayed                      */
    double             clip;
    double            *now;   /* [nranks]                                                     */
    double            *heard; /* [nranks] when all squares and losses of others are there     */
    double            *queue; /* [nranks][nranks] from, to: when its last message is done     */
} Ending;

static void add_share(void *context, int home, int tensor, int64_t bytes)
{
    Ending *ending = context;
    Share   share  = {tensor, ending->maker, home, bytes, 0};
    REGION_APPEND(ending->region, ending->shares, ending->nshares, ending->room, share);
}

static int by_home_and_tensor(const void *a, const void *b)
{
    const Share *x = a, *y = b;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1;
    if (x->tensor != y->tensor)
        return x->tensor < y->tensor ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* When the message that the rank sends now is done. */
static double send(Ending *ending, int from, int to, int64_t bytes)
{
    double *queue = &ending->queue[from * ending->plan->nranks + to];
    double  begin = *queue > ending->now[from] ? *queue : ending->now[from];
    *queue        = begin + seconds_of_message(ending->pricing->cost, bytes);
    return *queue;
}

static void tell_all(Ending *ending, int from, int64_t doubles)
{
    for (int to = 0; to < ending->plan->nranks; to++) {
        if (to == from)
            continue;
        double when       = send(ending, from, to, doubles * (int64_t)sizeof(double));
        ending->heard[to] = when > ending->heard[to] ? when : ending->heard[to];
    }
}

static void return_shares(Ending *ending)
{
    for (ending->maker = 0; ending->maker < ending->plan->nranks; ending->maker++)
        bytes_away_each(ending->pricing, ending->plan, ending->maker, add_share, ending);
    if (ending->nshares > 1)
        qsort(ending->shares, (size_t)ending->nshares, sizeof(Share), by_home_and_tensor);
    for (Share *share = ending->shares; share < ending->shares + ending->nshares; share++)
        share->arrives = send(ending, share->from, share->to, share->bytes);
}

/* Losses of chunks that follow one another on one rank are one message. */
static void tell_losses(Ending *ending)
{
    const Plan *plan = ending->plan;
    int64_t     rows = 0;
    int         from = -1;
    for (int k = 0; k < plan->nchunks; k++) {
        const Pipeline *pipeline = plan_pipeline(plan, k);
        int             rank     = pipeline->stages[pipeline->nstages - 1].ranks[0];
        if (rank != from && from >= 0)
            tell_all(ending, from, rows);
        rows = (rank == from ? rows : 0) + plan->chunks[k].nsegments;
        from = rank;
    }
    if (from >= 0)
        tell_all(ending, from, rows);
}

static double seconds_of(const Ending *ending, const CodeletCost *entry, const StaticBuffer *buffer)
{
    int64_t real_bytes = ending->pricing->layout->real_bytes;
    return seconds_of_entry(entry, buffer->bytes / (real_bytes ? real_bytes : 4), NULL, 0);
}

/* Squares of all gradients whose home is the rank, in the order of tensors. */
static void sum_squares(Ending *ending, int rank)
{
    const RankLayout *home = &ending->pricing->layout->ranks[rank];
    int64_t           rows = 0;
    int               last = -1;
    for (int i = 0; i < home->nbuffers; i++) {
        const StaticBuffer *buffer = &home->buffers[i];
        if (buffer->kind != STATIC_WEIGHT)
            continue;
        int tensor = layout_tensor(ending->pricing->model, buffer->weight, buffer->layer);
        if (rows && tensor != last + 1) {
            tell_all(ending, rank, rows);
            rows = 0;
        }
        for (; ending->next < ending->nshares && ending->shares[ending->next].to == rank &&
               ending->shares[ending->next].tensor == tensor;
             ending->next++)
            if (ending->shares[ending->next].arrives > ending->now[rank])
                ending->now[rank] = ending->shares[ending->next].arrives;
        ending->now[rank] += seconds_of(ending, ending->squares, buffer);
        last = tensor;
        rows++;
    }
    if (rows)
        tell_all(ending, rank, rows);
}

static double squares_seconds(const Ending *ending, int rank)
{
    const RankLayout *home    = &ending->pricing->layout->ranks[rank];
    double            seconds = 0;
    for (int i = 0; i < home->nbuffers; i++)
        if (home->buffers[i].kind == STATIC_WEIGHT)
            seconds += seconds_of(ending, ending->squares, &home->buffers[i]);
    return seconds;
}

static double update_seconds(const Ending *ending, int rank)
{
    const RankLayout *home    = &ending->pricing->layout->ranks[rank];
    double            seconds = 0;
    for (int i = 0; i < home->nbuffers; i++) {
        const StaticBuffer *buffer = &home->buffers[i];
        if (buffer->kind == STATIC_WEIGHT)
            seconds += seconds_of(
                ending, ending->update[ending->pricing->model->weights[buffer->weight].decays],
                buffer);
    }
    return seconds;
}

static Ending new_ending(Region *region, const Plan *plan, const Pricing *pricing)
{
    int64_t losses = 0;
    for (int k = 0; k < plan->nchunks; k++)
        losses += plan->chunks[k].nsegments;
    return (Ending){
        .region  = region,
        .plan    = plan,
        .pricing = pricing,
        .squares = cost_entry(pricing->cost, "grad_norm"),
        .update  = {cost_entry(pricing->cost, "adamw_plain"), cost_entry(pricing->cost, "adamw")},
        .clip    = seconds_of_call(pricing->cost, "clip", losses, NULL, 0)};
}

double ending_seconds(Region *region, const Plan *plan, const Pricing *pricing, const double *ends)
{
    int    nranks = plan->nranks;
    Ending ending = new_ending(region, plan, pricing);
    double last   = 0;
    ending.now    = REGION_ARRAY(region, double, nranks);
    ending.heard  = REGION_ARRAY(region, double, nranks);
    ending.queue  = REGION_ARRAY(region, double, nranks *nranks);
    for (int rank = 0; rank < nranks; rank++)
        ending.now[rank] = ends[rank];
    return_shares(&ending);
    tell_losses(&ending);
    for (int rank = 0; rank < nranks; rank++)
        sum_squares(&ending, rank);
    for (int rank = 0; rank < nranks; rank++) {
        double begin =
            ending.heard[rank] > ending.now[rank] ? ending.heard[rank] : ending.now[rank];
        double done = begin + ending.clip + update_seconds(&ending, rank);
        last        = done > last ? done : last;
    }
    return last;
}

double ending_least(Region *region, const Plan *plan, const Pricing *pricing)
{
    Ending ending  = new_ending(region, plan, pricing);
    double squares = squares_seconds(&ending, 0), update = update_seconds(&ending, 0);
    for (int rank = 1; rank < plan->nranks; rank++) {
        double own = squares_seconds(&ending, rank), after = update_seconds(&ending, rank);
        squares = own < squares ? own : squares;
        update  = after > update ? after : update;
    }
    return squares + ending.clip + update;
}
