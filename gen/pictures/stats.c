/* stats: see stats.h. */
#include "gen/pictures/stats.h"

#include "gen/pictures/histogram.h"

int64_t stats_tokens_beyond(const Lengths *lengths, int64_t length)
{
    int64_t tokens = 0;
    for (int i = lengths->ncounts - 1; i >= 0 && lengths->counts[i].length > length; i--)
        tokens += lengths->counts[i].length * lengths->counts[i].documents;
    return tokens;
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* The least length such that half of all tokens lie in documents up to it. */
static int64_t token_median(const Lengths *lengths)
{
    int64_t seen = 0;
    for (int i = 0; i < lengths->ncounts; i++) {
        seen += lengths->counts[i].length * lengths->counts[i].documents;
        if (seen >= lengths->tokens - seen)
            return lengths->counts[i].length;
    }
    return 0;
}

void stats_print(const Lengths *lengths, int64_t context, Text *out)
{
    static const struct {
        const char *name;
        double      share;
    } quantiles[]  = {{"1%", 0.01},  {"10%", 0.1},     {"median", 0.5}, {"90%", 0.9},
                      {"99%", 0.99}, {"99.9%", 0.999}, {"longest", 1}};
    Region *region = out->region;
    text_add(out, "%s: %s, %s (%s)\n", lengths->name,
             text_count(region, lengths->documents, "document"),
             text_count(region, lengths->tokens, "token"), lengths->source);
    text_add(out, "lengths in tokens: mean %.1f",
             lengths->documents > 0 ? (double)lengths->tokens / (double)lengths->documents : 0);
    for (int i = 0; i < COUNT(quantiles); i++)
        text_add(out, ", %s %lld", quantiles[i].name,
                 (long long)lengths_quantile(lengths, quantiles[i].share));
    text_add(out, "\nhalf of all tokens lie in documents of at least %lld tokens\n",
             (long long)token_median(lengths));
    if (context > 0)
        text_add(out, "%.1f%% of all tokens lie in documents longer than the context of %lld\n",
                 percent(stats_tokens_beyond(lengths, context), lengths->tokens),
                 (long long)context);
    text_add(out, "\n");
    histogram_text(lengths, out);
}

void stats_print_sampling(const SampleCounts *counts, const Job *job, Text *out)
{
    Region *region = out->region;
    text_add(out, "\nan epoch: %s, %s, at a context of %lld\n",
             text_count(region, counts->sequences, "sequence"),
             text_count(region, counts->tokens, "token"), (long long)job->data.context);
    text_add(out, "  documents: %lld, of which %lld held out (%s), %lld empty\n",
             (long long)counts->documents, (long long)counts->held_out,
             text_count(region, counts->held_out_tokens, "token"), (long long)counts->empty);
    if (counts->split > 0)
        text_add(out, "  longer than the context: %lld, split\n", (long long)counts->split);
    if (counts->cut > 0)
        text_add(out, "  longer than the context: %lld, cut; %s left out\n", (long long)counts->cut,
                 text_count(region, counts->cut_tokens, "token"));
}
