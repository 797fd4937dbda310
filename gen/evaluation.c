/* evaluation: see evaluation.h. */
#include "gen/evaluation.h"

#include "gen/compile_evaluation.h"
#include "gen/compile_remedies.h"
#include "gen/ring_writer.h"

/* An artifact, of which `evaluate --data` asks, has no job whose fields could be changed. */
static bool too_large(const EvaluationWalk *walk, Error *error)
{
    if (walk->job->job)
        return remedies_of_evaluation(walk->job, error), false;
    return error_input(error, "%s; trained with cluster.memory = %lld it would do",
                       region_copy(walk->job->region, error->text), (long long)walk->need);
}

bool evaluation_fits(const Compilation *job, int64_t *peak, Error *error)
{
    Region      *region = region_new();
    const Batch *all    = evaluation_batch(job, region);
    bool         good   = true;
    *peak               = 0;
    if (all) {
        EvaluationWalk walk = evaluation_begin(job, all);
        evaluation_seek_longest(&walk);
        const Program *program = evaluation_next(&walk, region, error);
        *peak                  = program ? program_peak(program) : 0;
        good                   = program || (walk.need > 0 && too_large(&walk, error));
    }
    region_free(region);
    return good;
}

static bool append_next(EvaluationWalk *walk, RingWriter *ring, Error *error)
{
    Region  *region  = region_new();
    Text     stored  = text_new(region);
    Program *program = evaluation_next(walk, region, error);
    bool     good    = program || (walk->need > 0 && too_large(walk, error));
    if (good) {
        program_store(program, walk->job->codelets, &stored);
        good = ring_append(ring, stored.at, stored.length, false, error);
    }
    region_free(region);
    return good;
}

bool evaluation_write(const Compilation *job, const Batch *all, const char *path, Error *error)
{
    EvaluationWalk walk  = evaluation_begin(job, all);
    int64_t        count = evaluation_count(&walk);
    if (!ring_create(path, count, RING_UNBOUNDED, 0, error))
        return false;
    RingWriter *ring = ring_open(job->region, path, error);
    Error       ignored;
    if (!ring)
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!append_next(&walk, ring, error))
            return ring_finish(ring, error, &ignored), false;
    return ring_finish(ring, NULL, error);
}
