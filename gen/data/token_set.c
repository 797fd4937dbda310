/* token_set: reads documents one after the other and writes their tokens.
 * A text file that is not text is counted and left out: a folder holds what it holds. A line of
 * JSONL that is not as expected is an error: somebody wrote it for training. */
#include "gen/data/token_set.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"

/* A document is one sequence of the index, whose length is an int32. */
enum {
    LONGEST_DOCUMENT       = INT32_MAX - 1,
    LONGEST_LINE           = (1 << 30) - 1,
    LINES_BETWEEN_PROGRESS = 1024
};

typedef struct Making {
    const Job       *job;
    const Tokenizer *tokenizer;
    DataProgress    *progress;
    void            *context;
    int64_t          done, total; /* bytes of the sources                                      */
    DataReport      *report;
    Region          *region;  /* lives as long as the making                                   */
    Region          *current; /* lives as long as one document                                 */
    FileOut          bin;
    Hash            *hash; /* of what was written to it                                        */
    int64_t         *length, *prompt; /* [documents]; prompt: see TokenIndex                   */
    int64_t          nlengths, length_room, nprompts, prompt_room;
    bool             has_prompts;
} Making;

/* How many bytes the sequence that begins here has; 0: none that Unicode allows (no overlong forms,
 * no surrogates, nothing above U+10FFFF: RFC 3629). */
static int sequence_bytes(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first, last, second_least, second_most;
        int           bytes;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (int i = 0; i < COUNT(forms); i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last)
            continue;
        if ((size_t)forms[i].bytes > left)
            return 0;
        if (forms[i].bytes > 1 && (at[1] < forms[i].second_least || at[1] > forms[i].second_most))
            return 0;
        for (int byte = 2; byte < forms[i].bytes; byte++)
            if ((at[byte] & 0xc0) != 0x80)
                return 0;
        return forms[i].bytes;
    }
    return 0;
}

int64_t text_fault(const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count;) {
        int length = sequence_bytes(at + i, count - i);
        if (length == 0)
            return (int64_t)i;
        i += (size_t)length;
    }
    return -1;
}

static void say_progress(const Making *making, int64_t more)
{
    if (making->progress)
        making->progress(making->context, making->done + more, making->total);
}

/* As Megatron: 16 bits where the vocabulary allows it. */
static int bytes_of_token(const Tokenizer *tokenizer)
{
    enum { LEAST_WIDE_VOCABULARY = 65500 };
    return tokenizer->vocabulary < LEAST_WIDE_VOCABULARY ? 2 : 4;
}

static bool write_bytes(Making *making, const void *bytes, size_t count, Error *error)
{
    hash_add(making->hash, bytes, count);
    return file_out_write(&making->bin, bytes, count, error);
}

static bool write_ids(Making *making, const int32_t *ids, int64_t count, Error *error)
{
    if (bytes_of_token(making->tokenizer) == 4)
        return write_bytes(making, ids, sizeof *ids * (size_t)count, error);
    uint16_t *narrow = REGION_ARRAY(making->current, uint16_t, count);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (uint16_t)ids[i];
    return write_bytes(making, narrow, sizeof *narrow * (size_t)count, error);
}

/* One document: what is given, what is to be learnt, and its end. */
static bool add_document(Making *making, const char *prompt, size_t prompt_bytes, const char *rest,
                         size_t rest_bytes, Place place, Error *error)
{
    const Tokenizer *tokenizer = making->tokenizer;
    size_t           bytes     = prompt_bytes + rest_bytes;
    if (bytes == 0) {
        making->report->empty++;
        return true;
    }
    if (bytes > LONGEST_DOCUMENT)
        return error_at(error, place, .expected = "documents below 2 GiB",
                        .remedy = "divide this one");
    int32_t *ids   = REGION_ARRAY(making->current, int32_t, bytes + 1);
    int64_t  first = tokenizer->encode(tokenizer, prompt, prompt_bytes, ids);
    int64_t  count = first + tokenizer->encode(tokenizer, rest, rest_bytes, ids + first);
    ids[count++]   = tokenizer->end_of_document;
    REGION_APPEND(making->region, making->length, making->nlengths, making->length_room, count);
    REGION_APPEND(making->region, making->prompt, making->nprompts, making->prompt_room, first);
    making->has_prompts |= first > 0;
    making->report->documents++;
    making->report->tokens += count;
    making->report->bytes += (int64_t)bytes;
    return write_ids(making, ids, count, error);
}

/* A path that is not UTF-8 could not stand in the record. */
static const char *printable(Region *region, const char *path)
{
    char *copy = region_copy(region, path);
    if (text_fault(path, strlen(path)) >= 0)
        for (char *at = copy; *at; at++)
            *at = (unsigned char)*at < 0x80 ? *at : '?';
    return copy;
}

static bool add_text_file(Making *making, const Source *file, Error *error)
{
    size_t count;
    if (file->bytes > LONGEST_DOCUMENT)
        return error_input(error, "%s: larger than 2 GiB, the most that a document can be",
                           file->path);
    char *bytes = file_read(making->current, file->path, LONGEST_DOCUMENT, &count, error);
    if (!bytes)
        return false;
    int64_t fault = text_fault(bytes, count);
    if (fault < 0)
        return add_document(making, NULL, 0, bytes, count, (Place){file->path, 0}, error);
    if (making->report->not_text++ == 0)
        making->report->first_not_text =
            region_format(making->region, "%s: byte %lld", printable(making->region, file->path),
                          (long long)fault);
    return true;
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isspace((unsigned char)line[i]))
            return false;
    return true;
}

