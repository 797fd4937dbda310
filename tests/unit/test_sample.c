/* sample: batches depend on the job and its data alone, and lose no token. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/base/random.h"
#include "gen/step/sample.h"

enum { CONTEXT = 100, DOCUMENTS = 400 };

static Region    *region;
static Job        job;
static TokenIndex documents;
static int64_t    length[DOCUMENTS];

/* Lengths from 0 to 6 contexts, most of them short. */
static void open_region(void)
{
    uint64_t seed = 1;
    region        = region_new();
    for (int d = 0; d < DOCUMENTS; d++)
        length[d] = random_below(&seed, d % 10 == 0 ? 6 * CONTEXT : 50);
    length[7] = CONTEXT, length[8] = CONTEXT + 1, length[9] = 0;
    documents = (TokenIndex){.prefix = "corpus", .documents = DOCUMENTS, .length = length};
    job       = (Job){.data  = {.context = CONTEXT, .held_out = 0.1},
                      .train = {.seed = 3, .batch_tokens = 1000}};
}

static void close_region(void)
{
    region_free(region);
}

TestSuite(sample, .init = open_region, .fini = close_region);

static Sampler *open_sampler(void)
{
    Error    error;
    Sampler *sampler = sampler_open(region, &job, &documents, NULL, &error);
    cr_assert(sampler != NULL, "%s", error.text);
    return sampler;
}

Test(sample, a_permutation_takes_each_number_once)
{
    static const int64_t counts[] = {1, 2, 3, 10, 100, 997, 4096, 10000};
    for (int i = 0; i < COUNT(counts); i++)
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            uint8_t seen[10000] = {0};
            for (int64_t index = 0; index < counts[i]; index++) {
                int64_t to = sample_permute(9, epoch, index, counts[i]);
                cr_assert(to >= 0 && to < counts[i] && !seen[to]);
                seen[to] = 1;
            }
        }
}

/* Neighbours end up far apart: of a shuffle, a number's neighbour is next to it by chance only. */
Test(sample, a_permutation_mixes)
{
    int     neighbours = 0, fixed = 0;
    int64_t distance = 0;
    for (int64_t i = 0; i < 9999; i++) {
        int64_t here = sample_permute(4, 0, i, 10000), there = sample_permute(4, 0, i + 1, 10000);
        neighbours += here - there == 1 || there - here == 1;
        fixed += here == i;
        distance += here > there ? here - there : there - here;
    }
    cr_assert_lt(neighbours, 12);
    cr_assert_lt(fixed, 8);
    cr_assert(distance > 9999L * 3200 && distance < 9999L * 3470, "%ld", (long)distance / 9999);
}

/* An epoch's sequences, put together again, are the documents that are not held out. */
static void check_epoch(LongDocuments rule)
{
    job.data.too_long           = rule;
    Sampler *sampler            = open_sampler();
    int64_t  covered[DOCUMENTS] = {0}, sequences = 0;
    job.train.batch_tokens    = 0;
    job.train.batch_sequences = 1;
    while (sequences < sampler->nsequences) {
        Batch          *batch    = sampler_next(sampler, region);
        const Sequence *sequence = &batch->sequences[0];
        int64_t         all      = length[sequence->document];
        cr_assert_eq(batch->nsequences, 1);
        cr_assert_eq(batch->position, ++sequences);
        cr_assert_eq(sequence->start % CONTEXT, 0);
        cr_assert(sequence->length > 0 && sequence->length <= CONTEXT);
        cr_assert_leq(sequence->start + sequence->length, all);
        cr_assert(!sampler->is_held_out[sequence->document]);
        bool at_end = sequence->start + sequence->length == all;
        cr_assert_eq(sequence->weight, (double)(sequence->length - at_end));
        covered[sequence->document] += sequence->length;
    }
    for (int d = 0; d < DOCUMENTS; d++) {
        int64_t whole = rule == LONG_CUT && length[d] > CONTEXT ? CONTEXT : length[d];
        cr_assert_eq(covered[d], sampler->is_held_out[d] ? 0 : whole, "document %d", d);
    }
}

Test(sample, an_epoch_of_parts_is_every_token_once)
{
    check_epoch(LONG_SPLIT);
}

Test(sample, an_epoch_of_cut_documents_is_each_once)
{
    check_epoch(LONG_CUT);
}

Test(sample, a_document_that_is_too_long_can_be_an_error)
{
    Error error;
    job.data.too_long = LONG_ERROR;
    cr_assert_null(sampler_open(region, &job, &documents, NULL, &error));
    cr_assert(strstr(error.text, "corpus: document 8 has 101 tokens") != NULL, "%s", error.text);
    cr_assert_eq(error.status, EXIT_INPUT);
}

Test(sample, counts_say_what_happened)
{
    Sampler            *sampler = open_sampler();
    const SampleCounts *counts  = &sampler->counts;
    int64_t             split = 0, empty = 0, tokens = 0, held = 0;
    for (int d = 0; d < DOCUMENTS; d++) {
        held += sampler->is_held_out[d];
        empty += length[d] == 0;
        split += !sampler->is_held_out[d] && length[d] > CONTEXT;
        tokens += sampler->is_held_out[d] ? 0 : length[d];
    }
    cr_assert_eq(counts->documents, DOCUMENTS);
    cr_assert_eq(counts->split, split);
    cr_assert_eq(counts->empty, empty);
    cr_assert_eq(counts->tokens, tokens);
    cr_assert_eq(counts->held_out, held);
    cr_assert_eq(counts->cut, 0);
    cr_assert(held > 20 && held < 60);
}

