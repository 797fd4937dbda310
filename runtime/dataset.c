/* dataset: see dataset.h. */
#include "runtime/dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/json.h"

#define RECORD "pipewright-tokens-1"
enum { RECORD_LIMIT = 1 << 20, NOTE_LIMIT = PW_PATH_MAX + 200 };

bool pw_dataset_find(const PwOptions *options, char prefix[PW_PATH_MAX], PwError *error)
{
    char path[PW_PATH_MAX];
    if (options->data || options->mode != PW_MODE_EVALUATE) {
        snprintf(prefix, PW_PATH_MAX, "%s", options->data ? options->data : "");
        return true;
    }
    if (!pw_disk_join(path, options->out, "data.txt", error))
        return false;
    char *text = pw_disk_read(path, NOTE_LIMIT, NULL, error);
    if (text)
        snprintf(prefix, PW_PATH_MAX, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
    return text != NULL;
}

static int64_t time_of(const PwTokenFile *file)
{
    return (int64_t)file->changed.tv_sec * 1000000000 + file->changed.tv_nsec;
}

static bool is_hash(const char *text)
{
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* What PREFIX.json says of a .bin of this size and time. A file that is odd only says nothing. */
static bool recorded(const PwTokenFile *bin, const char *prefix, char hash[65])
{
    char        path[PW_PATH_MAX];
    int64_t     length, bytes, modified;
    PwError     ignored;
    const char *text = NULL;
    if (snprintf(path, sizeof path, "%s.json", prefix) >= (int)sizeof path ||
        access(path, R_OK) != 0)
        return false;
    char         *record = pw_disk_read(path, RECORD_LIMIT, &length, &ignored);
    PwJson       *root   = record ? pw_json_read(record, (size_t)length, path, &ignored) : NULL;
    const char   *format = pw_json_text(root, "format");
    const PwJson *entry  = pw_json_member(root, "bin");
    if (format && strcmp(format, RECORD) == 0 && pw_json_integer(entry, "bytes", &bytes) &&
        pw_json_integer(entry, "modified", &modified) && bytes == bin->bytes &&
        modified == time_of(bin))
        text = pw_json_text(entry, "sha256");
    bool known = is_hash(text);
    if (known)
        memcpy(hash, text, 65);
    free(root);
    free(record);
    return known;
}

/* What RUN/data.txt says of it: the first line is the same prefix, the second size, time, hash. */
static bool noted(const PwTokenFile *bin, const char *whole, const char *out, char hash[65])
{
    char    path[PW_PATH_MAX], text[65] = "";
    int64_t bytes, modified;
    size_t  length = strlen(whole);
    PwError ignored;
    if (!pw_disk_join(path, out, "data.txt", &ignored) || access(path, R_OK) != 0)
        return false;
    char *note = pw_disk_read(path, NOTE_LIMIT, NULL, &ignored);
    bool  known =
        note && strncmp(note, whole, length) == 0 && note[length] == '\n' &&
        sscanf(note + length + 1, "%" SCNd64 " %" SCNd64 " %64s", &bytes, &modified, text) == 3 &&
        bytes == bin->bytes && modified == time_of(bin) && is_hash(text);
    if (known)
        memcpy(hash, text, 65);
    free(note);
    return known;
}

static bool whole_path(char whole[PW_PATH_MAX], const char *prefix, PwError *error)
{
    char here[PW_PATH_MAX] = "";
    if (prefix[0] != '/' && !getcwd(here, sizeof here))
        return pw_fail(error, "the current folder has no name: %s", strerror(errno));
    return pw_disk_join(whole, here, prefix + (prefix[0] == '/'), error);
}

static bool check_hash(const PwTokenFile *file, const char *hash, const char *expected,
                       PwError *error)
{
    return strcmp(hash, expected) == 0 ||
           pw_input(error,
                    "%s: another token set than the programs were made for (SHA-256 %.16s, "
                    "expected %.16s)",
                    file->path, hash[0] ? hash : "none", expected[0] ? expected : "none");
}

/* A small file of the token set, read whole. */
static bool check_small(const PwTokenFile *file, const char *expected, PwError *error)
{
    char    hash[65] = "";
    int64_t bytes;
    return (!file->at || pw_disk_hash(file->path, hash, &bytes, error)) &&
           check_hash(file, hash, expected, error);
}

bool pw_dataset_check(const PwJob *job, const PwOptions *options, const char *prefix,
                      PwTokens *tokens, bool leads, PwError *error)
{
    char               whole[PW_PATH_MAX], note[NOTE_LIMIT];
    int64_t            bytes;
    const PwTokenFile *bin = &tokens->data;
    if (job->data_hash[0] && (!check_small(&tokens->index, job->data_hash, error) ||
                              !check_small(&tokens->prompt, job->prompt_hash, error)))
        return false;
    if (!whole_path(whole, prefix, error))
        return false;
    if (!recorded(bin, prefix, tokens->hash) && !noted(bin, whole, options->out, tokens->hash) &&
        !pw_disk_hash(bin->path, tokens->hash, &bytes, error))
        return false;
    snprintf(note, sizeof note, "%s\n%" PRId64 " %" PRId64 " %s\n", whole, bin->bytes, time_of(bin),
             tokens->hash);
    if (job->tokens_hash[0] && !check_hash(bin, tokens->hash, job->tokens_hash, error))
        return false;
    return !leads || options->mode != PW_MODE_TRAIN ||
           pw_disk_replace(options->out, "data.txt", note, error);
}