/* A string field of the line's object; NULL if it has none. */
static const json_t *field(const json_t *tree, const char *key)
{
    const json_t *value = key ? json_object_get(tree, key) : NULL;
    return json_is_string(value) ? value : NULL;
}

static bool add_object(Making *making, const json_t *tree, Place place, Error *error)
{
    const JobData *data       = &making->job->data;
    const json_t  *text       = field(tree, data->text_key);
    const json_t  *prompt     = field(tree, data->prompt_key);
    const json_t  *completion = field(tree, data->completion_key);
    if (prompt && completion && !text)
        return add_document(making, json_string_value(prompt), json_string_length(prompt),
                            json_string_value(completion), json_string_length(completion), place,
                            error);
    if (text && !prompt && !completion)
        return add_document(making, NULL, 0, json_string_value(text), json_string_length(text),
                            place, error);
    return error_at(error, place,
                    .expected = region_format(
                        making->current,
                        "an object with a text under \"%s\", or with one under \"%s\" and one "
                        "under \"%s\"",
                        data->text_key ? data->text_key : "",
                        data->prompt_key ? data->prompt_key : "",
                        data->completion_key ? data->completion_key : ""));
}

static bool add_line(Making *making, const char *line, size_t length, Place place, Error *error)
{
    if (length > LONGEST_LINE)
        return error_at(error, place, .expected = "lines below 1 GiB");
    if (is_blank(line, length)) {
        making->report->empty++;
        return true;
    }
    if (length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        return error_at(error, place, .expected = "no byte order mark", .remedy = "take it out");
    if (memchr(line, 0, length))
        return error_at(error, place, .expected = "text without a byte of 0");
    json_error_t where;
    json_t      *tree = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
    if (!tree)
        return error_input(error, "%s:%d: not JSON: %s (column %d)", place.file, place.line,
                           where.text, where.column);
    bool added = add_object(making, tree, place, error);
    json_decref(tree);
    return added;
}

static void next_document(Making *making)
{
    region_free(making->current);
    making->current = region_new();
}

static bool add_lines(Making *making, FILE *stream, const Source *file, Error *error)
{
    FileLine line  = {0};
    Place    place = {file->path, 0};
    int64_t  read  = 0;
    bool     added = true;
    while (added && file_line(stream, making->region, LONGEST_LINE, &line)) {
        place.line++;
        read += (int64_t)line.length;
        added = add_line(making, line.at, line.length, place, error);
        if (place.line % LINES_BETWEEN_PROGRESS == 0)
            say_progress(making, read);
        next_document(making);
    }
    if (added && ferror(stream))
        added = error_input(error, "%s: cannot be read: %s", file->path, strerror(errno));
    return added;
}

static bool add_jsonl_file(Making *making, const Source *file, Error *error)
{
    FILE *stream = fopen(file->path, "rb");
    if (!stream)
        return error_input(error, "%s: cannot be read: %s", file->path, strerror(errno));
    bool added = add_lines(making, stream, file, error);
    fclose(stream);
    return added;
}

static bool add_file(Making *making, const Source *file, Error *error)
{
    next_document(making);
    bool added = making->job->data.kind == DATA_JSONL ? add_jsonl_file(making, file, error)
                                                      : add_text_file(making, file, error);
    making->done += file->bytes;
    say_progress(making, 0);
    return added && source_unchanged(file, error);
}

/* The .prompt of an earlier set must not stay beside a set without prompts. */
static bool write_prompts(Making *making, Error *error)
{
    const char *path = region_format(making->region, "%s.prompt", making->report->prefix);
    if (making->has_prompts)
        return file_write(path, making->prompt, sizeof *making->prompt * (size_t)making->nprompts,
                          error);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_fail(error, "%s: cannot be removed: %s", path, strerror(errno));
    return true;
}

static bool write_set(Making *making, const Sources *sources, Error *error)
{
    const char *prefix = making->report->prefix;
    if (!file_out_open(&making->bin, making->region,
                       region_format(making->region, "%s.bin", prefix), error))
        return false;
    for (int64_t i = 0; i < sources->nfiles; i++)
        if (!add_file(making, &sources->files[i], error)) {
            file_out_abandon(&making->bin);
            return false;
        }
    if (making->nlengths == 0) {
        file_out_abandon(&making->bin);
        return error_input(error, "%s: no document in %s (%lld empty, %lld not UTF-8 text)",
                           making->job->data.path,
                           text_count(making->region, sources->nfiles, "file"),
                           (long long)making->report->empty, (long long)making->report->not_text);
    }
    return file_out_finish(&making->bin, error) && write_prompts(making, error) &&
           index_write(region_format(making->region, "%s.idx", prefix), making->length,
                       making->nlengths, bytes_of_token(making->tokenizer), error);
}

bool token_set_write(Region *region, const Job *job, const Tokenizer *tokenizer,
                     const Sources *sources, DataProgress *progress, void *context,
                     DataReport *report, Error *error)
{
    Making making       = {.job       = job,
                           .tokenizer = tokenizer,
                           .progress  = progress,
                           .context   = context,
                           .total     = sources->bytes,
                           .report    = report,
                           .region    = region,
                           .hash      = hash_start(region)};
    bool   written      = write_set(&making, sources, error);
    report->tokens_hash = hash_end(region, making.hash);
    region_free(making.current);
    return written;
}