Test(sample, batches_fill_up_to_their_tokens)
{
    Sampler *sampler = open_sampler();
    for (int step = 0; step < 200; step++) {
        Batch *batch = sampler_next(sampler, region);
        cr_assert_eq(batch->step, step);
        cr_assert_leq(batch->tokens, 1000);
        Batch *after = sampler_next(sampler, region); /* its first did not fit */
        cr_assert_gt(batch->tokens + after->sequences[0].length, 1000);
        sampler_place(sampler, step + 1, batch->position);
    }
    job.train.batch_tokens = 5;
    sampler_place(sampler, 0, 0);
    for (int step = 0; step < 200; step++) {
        Batch *batch = sampler_next(sampler, region);
        cr_assert(batch->tokens <= 5 || batch->nsequences == 1);
    }
}

static void check_same(const Batch *a, const Batch *b)
{
    Text first = text_new(region), second = text_new(region);
    batch_print(a, &first);
    batch_print(b, &second);
    cr_assert_str_eq(first.at, second.at);
}

Test(sample, every_way_to_a_step_gives_its_batch)
{
    for (int by_sequences = 0; by_sequences < 2; by_sequences++) {
        job.train.batch_sequences = by_sequences ? 7 : 0;
        job.train.batch_tokens    = by_sequences ? 0 : 1000;
        Sampler *walker = open_sampler(), *seeker = open_sampler(), *placed = open_sampler();
        int64_t  position = 0;
        for (int64_t step = 0; step < 100; step++) { /* beyond the first epoch */
            Batch *batch = sampler_next(walker, region);
            sampler_seek(seeker, 99 - step);
            sampler_seek(seeker, step);
            check_same(sampler_next(seeker, region), batch);
            sampler_place(placed, step, position);
            check_same(sampler_next(placed, region), batch);
            position = batch->position;
        }
        cr_assert_gt(position, walker->nsequences);
    }
}

Test(sample, epochs_and_seeds_have_orders_of_their_own)
{
    Sampler *sampler = open_sampler();
    int      same    = 0;
    for (int64_t i = 0; i < sampler->nsequences; i++)
        same += sample_permute(3, 0, i, sampler->nsequences) ==
                sample_permute(3, 1, i, sampler->nsequences);
    cr_assert_lt(same, 10);
    same = 0;
    for (int64_t i = 0; i < sampler->nsequences; i++)
        same += sample_permute(3, 0, i, sampler->nsequences) ==
                sample_permute(4, 0, i, sampler->nsequences);
    cr_assert_lt(same, 10);
}

Test(sample, held_out_documents_do_not_depend_on_the_others)
{
    Sampler *all        = open_sampler();
    documents.documents = DOCUMENTS / 2;
    Sampler *half       = open_sampler();
    cr_assert_eq(memcmp(all->is_held_out, half->is_held_out, DOCUMENTS / 2), 0);
}

Test(sample, the_held_out_batch_is_every_held_out_token)
{
    Sampler *sampler = open_sampler();
    Batch   *batch   = sampler_held_out(sampler, region);
    int64_t  tokens  = 0;
    for (int d = 0; d < DOCUMENTS; d++)
        tokens += sampler->is_held_out[d] ? length[d] : 0;
    cr_assert_eq(batch->tokens, tokens);
    for (int i = 0; i < batch->nsequences; i++)
        cr_assert(sampler->is_held_out[batch->sequences[i].document]);
    job.data.held_out = 0;
    cr_assert_eq(sampler_held_out(open_sampler(), region)->nsequences, 0);
}

Test(sample, one_document_is_held_out_where_the_share_takes_none)
{
    job.data.held_out   = 1e-9;
    documents.documents = 20;
    cr_assert_eq(open_sampler()->counts.held_out, 1);
    documents.documents = 1;
    Error error;
    cr_assert_null(sampler_open(region, &job, &documents, NULL, &error));
    cr_assert(strstr(error.text, "no document is left to train on") != NULL, "%s", error.text);
}

/* Weights of a sequence, one target after the other. */
static double slow_weight(const Sequence *sequence, const int64_t *prompt)
{
    double weight = 0;
    for (int64_t i = sequence->start; i < sequence->start + sequence->length; i++)
        weight += i + 1 < length[sequence->document] && i + 1 >= prompt[sequence->document];
    return weight;
}

Test(sample, predictions_inside_a_prompt_do_not_count)
{
    int64_t  prompt[DOCUMENTS];
    uint64_t seed = 5;
    for (int d = 0; d < DOCUMENTS; d++)
        prompt[d] = random_below(&seed, length[d] + 1);
    documents.prompt = prompt;
    Sampler *sampler = open_sampler();
    for (int step = 0; step < 60; step++) {
        Batch *batch  = sampler_next(sampler, region);
        double weight = 0;
        for (int i = 0; i < batch->nsequences; i++) {
            cr_assert_eq(batch->sequences[i].weight, slow_weight(&batch->sequences[i], prompt));
            weight += batch->sequences[i].weight;
        }
        cr_assert_eq(batch->weight, weight);
    }
}

Test(sample, lengths_alone_are_enough)
{
    Error    error;
    Lengths *lengths  = lengths_count(region, length, DOCUMENTS, "lengths");
    job.data.held_out = 0;
    Sampler *known    = open_sampler();
    Sampler *alone    = sampler_open(region, &job, NULL, lengths, &error);
    cr_assert(alone != NULL, "%s", error.text);
    cr_assert_eq(alone->nsequences, known->nsequences);
    cr_assert_eq(alone->counts.tokens, known->counts.tokens);
    cr_assert_eq(sampler_next(alone, region)->sequences[0].document, -1);
}
