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

/* What is wrong with what the job names is wrong with its field. A job that no user wrote, such as
 * that of `evaluate --data`, has none. */
static bool blame_field(Region *region, const Job *job, Error *error)
{
    static const char *const fields[] = {[DATA_TEXT]      = "data.files",
                                         [DATA_JSONL]     = "data.files",
                                         [DATA_TOKEN_SET] = "data.prefix",
                                         [DATA_LENGTHS]   = "data.path"};
    const char              *field    = fields[job->data.kind];
    if (!job->tree || error->status != EXIT_INPUT)
        return false;
    return error_at(error, job_place(region, job, field), .field = field,
                    .remedy = region_copy(region, error->text));
}

static void add_key(Text *text, const char *field, const char *key)
{
    if (key)
        text_add(text, ", %s = \"%s\"", field, key);
}

/* What the job says of the token set: its files, what is read of them, the tokenizer. */
static const char *described(Region *region, const Job *job)
{
    const JobData *data  = &job->data;
    Text           text  = text_new(region);
    bool           lines = data->kind == DATA_JSONL;
    text_add(&text, "%s { files = \"%s\"", lines ? "jsonl" : "text", data->path);
    if (lines) {
        add_key(&text, "text", data->text_key);
        add_key(&text, "prompt", data->prompt_key);
        add_key(&text, "completion", data->completion_key);
    }
    text_add(&text, " } as %s", job->model->tokenizer);
    return text.at;
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
static bool make(Region *region, const Job *job, const Sources *sources, DataProgress *progress,
                 void *context, DataReport *report, Error *error)
{
    const char      *hash      = sources_hash(region, sources, job->folder);
    const Tokenizer *tokenizer = tokenizer_named(job->model->tokenizer, error);
    if (!tokenizer || !file_make_folders(path_folder(region, report->prefix), error) ||
        !record_remove(region, report->prefix, error) ||
        !token_set_write(region, job, tokenizer, sources, progress, context, report, error))
        return false;
    report->made      = true;
    report->files     = sources->nfiles;
    report->links     = sources->links;
    TokenIndex *index = index_open(region, report->prefix, error);
    return index && record_write(region, report, described(region, job), hash, index->hash, error);
}

static bool find_and_make(Region *region, const Job *job, DataProgress *progress, void *context,
                          DataReport *report, Error *error)
{
    if (job->data.kind == DATA_LENGTHS)
        return error_input(error,
                           "%s holds lengths alone, there are no documents to make tokens "
                           "of; `pipewright plan` needs none",
                           job->data.path);
    if (job->data.kind == DATA_TOKEN_SET)
        return check_existing(region, job, report, error);
    Sources sources;
    if (!sources_find(region, path_join(region, job->folder, job->data.path), &sources, error))
        return false;
    const char *hash = sources_hash(region, &sources, job->folder);
    return record_stands(region, described(region, job), hash, report) ||
           make(region, job, &sources, progress, context, report, error);
}

bool data_make(Region *region, const Job *job, DataProgress *progress, void *context,
               DataReport *report, Error *error)
{
    *report = (DataReport){.prefix = data_prefix(region, job)};
    return find_and_make(region, job, progress, context, report, error) ||
           blame_field(region, job, error);
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

/* The documents that the job names today are those of the token set. */
static bool check_from(Region *region, const Job *job, const char *prefix, Error *error)
{
    if (!record_exists(region, prefix))
        return error_input(error, "%s: its documents are not tokens yet; run `pipewright data %s`",
                           job->path, job->path);
    const char *made = record_from(region, prefix), *now = described(region, job);
    return !strcmp(made, now) ||
           error_input(error,
                       "%s: its tokens are made from %s, its data is now %s; run `pipewright data "
                       "%s`",
                       job->path, made, now, job->path);
}

bool data_open(Region *region, const Job *job, JobDocuments *documents, Error *error)
{
    *documents = (JobDocuments){.name = path_without(region, path_name(job->path), ".lua")};
    if (job->data.kind == DATA_LENGTHS)
        return open_lengths(region, job, documents, error) || blame_field(region, job, error);
    const char *prefix = data_prefix(region, job);
    if (job->data.kind != DATA_TOKEN_SET && !check_from(region, job, prefix, error))
        return false;
    documents->index = index_open(region, prefix, error);
    documents->hash  = documents->index ? documents->index->hash : NULL;
    return documents->index ||
           (job->data.kind == DATA_TOKEN_SET && blame_field(region, job, error));
}

Lengths *data_lengths(Region *region, const JobDocuments *documents)
{
    const TokenIndex *index = documents->index;
    if (!index)
        return documents->lengths;
    return lengths_count(region, index->length, index->documents,
                         documents->name ? documents->name : path_name(index->prefix));
}
