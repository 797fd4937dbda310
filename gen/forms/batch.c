/* batch: printing and reading back.
 *   batch of step 12: 2 sequences, 2080 tokens, weight 2078; context 2048, position 5120
 *     0  document 17  start 2048  length 2048  weight 2048
 *     1  document 3  start 0  length 32  weight 30 */
#include "gen/forms/batch.h"

#include <stdio.h>
#include <string.h>

void batch_print(const Batch *batch, Text *out)
{
    text_add(
        out,
        "batch of step %lld: %d sequences, %lld tokens, weight %s; context %lld, position %lld\n",
        (long long)batch->step, batch->nsequences, (long long)batch->tokens,
        text_double(out->region, batch->weight), (long long)batch->context,
        (long long)batch->position);
    for (int i = 0; i < batch->nsequences; i++) {
        const Sequence *sequence = &batch->sequences[i];
        text_add(out, "%5d  document %lld  start %lld  length %lld  weight %s\n", i,
                 (long long)sequence->document, (long long)sequence->start,
                 (long long)sequence->length, text_double(out->region, sequence->weight));
    }
}

static bool expected(Error *error, Place place, const char *line, const char *what)
{
    return error_at(error, place, .found = line, .expected = what);
}

static bool read_head(const char *line, Batch *batch, int64_t *nsequences, int64_t *tokens,
                      double *weight)
{
    long long step, count, all, context, position;
    int       end = 0;
    if (sscanf(line,
               "batch of step %lld: %lld sequences, %lld tokens, weight %lf; context %lld, "
               "position %lld%n",
               &step, &count, &all, weight, &context, &position, &end) != 6 ||
        line[end])
        return false;
    batch->step     = step;
    batch->context  = context;
    batch->position = position;
    *nsequences     = count;
    *tokens         = all;
    return true;
}

static bool read_sequence(const char *line, int number, Sequence *sequence)
{
    long long document, start, length;
    int       index, end = 0;
    if (sscanf(line, " %d document %lld start %lld length %lld weight %lf%n", &index, &document,
               &start, &length, &sequence->weight, &end) != 5 ||
        line[end])
        return false;
    sequence->document = document;
    sequence->start    = start;
    sequence->length   = length;
    return index == number && document >= -1 && start >= 0 && length > 0 && sequence->weight >= 0 &&
           sequence->weight <= (double)length;
}

Batch *batch_read(Region *region, const char *text, const char *name, Error *error)
{
    Batch  *batch      = REGION_NEW(region, Batch);
    int64_t nsequences = -1, tokens = 0;
    double  weight = 0;
    int     room   = 0;
    Place   place  = {name, 0};
    char   *rest, *lines = region_copy(region, text);
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        Sequence sequence;
        place.line++;
        if (nsequences < 0) {
            if (!read_head(line, batch, &nsequences, &tokens, &weight) || nsequences < 0)
                return expected(error, place, line, "\"batch of step ...\""), NULL;
            continue;
        }
        if (!read_sequence(line, batch->nsequences, &sequence))
            return expected(error, place, line, "the next sequence, all its numbers in range"),
                   NULL;
        if (sequence.length > batch->context)
            return expected(error, place, line, "a sequence no longer than the context"), NULL;
        REGION_APPEND(region, batch->sequences, batch->nsequences, room, sequence);
        batch->tokens += sequence.length;
        batch->weight += sequence.weight;
    }
    if (batch->nsequences != nsequences || batch->tokens != tokens || batch->weight != weight) {
        error_input(error,
                    "%s: the batch's first line does not agree with its sequences: %d "
                    "sequences, %lld tokens, weight %s",
                    name, batch->nsequences, (long long)batch->tokens,
                    text_double(region, batch->weight));
        return NULL;
    }
    return batch;
}
