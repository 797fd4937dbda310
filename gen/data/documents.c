/* documents: what a job is planned from, and when its token set must be made; making it is
 * token_set.c's. */
#include "gen/data/documents.h"

#include <string.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/text.h"
#include "gen/data/record.h"
#include "gen/data/sources.h"
#include "gen/data/token_set.h"
#include "gen/data/tokenizer.h"

#define LARGEST_LENGTHS ((size_t)1 << 32)

/* Where the job's token set is: beside the job file, JOB.data/tokens, or what token_set names. */
static const char *data_prefix(Region *region, const Job *job)
{
    if (job->data.kind == DATA_TOKEN_SET)
        return path_without(region, path_join(region, job->folder, job->data.path), ".idx");
    return region_format(region, "%s.data/tokens", path_without(region, job->path, ".lua"));
}

/* What the token set depends on beside its sources. */
static const char *hash_of_making(Region *region, const Job *job, const Sources *sources)
{
    const JobData *data = &job->data;
    const char    *none = "";
    const char    *text = region_format(
           region, "%s\n%s\n%s\n%s\n%s\n%s\n", sources_hash(region, sources, job->folder),
        data->kind == DATA_JSONL ? "jsonl" : "text", data->text_key ? data->text_key : none,
        data->prompt_key ? data->prompt_key : none,
        data->completion_key ? data->completion_key : none, job->model->tokenizer);
    return hash_bytes(region, text, strlen(text));
}

static bool check_existing(Region *region, const Job *job, DataReport *report, Error *error)
{
    TokenIndex *index = index_open(region, report->prefix, error);
    const char *bin   = region_format(region, "%s.bin", report->prefix);
    if (index && !file_exists(bin))
        return error_input(error,
                           "%s: there is no such file; the .idx alone is enough to plan, tune "
                           "and build, not to train",
                           bin);
    if (!index || !index_check_tokens(index, job->model->vocabulary, error))
        return false;
    report->documents   = index->documents;
    report->tokens      = index->tokens;
    report->tokens_hash = record_tokens_hash(region, report->prefix, error);
    for (int64_t d = 0; d < index->documents; d++)
        report->empty += index->length[d] == 0;
    return report->tokens_hash != NULL;
}

/* The old record goes first and the new one comes last: a set that is half replaced has none. */
static bool make(Region *region, const Job *job, const Sources *sources, const char *hash,
                 DataProgress *progress, void *context, DataReport *report, Error *error)
{
    const Tokenizer *tokenizer = tokenizer_named(job->model->tokenizer, error);
    if (!tokenizer || !file_make_folders(path_folder(region, report->prefix), error) ||
        !record_remove(region, report->prefix, error) ||
        !token_set_write(region, job, tokenizer, sources, progress, context, report, error))
        return false;
    report->made      = true;
    report->files     = sources->nfiles;
    report->links     = sources->links;
    TokenIndex *index = index_open(region, report->prefix, error);
    return index && record_write(region, report, hash, index->hash, error);
}

bool data_make(Region *region, const Job *job, DataProgress *progress, void *context,
               DataReport *report, Error *error)
{
    *report = (DataReport){.prefix = data_prefix(region, job)};
    if (job->data.kind == DATA_LENGTHS)
        return error_input(error, "%s: its data is lengths alone; there are no documents",
                           job->path);
    if (job->data.kind == DATA_TOKEN_SET)
        return check_existing(region, job, report, error);
    Sources sources;
    if (!sources_find(region, path_join(region, job->folder, job->data.path), &sources, error))
        return false;
    const char *hash = hash_of_making(region, job, &sources);
    return record_stands(region, hash, report) ||
           make(region, job, &sources, hash, progress, context, report, error);
}

static bool open_lengths(Region *region, const Job *job, JobDocuments *documents, Error *error)
{
    const char *path = path_join(region, job->folder, job->data.path);
    size_t      count;
    char       *text = file_read(region, path, LARGEST_LENGTHS, &count, error);
    if (!text)
        return false;
    documents->lengths = lengths_read(region, text, path, error);
    documents->hash    = hash_bytes(region, text, count);
    return documents->lengths != NULL;
}

bool data_open(Region *region, const Job *job, JobDocuments *documents, Error *error)
{
    *documents = (JobDocuments){.name = path_without(region, path_name(job->path), ".lua")};
    if (job->data.kind == DATA_LENGTHS)
        return open_lengths(region, job, documents, error);
    const char *prefix = data_prefix(region, job);
    if (job->data.kind != DATA_TOKEN_SET && !record_exists(region, prefix))
        return error_input(error, "%s: its documents are not tokens yet; run `pipewright data %s`",
                           job->path, job->path);
    documents->index = index_open(region, prefix, error);
    documents->hash  = documents->index ? documents->index->hash : NULL;
    return documents->index != NULL;
}

Lengths *data_lengths(Region *region, const JobDocuments *documents)
{
    const TokenIndex *index = documents->index;
    if (!index)
        return documents->lengths;
    return lengths_count(region, index->length, index->documents,
                         documents->name ? documents->name : path_name(index->prefix));
}
