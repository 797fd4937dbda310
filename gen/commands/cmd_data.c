/* data: documents -> tokens, once. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "gen/base/text.h"
#include "gen/commands/command.h"
#include "gen/data/documents.h"

/* A line a second on a terminal, else every ten seconds. */
typedef struct Progress {
    time_t last;
    bool   terminal;
} Progress;

static void show_progress(void *context, int64_t done, int64_t total)
{
    Progress *progress = context;
    time_t    now      = time(NULL);
    if (now - progress->last < (progress->terminal ? 1 : 10))
        return;
    progress->last = now;
    fprintf(stderr, "%s%3.0f%% of %.1f MiB read%s", progress->terminal ? "\r" : "",
            total > 0 ? 100.0 * (double)done / (double)total : 100.0,
            (double)total / (1024.0 * 1024.0), progress->terminal ? "" : "\n");
}

static void print_report(Region *region, const DataReport *report)
{
    printf("%s.idx: %s, %s%s\n", report->prefix, text_count(region, report->documents, "document"),
           text_count(region, report->tokens, "token"), report->made ? "" : " (there already)");
    printf("data hash: %s (SHA-256 of %s.bin)\n", report->tokens_hash, report->prefix);
    if (report->empty > 0)
        printf("  %s or line left out\n", text_count(region, report->empty, "empty document"));
    if (report->links > 0)
        printf("  %s not followed\n", text_count(region, report->links, "symbolic link"));
    if (report->not_text > 0)
        printf("  %s left out, not UTF-8 text; the first: %s\n",
               text_count(region, report->not_text, "file"), report->first_not_text);
}

static bool run(const Arguments *arguments, Error *error)
{
    Job *job = job_parse(arguments->region, arguments->words[0], arguments->sets, error);
    if (!job)
        return false;
    Progress   progress = {time(NULL), isatty(STDERR_FILENO)};
    DataReport report;
    bool       made = data_make(arguments->region, job, show_progress, &progress, &report, error);
    if (progress.terminal && made && report.made)
        fprintf(stderr, "\r\033[K");
    if (made)
        print_report(arguments->region, &report);
    return made;
}

static const Option options[] = {{0}};

const Command command_data = {
    .name      = "data",
    .words     = "JOB",
    .min_words = 1,
    .max_words = 1,
    .summary   = "turn the job's documents into tokens, once",
    .details   = "Writes a token set in Megatron's indexed format beside the job file, as "
                 "JOB.data/tokens.idx and .bin. Does nothing where it was made from the same "
                 "files.",
    .options   = options,
    .run       = run,
};
