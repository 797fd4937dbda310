/* stats: what a person wants to know of a data set's lengths. */
#ifndef PIPEWRIGHT_STATS_H
#define PIPEWRIGHT_STATS_H

#include "gen/forms/lengths.h"
#include "gen/step/sample.h"

/* Sums, quantiles, where the tokens are, a histogram. `context` 0: not known. */
void stats_print(const Lengths *lengths, int64_t context, Text *out);

/* What a job's rules make of the documents. */
void stats_print_sampling(const SampleCounts *counts, const Job *job, Text *out);

/* Tokens in documents longer than so many tokens. */
int64_t stats_tokens_beyond(const Lengths *lengths, int64_t length);

#endif
