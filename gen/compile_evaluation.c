/* compile_evaluation: see the header. */
#include "gen/compile_evaluation.h"

enum { PROGRAM_TOKENS = 32768, SHORTEST_CHUNK = 64 };

Batch *evaluation_batch(const Compilation *job, Region *region)
{
    Batch *all = job->prefix ? sampler_held_out(job->sampler, region) : NULL;
    return all && all->nsequences > 0 ? all : NULL;
}

EvaluationWalk evaluation_begin(const Compilation *job, const Batch *all)
{
    return (EvaluationWalk){.job = job, .all = all, .chunk = job->model->context};
}

/* Where a program ends that begins with sequence `first`. */
static int program_end(const Batch *all, int first)
{
    int64_t tokens = 0;
    int     past   = first;
    while (past < all->nsequences &&
           (past == first || tokens + all->sequences[past].length <= PROGRAM_TOKENS))
        tokens += all->sequences[past++].length;
    return past;
}

int64_t evaluation_count(const EvaluationWalk *walk)
{
    int64_t count = 0;
    for (int first = walk->first; first < walk->all->nsequences;
         first     = program_end(walk->all, first))
        count++;
    return count;
}

static Batch next_batch(const EvaluationWalk *walk)
{
    Batch batch = *walk->all;
    batch.step  = walk->number;
    batch.sequences += walk->first;
    batch.nsequences = program_end(walk->all, walk->first) - walk->first;
    batch.tokens = 0, batch.weight = 0;
    for (int i = 0; i < batch.nsequences; i++) {
        batch.tokens += batch.sequences[i].length;
        batch.weight += batch.sequences[i].weight;
    }
    return batch;
}

void evaluation_skip(EvaluationWalk *walk)
{
    walk->first = program_end(walk->all, walk->first);
    walk->number++;
}

void evaluation_seek_longest(EvaluationWalk *walk)
{
    EvaluationWalk chosen  = *walk;
    int64_t        longest = 0;
    for (; walk->first < walk->all->nsequences; evaluation_skip(walk)) {
        Batch batch = next_batch(walk);
        for (int i = 0; i < batch.nsequences; i++)
            if (batch.sequences[i].length > longest) {
                longest = batch.sequences[i].length;
                chosen  = *walk;
            }
    }
    *walk = chosen;
}

/* In the longest chunks that fit; NULL: see evaluation_next. */
static Program *lower_batch(EvaluationWalk *walk, Region *region, const Batch *batch, Error *error)
{
    const Compilation *job = walk->job;
    for (;; walk->chunk /= 2) {
        Program *program = expand_evaluate(region, batch, walk->chunk, job->model, job->codelets,
                                           job->layout, error);
        if (!program || compile_lower_forward(job, program, error))
            return program;
        int64_t need = program_peak(program);
        if (need >= 0 && walk->chunk > SHORTEST_CHUNK)
            continue;
        walk->need = need > 0 ? need : 0;
        return NULL;
    }
}

Program *evaluation_next(EvaluationWalk *walk, Region *region, Error *error)
{
    Batch batch      = next_batch(walk);
    walk->need       = 0;
    Program *program = lower_batch(walk, region, &batch, error);
    evaluation_skip(walk);
    return program && compile_end_forward(walk->job, program, &batch, error) ? program : NULL;
}
