/* evaluation: see evaluation.h. */
#include "gen/evaluation.h"

#include "gen/ring_writer.h"

enum { PROGRAM_TOKENS = 32768 };

/* One program over sequences [first, past). */
static bool store_program(const Compilation *job, RingWriter *ring, const Batch *all,
                          int64_t number, int first, int past, Error *error)
{
    Region *region = region_new();
    Batch   batch  = *all;
    Text    stored = text_new(region);
    batch.step     = number;
    batch.sequences += first;
    batch.nsequences = past - first;
    batch.tokens = 0, batch.weight = 0;
    for (int i = 0; i < batch.nsequences; i++) {
        batch.tokens += batch.sequences[i].length;
        batch.weight += batch.sequences[i].weight;
    }
    Program *program = expand_evaluate(region, &batch, job->model->context, job->model,
                                       job->codelets, job->layout, error);
    bool     good    = program && compile_forward(job, program, &batch, error);
    if (good) {
        program_store(program, job->codelets, &stored);
        good = ring_append(ring, stored.at, stored.length, false, error);
    }
    region_free(region);
    return good;
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

bool evaluation_write(const Compilation *job, const Batch *all, const char *path, Error *error)
{
    int64_t count = 0, number = 0;
    for (int first = 0; first < all->nsequences; first = program_end(all, first))
        count++;
    if (!ring_create(path, count, RING_UNBOUNDED, 0, error))
        return false;
    RingWriter *ring = ring_open(job->region, path, error);
    Error       ignored;
    if (!ring)
        return false;
    for (int first = 0, past; first < all->nsequences; first = past) {
        past = program_end(all, first);
        if (!store_program(job, ring, all, number++, first, past, error))
            return ring_finish(ring, -1, error->text, &ignored), false;
    }
    return ring_finish(ring, 1, NULL, error);
}
