/* documents: what the job's data is, and how it becomes a token set, once.
 * A folder (walked, names sorted by bytes; hidden names and symbolic links are not followed), a
 * glob or a file: of UTF-8 text, a document a file, or of JSONL, a document a line. A document is
 * its tokens and an end of document. What made a token set stands in PREFIX.json
 * (record.h). */
#ifndef PIPEWRIGHT_DOCUMENTS_H
#define PIPEWRIGHT_DOCUMENTS_H

#include "gen/data/index.h"
#include "gen/forms/job.h"
#include "gen/forms/lengths.h"

/* What happened while a token set was made. */
typedef struct DataReport {
    const char *prefix;
    bool        made; /* false: it stood there already, made from the same                      */
    int64_t     files, documents, tokens, bytes; /* bytes: of text                              */
    int64_t     empty;    /* files without a byte, blank lines                                  */
    int64_t     links;    /* symbolic links that were not followed                              */
    int64_t     not_text; /* files that are not UTF-8, or hold a NUL                            */
    const char *first_not_text; /* the first of them, with its place; NULL: none                */
    const char *tokens_hash;    /* SHA-256 of the .bin                                          */
} DataReport;

/* Called now and then while files are read; both in bytes. */
typedef void DataProgress(void *context, int64_t done, int64_t total);

/* documents -> tokens, where it is not done yet. An existing token set is checked, its ids too. */
bool data_make(Region *region, const Job *job, DataProgress *progress, void *context,
               DataReport *report, Error *error);

/* What a job is planned from: a token set's index, or lengths alone; the other one is NULL. */
typedef struct JobDocuments {
    TokenIndex *index;
    Lengths    *lengths;
    const char *name; /* the job's, for statistics; NULL: the token set's               */
    const char *hash; /* of the .idx, or of the file of lengths                         */
} JobDocuments;
bool data_open(Region *region, const Job *job, JobDocuments *documents, Error *error);

/* Their lengths, either way. */
Lengths *data_lengths(Region *region, const JobDocuments *documents);

#endif
