/* compile_capacity: see the header. From a capacity that is too small upward, step by step: each
 * that does not fit raises it to the least that does for it. A policy that sees more memory may
 * keep more, so that what fitted before a raise is looked at again. */
#include "gen/compile_capacity.h"

#include "gen/compile_evaluation.h"

/* So many instructions are lowered for a message, some seconds' worth, but so many steps at least,
 * and about as many programs of evaluation; and so often are the steps gone through. */
enum { MOST_INSTRUCTIONS = 300000, FEWEST = 8, ROUNDS = 8 };

/* What is searched for, and how far the search is. */
typedef struct Search {
    Region     *region;
    Compilation job;      /* under the capacity that is tried                                    */
    int64_t     capacity; /* does for what was gone through in this round                        */
    bool        raised;   /* in this round                                                     */
} Search;

static void set_capacity(Search *search, int64_t bytes)
{
    Layout *layout = REGION_NEW(search->region, Layout);
    *layout        = *search->job.layout;
    layout->ranks  = REGION_ARRAY(search->region, RankLayout, layout->nranks);
    for (int rank = 0; rank < layout->nranks; rank++) {
        layout->ranks[rank]          = search->job.layout->ranks[rank];
        layout->ranks[rank].capacity = bytes;
    }
    search->job.layout = layout;
}

static int64_t try_under(Search *search, const Batch *batch, int64_t capacity, bool *fits)
{
    set_capacity(search, capacity);
    return capacity_try(&search->job, batch, fits);
}

int64_t capacity_try(const Compilation *job, const Batch *batch, bool *fits)
{
    Step  step = {.region = region_new(), .number = batch->step};
    Error error;
    step.batch   = REGION_NEW(step.region, Batch);
    *step.batch  = *batch;
    *fits        = compile_lower(job, &step, &error);
    int64_t most = step.program ? program_peak(step.program) : -1;
    region_free(step.region);
    return most;
}

/* One that does for the batch, where one byte less does not; -1: none was found. What a plan takes
 * is not yet a capacity under which that plan is made: up from `need` until one does, then down, by
 * turns to what it took and by halves. */
static int64_t least_for(Search *search, const Batch *batch, int64_t low, int64_t need)
{
    int64_t high = -1, next = need;
    for (bool halve = false; high < 0 || high - low > 1;) {
        bool    fits;
        int64_t takes = try_under(search, batch, next, &fits);
        if (takes < 0 && high < 0)
            return -1;
        if (fits) {
            high  = next;
            next  = takes < high ? takes : high - 1;
            next  = halve || next <= low ? low + (high - low) / 2 : next;
            halve = !halve;
        } else {
            low  = next;
            next = high < 0 ? takes : low + (high - low) / 2; /* also where no plan is made */
        }
    }
    return high;
}

static bool raise_to(Search *search, int64_t capacity)
{
    search->raised   = true;
    search->capacity = capacity;
    return capacity >= 0;
}

/* A step that cannot be lowered at all, such as one after the last plan of a file, asks for
 * nothing. */
static bool take_step(Search *search, int64_t number, int64_t *lowered)
{
    Region *region = region_new();
    bool    fits;
    sampler_seek(search->job.sampler, number);
    Batch  *batch = sampler_next(search->job.sampler, region);
    int64_t takes = try_under(search, batch, search->capacity, &fits);
    *lowered += takes >= 0;
    bool found =
        takes < 0 || fits || raise_to(search, least_for(search, batch, search->capacity, takes));
    region_free(region);
    return found;
}

static void take_program(Search *search, EvaluationWalk *walk)
{
    Region *region = region_new();
    Error   error;
    if (!evaluation_next(walk, region, &error) && walk->need > 0) {
        raise_to(search, walk->need);
        set_capacity(search, walk->need);
    }
    region_free(region);
}

/* No policy has a hand in it: what its shortest chunks take is what they need, and does for them
 * under any capacity above. The program with the longest document, and some spread evenly. */
static void take_evaluation(Search *search, const Batch *all, Capacity *found)
{
    set_capacity(search, search->capacity);
    EvaluationWalk walk = evaluation_begin(&search->job, all), longest = walk;
    int64_t        count = evaluation_count(&walk), stride = (count + FEWEST - 1) / FEWEST;
    evaluation_seek_longest(&longest);
    int64_t at = longest.number;
    take_program(search, &longest);
    found->evaluations     = 1;
    found->all_evaluations = count;
    for (int64_t i = 0; i < count; i++) {
        if (i % stride != 0 || i == at) {
            evaluation_skip(&walk);
            continue;
        }
        take_program(search, &walk);
        found->evaluations++;
    }
}

/* How many of the job's steps to try, by what lowering one of them takes. */
static int64_t steps_to_try(const Compilation *job, int64_t number)
{
    Step    step = {.region = region_new(), .number = number};
    Error   error;
    int64_t all = job->job->train.steps, some = FEWEST;
    sampler_seek(job->sampler, number);
    step.batch = sampler_next(job->sampler, step.region);
    compile_lower(job, &step, &error);
    if (step.program && step.program->norder > 0 && MOST_INSTRUCTIONS / step.program->norder > some)
        some = MOST_INSTRUCTIONS / step.program->norder;
    region_free(step.region);
    return some < all ? some : all;
}

/* `lowered`: how many of the job's `steps` could be. */
static bool take_steps(Search *search, int64_t number, int64_t steps, int64_t *lowered)
{
    int64_t last = search->job.job->train.steps - 1, one = 0;
    *lowered = 0;
    if (number >= 0 && !take_step(search, number, &one))
        return false;
    for (int64_t i = 0; i < steps; i++)
        if (!take_step(search, steps > 1 ? i * last / (steps - 1) : 0, lowered))
            return false;
    return true;
}

Capacity capacity_find(const Compilation *job, int64_t number)
{
    Region      *region   = region_new();
    Search       search   = {.region = region, .job = *job, .raised = true};
    const Batch *held_out = evaluation_batch(job, region);
    int64_t      steps    = steps_to_try(job, number < 0 ? 0 : number);
    Capacity     found    = {0};
    bool         good     = true;
    search.capacity       = job->layout->ranks[0].capacity;
    if (held_out)
        take_evaluation(&search, held_out, &found);
    for (int round = 0; good && search.raised && round < ROUNDS; round++) {
        search.raised = false;
        good          = take_steps(&search, number, steps, &found.steps);
    }
    found.bytes = good && !search.raised ? search.capacity : -1;
    region_free(region);
    return found;
}
