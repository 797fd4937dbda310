/* sample: job, step number -> batch.
 *   reads    the lengths of documents, from an index or a form of lengths; the job's rules
 *   writes   the batch of each step in turn; nothing depends on ranks
 *   fails    where a document is too long and the job says "error"; where nothing is left
 *   stands   first: the batch is what a policy decides about
 * A document is held out by its number and the seed alone. The others' sequences (parts of a
 * document longer than the context are sequences of their own) are numbered; an epoch takes each
 * once, in an order made from (seed, epoch) alone by a permutation that is computed, not stored: a
 * Feistel network over the numbers (Black and Rogaway 2002, Ciphers with Arbitrary Finite Domains).
 * So any position is found at once, and a step is found by adding lengths. Megatron's order, which
 * comes from NumPy's generator, is another one. */
#ifndef PIPEWRIGHT_SAMPLE_H
#define PIPEWRIGHT_SAMPLE_H

#include "gen/data/index.h"
#include "gen/forms/batch.h"
#include "gen/forms/job.h"
#include "gen/forms/lengths.h"

/* What became of the documents. */
typedef struct SampleCounts {
    int64_t documents, held_out, empty; /* `documents`: all of them                             */
    int64_t held_out_tokens;            /* of the held-out ones, whole                          */
    int64_t split;                      /* longer than the context, in parts                    */
    int64_t cut, cut_tokens;            /* longer than the context, and what was left out       */
    int64_t sequences, tokens;          /* of one epoch                                         */
} SampleCounts;

typedef struct Sampler {
    const Job     *job;
    int64_t        documents;
    const int64_t *length;   /* [documents] tokens                                                */
    const int64_t *prompt;   /* [documents] or NULL                                               */
    bool           numbered; /* false: only lengths are known                                 */
    uint8_t       *is_held_out; /* [documents]                                                  */
    int32_t       *owner;       /* [nsequences] document                                        */
    int64_t       *first;       /* [documents] number of its first sequence                     */
    int64_t        nsequences;
    SampleCounts   counts;
    int64_t        step, position; /* of the next batch; position: sequences taken before it    */
} Sampler;

/* Exactly one of `index` and `lengths` is given. Stands at step 0, the first. */
Sampler *sampler_open(Region *region, const Job *job, const TokenIndex *index,
                      const Lengths *lengths, Error *error);

/* To a step whose position is known (Batch.position of the step before, as saved states keep
 * it). */
void sampler_place(Sampler *sampler, int64_t step, int64_t position);
/* To a step by counting from where it stands, or from the start if the step is earlier. */
void sampler_seek(Sampler *sampler, int64_t step);
/* The batch of the step where it stands; moves to the next. */
Batch *sampler_next(Sampler *sampler, Region *region);

/* All held-out sequences, in the order of documents, as one batch for the caller to divide; of step
 * -1. It has no sequences where the job holds nothing out. */
Batch *sampler_held_out(const Sampler *sampler, Region *region);

/* All sequences of all documents, in their order, as one batch of step -1. */
Batch *sample_everything(Region *region, const Job *job, const TokenIndex *index);

/* Where number `index` of an epoch's `count` sequences stands in this epoch's order. */
int64_t sample_permute(uint64_t seed, uint64_t epoch, int64_t index, int64_t count);

#endif
