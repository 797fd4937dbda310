/* sample: see sample.h. */
#include "gen/step/sample.h"

#include <string.h>

#include "gen/base/random.h"

enum { MOST_DOCUMENTS = INT32_MAX, ROUNDS = 6 };

/* Streams of one seed; the epoch's is its number. */
#define HELD_OUT_STREAM UINT64_C(0x68656c646f757400)

/* ceil(sqrt(count)), in integers. */
static int64_t side_of(int64_t count)
{
    int64_t side = 1;
    while (side * side < count)
        side *= 2;
    for (int64_t step = side / 2; step > 0; step /= 2)
        if ((side - step) * (side - step) >= count)
            side -= step;
    return side;
}

/* A number is left * side + right; each round shifts one of the two by a function of the other,
 * which can be undone, so the whole is a permutation of [0, side^2). Results beyond `count` are
 * permuted again until they fall below: less than two rounds on average, as side^2 exceeds count by
 * at most 2 side. */
int64_t sample_permute(uint64_t seed, uint64_t epoch, int64_t index, int64_t count)
{
    uint64_t key  = random_at(seed, epoch);
    int64_t  side = side_of(count);
    do {
        int64_t left = index / side, right = index % side;
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t shift = random_at(key + (uint64_t)round, (uint64_t)right);
            int64_t  moved = (left + (int64_t)(shift % (uint64_t)side)) % side;
            left           = right;
            right          = moved;
        }
        index = left * side + right;
    } while (index >= count);
    return index;
}

/* Lengths alone: documents are numbered from the shortest on; the order of sequences is made by the
 * permutation anyhow. */
static bool documents_of_lengths(Region *region, Sampler *sampler, const Lengths *lengths,
                                 Error *error)
{
    if (lengths->documents > MOST_DOCUMENTS)
        return error_input(error, "%s: %lld documents are more than can be sampled (%d)",
                           lengths->name, (long long)lengths->documents, MOST_DOCUMENTS);
    int64_t *length   = REGION_ARRAY(region, int64_t, lengths->documents);
    int64_t  document = 0;
    for (int i = 0; i < lengths->ncounts; i++)
        for (int64_t j = 0; j < lengths->counts[i].documents; j++)
            length[document++] = lengths->counts[i].length;
    sampler->documents = document;
    sampler->length    = length;
    return true;
}

/* The share is of the numbers' range; where it takes nobody, the lowest number is held out, so that
 * a job which asks for held-out documents has one. */
static void hold_out(Sampler *sampler)
{
    uint64_t seed   = sampler->job->train.seed ^ HELD_OUT_STREAM;
    int64_t  lowest = -1;
    uint64_t least  = UINT64_MAX;
    for (int64_t d = 0; d < sampler->documents; d++) {
        uint64_t number = random_at(seed, (uint64_t)d);
        if (sampler->length[d] == 0)
            continue;
        sampler->is_held_out[d] = (double)(number >> 11) * 0x1p-53 < sampler->job->data.held_out;
        sampler->counts.held_out += sampler->is_held_out[d];
        if (lowest < 0 || number < least) {
            least  = number;
            lowest = d;
        }
    }
    if (sampler->job->data.held_out > 0 && sampler->counts.held_out == 0 && lowest >= 0) {
        sampler->is_held_out[lowest] = 1;
        sampler->counts.held_out     = 1;
    }
}

/* How many sequences a document of so many tokens makes. */
static int64_t parts_of(const Job *job, int64_t length)
{
    int64_t context = job->data.context;
    if (job->data.too_long == LONG_SPLIT)
        return length / context + (length % context != 0);
    return length > 0;
}

static bool count_sequences(Sampler *sampler, const char *name, Error *error)
{
    int64_t       context = sampler->job->data.context;
    SampleCounts *counts  = &sampler->counts;
    counts->documents     = sampler->documents;
    for (int64_t d = 0; d < sampler->documents; d++) {
        int64_t length  = sampler->length[d];
        bool    is_long = length > context;
        if (is_long && sampler->job->data.too_long == LONG_ERROR)
            return error_input(error,
                               "%s: document %lld has %lld tokens, more than the context of %lld, "
                               "and the job's data says long = \"error\"",
                               name, (long long)d, (long long)length, (long long)context);
        counts->empty += length == 0;
        if (sampler->is_held_out[d]) {
            counts->held_out_tokens += length;
            continue;
        }
        bool cut = is_long && sampler->job->data.too_long == LONG_CUT;
        counts->split += is_long && !cut;
        counts->cut += cut;
        counts->cut_tokens += cut ? length - context : 0;
        counts->tokens += cut ? context : length;
        sampler->first[d] = counts->sequences;
        counts->sequences += parts_of(sampler->job, length);
    }
    sampler->nsequences = counts->sequences;
    if (sampler->nsequences == 0)
        return error_input(
            error,
            "%s: no document is left to train on (of %lld, %lld are empty and %lld held "
            "out); give more, or hold none out with data.held_out = 0",
            name, (long long)counts->documents, (long long)counts->empty,
            (long long)counts->held_out);
    return true;
}

static void number_sequences(Region *region, Sampler *sampler)
{
    sampler->owner   = REGION_ARRAY(region, int32_t, sampler->nsequences);
    int64_t sequence = 0;
    for (int64_t d = 0; d < sampler->documents; d++)
        if (!sampler->is_held_out[d])
            for (int64_t n = parts_of(sampler->job, sampler->length[d]); n > 0; n--)
                sampler->owner[sequence++] = (int32_t)d;
}

