/* evaluation: see evaluation.h. */
#include "gen/evaluation.h"

#include "gen/compile_evaluation.h"
#include "gen/compile_remedies.h"
#include "gen/ring_writer.h"

static bool append_next(EvaluationWalk *walk, RingWriter *ring, Error *error)
{
    Region  *region  = region_new();
    Text     stored  = text_new(region);
    Program *program = evaluation_next(walk, region, error);
    bool     good    = program != NULL;
    if (good) {
        program_store(program, walk->job->codelets, &stored);
        good = ring_append(ring, stored.at, stored.length, false, error);
    } else if (walk->need > 0)
        remedies_of_evaluation(walk->job, error);
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
