/* stats: the lengths of a data set, as text, picture and form. */
#include <stdio.h>

#include "gen/base/file.h"
#include "gen/commands/command.h"
#include "gen/data/bigram.h"
#include "gen/data/documents.h"
#include "gen/data/record.h"
#include "gen/pictures/histogram.h"
#include "gen/pictures/stats.h"

#define LARGEST_LENGTHS ((size_t)1 << 32)

/* What the lengths are of; `job` is NULL where only a file was named. */
typedef struct Subject {
    Job         *job;
    JobDocuments documents;
} Subject;

static bool open_subject(const Arguments *arguments, Subject *subject, Error *error)
{
    Region     *region = arguments->region;
    const char *path   = arguments->words[0];
    if (text_ends(path, ".lua")) {
        subject->job = job_parse(region, path, arguments->sets, error);
        return subject->job && data_open(region, subject->job, &subject->documents, error);
    }
    if (text_ends(path, ".idx")) {
        subject->documents.index = index_open(region, path, error);
        return subject->documents.index != NULL;
    }
    char *text                 = file_read(region, path, LARGEST_LENGTHS, NULL, error);
    subject->documents.lengths = text ? lengths_read(region, text, path, error) : NULL;
    return subject->documents.lengths != NULL;
}

static bool write_forms(const Arguments *arguments, const Lengths *lengths, Error *error)
{
    const char *json = argument(arguments, "output"), *svg = argument(arguments, "svg");
    if (json) {
        Text text = text_new(arguments->region);
        lengths_print(lengths, &text);
        if (!file_write(json, text.at, text.length, error))
            return false;
    }
    if (svg) {
        Text text = text_new(arguments->region);
        histogram_svg(lengths, &text);
        if (!file_write(svg, text.at, text.length, error))
            return false;
    }
    return true;
}

static bool add_bigram(const Subject *subject, const Sampler *sampler, Text *text, Error *error)
{
    double      bits;
    const char *hash;
    if (!subject->documents.index)
        return error_input(error, "--bigram: the job knows only lengths, not bytes");
    if (!bigram_entropy(text->region, subject->documents.index, sampler->is_held_out, &bits,
                        error) ||
        !(hash = record_tokens_hash(text->region, subject->documents.index->prefix, error)))
        return false;
    text_add(text, "bigram entropy of the training bytes: %.4f bits per byte\ndata hash: %s\n",
             bits, hash);
    return true;
}

static bool run(const Arguments *arguments, Error *error)
{
    Region *region  = arguments->region;
    Subject subject = {0};
    Text    text    = text_new(region);
    if (!open_subject(arguments, &subject, error))
        return false;
    Lengths *lengths = data_lengths(region, &subject.documents);
    stats_print(lengths, subject.job ? subject.job->data.context : 0, &text);
    if (subject.job) {
        Sampler *sampler = sampler_open(region, subject.job, subject.documents.index,
                                        subject.documents.lengths, error);
        if (!sampler)
            return false;
        stats_print_sampling(&sampler->counts, subject.job, &text);
        if (argument(arguments, "bigram") && !add_bigram(&subject, sampler, &text, error))
            return false;
    }
    fputs(text.at, stdout);
    return write_forms(arguments, lengths, error);
}

static const Option options[] = {
    {"output", "FILE", "write the lengths as JSON, pipewright-lengths-1 (-o FILE)"},
    {"svg", "FILE", "write the histogram as a picture"},
    {"bigram", NULL,
     "of a job on bytes: the bigram entropy of its training bytes, and the data's hash"},
    {0},
};

const Command command_stats = {
    .name      = "stats",
    .words     = "JOB|PREFIX.idx|LENGTHS.txt",
    .min_words = 1,
    .max_words = 1,
    .summary   = "count documents by length",
    .details = "LENGTHS.txt holds one length in tokens a line; \"#\" begins a comment. A file that "
               "-o wrote is read as well.",
    .options = options,
    .run     = run,
};