Sampler *sampler_open(Region *region, const Job *job, const TokenIndex *index,
                      const Lengths *lengths, Error *error)
{
    Sampler *sampler = REGION_NEW(region, Sampler);
    sampler->job     = job;
    if (index) {
        if (index->documents > MOST_DOCUMENTS) {
            error_input(error, "%s.idx: %lld documents are more than can be sampled (%d)",
                        index->prefix, (long long)index->documents, MOST_DOCUMENTS);
            return NULL;
        }
        sampler->documents = index->documents;
        sampler->length    = index->length;
        sampler->prompt    = index->prompt;
        sampler->numbered  = true;
    } else if (!documents_of_lengths(region, sampler, lengths, error)) {
        return NULL;
    }
    sampler->is_held_out = REGION_ARRAY(region, uint8_t, sampler->documents);
    sampler->first       = REGION_ARRAY(region, int64_t, sampler->documents);
    hold_out(sampler);
    if (!count_sequences(sampler, index ? index->prefix : lengths->name, error))
        return NULL;
    number_sequences(region, sampler);
    return sampler;
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

/* Input i of a document predicts its token i + 1, if there is one; what is predicted counts from
 * token `prompt` on. */
static Sequence sequence_of(const Sampler *sampler, int64_t document, int64_t part)
{
    int64_t  context  = sampler->job->data.context;
    int64_t  length   = sampler->length[document];
    Sequence sequence = {.document = sampler->numbered ? document : -1, .start = part * context};
    sequence.length   = at_most(length - sequence.start, context);
    int64_t first     = sampler->prompt ? sampler->prompt[document] - 1 : 0;
    int64_t past      = at_most(sequence.start + sequence.length, length - 1);
    first             = first > sequence.start ? first : sequence.start;
    sequence.weight   = past > first ? (double)(past - first) : 0;
    return sequence;
}

static Sequence sequence_at(const Sampler *sampler, int64_t position)
{
    uint64_t epoch = (uint64_t)(position / sampler->nsequences);
    int64_t number = sample_permute(sampler->job->train.seed, epoch, position % sampler->nsequences,
                                    sampler->nsequences);
    int32_t document = sampler->owner[number];
    return sequence_of(sampler, document, number - sampler->first[document]);
}

/* How many sequences the step takes that starts at `position`: as many as the job says, or as fit
 * into so many tokens, but at least one. */
static int sequences_from(const Sampler *sampler, int64_t position)
{
    const JobTrain *train = &sampler->job->train;
    if (train->batch_sequences > 0)
        return (int)train->batch_sequences;
    int64_t tokens = sequence_at(sampler, position).length;
    int     count  = 1;
    while ((tokens += sequence_at(sampler, position + count).length) <= train->batch_tokens)
        count++;
    return count;
}

void sampler_place(Sampler *sampler, int64_t step, int64_t position)
{
    sampler->step     = step;
    sampler->position = position;
}

void sampler_seek(Sampler *sampler, int64_t step)
{
    int64_t sequences = sampler->job->train.batch_sequences;
    if (sequences > 0) {
        sampler_place(sampler, step, step * sequences);
        return;
    }
    if (step < sampler->step)
        sampler_place(sampler, 0, 0);
    for (; sampler->step < step; sampler->step++)
        sampler->position += sequences_from(sampler, sampler->position);
}

static void take(Batch *batch, Sequence sequence)
{
    batch->sequences[batch->nsequences++] = sequence;
    batch->tokens += sequence.length;
    batch->weight += sequence.weight;
}

Batch *sampler_next(Sampler *sampler, Region *region)
{
    Batch *batch     = REGION_NEW(region, Batch);
    int    count     = sequences_from(sampler, sampler->position);
    batch->step      = sampler->step;
    batch->context   = sampler->job->data.context;
    batch->sequences = REGION_ARRAY(region, Sequence, count);
    for (int i = 0; i < count; i++)
        take(batch, sequence_at(sampler, sampler->position + i));
    sampler->position += count;
    sampler->step++;
    batch->position = sampler->position;
    return batch;
}

Batch *sampler_held_out(const Sampler *sampler, Region *region)
{
    Batch  *batch = REGION_NEW(region, Batch);
    int64_t count = 0;
    for (int64_t d = 0; d < sampler->documents; d++)
        if (sampler->is_held_out[d])
            count += parts_of(sampler->job, sampler->length[d]);
    batch->step      = -1;
    batch->context   = sampler->job->data.context;
    batch->sequences = REGION_ARRAY(region, Sequence, count);
    for (int64_t d = 0; d < sampler->documents; d++)
        for (int64_t part = 0;
             sampler->is_held_out[d] && part < parts_of(sampler->job, sampler->length[d]); part++)
            take(batch, sequence_of(sampler, d, part));
    return batch;
}

Batch *sample_everything(Region *region, const Job *job, const TokenIndex *index)
{
    Sampler all = {.job         = job,
                   .documents   = index->documents,
                   .length      = index->length,
                   .prompt      = index->prompt,
                   .numbered    = true,
                   .is_held_out = REGION_ARRAY(region, uint8_t, index->documents)};
    memset(all.is_held_out, 1, (size_t)index->documents);
    return sampler_held_out(&all, region);
}
