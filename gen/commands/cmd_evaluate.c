/* evaluate: loss, perplexity and bits per byte of a trained run: on its held-out documents, whose
 * programs are in the artifact, or on other documents, for which programs are made. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gen/artifact.h"
#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"
#include "gen/data/record.h"
#include "gen/evaluation.h"
#include "gen/pack.h"

static const Option options[] = {
    {"data", "FILES",
     "other documents: a file or folder of text, \"a/*.txt\", FILE.jsonl, a PREFIX"},
    {"json", NULL, "for programs"},
    {0},
};

/* `data`, `programs`: NULL for the run's own. */
static bool ask_trainer(const Arguments *arguments, const char *artifact, const char *data,
                        const char *programs, Error *error)
{
    const char *argv[12];
    int         n = 0;
    argv[n++]     = path_join(arguments->region, artifact, "train");
    argv[n++] = "--evaluate", argv[n++] = "--out", argv[n++] = arguments->words[0];
    if (data)
        argv[n++] = "--data", argv[n++] = data;
    if (programs)
        argv[n++] = "--evaluation", argv[n++] = programs;
    if (argument(arguments, "json"))
        argv[n++] = "--json";
    argv[n] = NULL;
    fflush(stdout);
    return process_must_run(argv, error);
}

/* A prefix names the two files of a token set. */
static bool is_token_set(Region *region, const char *data)
{
    return text_ends(data, ".idx") || file_exists(region_format(region, "%s.idx", data));
}

static bool is_hash(const json_t *data, const char *kind, const char *hash)
{
    const char *known = json_string_value(json_object_get(data, kind));
    return known && !strcmp(known, hash);
}

/* The token set that the run was trained on, which may have moved: it is evaluated as without
 * --data, on what was held out. */
static bool is_its_own(Region *region, const char *artifact, const char *data, bool *its_own,
                       Error *error)
{
    TokenIndex *index    = index_open(region, data, error);
    const char *hash     = index ? record_tokens_hash(region, index->prefix, error) : NULL;
    json_t     *manifest = hash ? artifact_manifest(region, artifact, error) : NULL;
    json_t     *hashes   = json_object_get(json_object_get(manifest, "inputs"), "data");
    *its_own  = hash && is_hash(hashes, "idx", index->hash) && is_hash(hashes, "bin", hash);
    bool good = manifest != NULL;
    json_decref(manifest);
    return good;
}

/* Tokens of the files, in `folder`; what a job of the same model says of such files. */
static bool make_tokens(Region *region, const Job *trained, const char *files, const char *folder,
                        DataReport *report, Error *error)
{
    Job job       = *trained;
    job.path      = path_join(region, folder, "documents.lua");
    job.folder    = ".";
    job.tree      = NULL; /* no line of the job names these files */
    job.data.kind = text_ends(files, ".jsonl") ? DATA_JSONL : DATA_TEXT;
    job.data.path = files;
    if (strcmp(job.model->tokenizer, "bytes") != 0)
        return error_input(error,
                           "--data: the model's vocabulary is numbers of a tokenizer that is not "
                           "here; name a token set that it made, PREFIX, in place of %s",
                           files);
    if (job.data.kind == DATA_JSONL && !job.data.text_key)
        job.data.text_key = "text", job.data.prompt_key = "prompt",
        job.data.completion_key = "completion";
    return data_make(region, &job, NULL, NULL, report, error);
}

/* Programs over every document of a token set, and their result. */
static bool evaluate_all(const Arguments *arguments, const char *artifact, const Job *trained,
                         const char *prefix, const char *folder, Error *error)
{
    Region     *region   = arguments->region;
    const char *programs = path_join(region, folder, "evaluate.pw");
    TokenIndex *index    = index_open(region, prefix, error);
    Compilation job;
    if (!index || !open_artifact(region, artifact, &job, error))
        return false;
    Batch *all = sample_everything(region, trained, index);
    if (all->nsequences == 0)
        return error_input(error, "%s: no document has a token", prefix);
    if (!argument(arguments, "json"))
        printf("%s, %s\n", text_count(region, index->documents, "document"),
               text_count(region, index->tokens, "token"));
    return evaluation_write(&job, all, programs, error) &&
           ask_trainer(arguments, artifact, index->prefix, programs, error);
}

static bool evaluate_others(const Arguments *arguments, const char *artifact, const char *data,
                            Error *error)
{
    Region     *region = arguments->region;
    const char *path   = path_join(region, artifact, "inputs/job.json");
    const char *folder =
        region_format(region, "%s/evaluate.%d", arguments->words[0], (int)getpid());
    char      *text   = file_read(region, path, (size_t)1 << 24, NULL, error);
    Job       *job    = text ? job_read(region, text, path, error) : NULL;
    bool       is_set = is_token_set(region, data);
    Error      ignored;
    DataReport report = {.prefix = data};
    bool       good   = job && file_make_folders(folder, error) &&
                (is_set || make_tokens(region, job, data, folder, &report, error)) &&
                evaluate_all(arguments, artifact, job, report.prefix, folder, error);
    file_remove_tree(folder, &ignored);
    return good;
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region   = arguments->region;
    const char *artifact = run_artifact(region, arguments->words[0], error);
    const char *data     = argument(arguments, "data");
    bool        its_own  = !data;
    if (!artifact)
        return false;
    if (arguments->nwords > 1)
        return error_input(error,
                           "pipewright evaluate: found \"%s\" after the run, expected options; "
                           "write a glob in quotes, --data \"texts/*.txt\"",
                           arguments->words[1]);
    if (data && is_token_set(region, data) && !is_its_own(region, artifact, data, &its_own, error))
        return false;
    if (its_own)
        return ask_trainer(arguments, artifact, data ? path_without(region, data, ".idx") : NULL,
                           NULL, error);
    return evaluate_others(arguments, artifact, data, error);
}

const Command command_evaluate = {
    .name      = "evaluate",
    .words     = "RUN",
    .min_words = 1,
    .max_words = 1 << 16, /* what a shell makes of a glob; told what to do */
    .summary   = "loss, perplexity and bits per byte on the held-out documents, or others",
    .details   = "--data takes every document it names; the token set that the run was trained on "
                 "counts as no\n--data: its held-out documents.",
    .options   = options,
    .run       = run,
};
