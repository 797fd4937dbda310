/* record: see record.h. */
#include "gen/data/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"

#define FORMAT "pipewright-tokens-1"
#define LARGEST_RECORD ((size_t)1 << 20)

static const char *path_of(Region *region, const char *prefix)
{
    return region_format(region, "%s.json", prefix);
}

bool record_exists(Region *region, const char *prefix)
{
    return file_exists(path_of(region, prefix));
}

bool record_remove(Region *region, const char *prefix, Error *error)
{
    return file_remove_tree(path_of(region, prefix), error);
}

static bool is_text(const json_t *tree, const char *field, const char *text)
{
    const char *value = json_string_value(json_object_get(tree, field));
    return value && strcmp(value, text) == 0;
}

static int64_t number(const json_t *tree, const char *field)
{
    return json_integer_value(json_object_get(tree, field));
}

/* The record, or NULL: there is none, or the file of that name is another one's. */
static json_t *record_read(Region *region, const char *prefix)
{
    Error       ignored;
    const char *path = path_of(region, prefix);
    char *text = file_exists(path) ? file_read(region, path, LARGEST_RECORD, NULL, &ignored) : NULL;
    json_t *tree = text ? json_loads(text, 0, NULL) : NULL;
    if (is_text(tree, "format", FORMAT))
        return tree;
    json_decref(tree);
    return NULL;
}

static bool save(Region *region, const char *prefix, const json_t *tree, Error *error)
{
    char *text = json_dumps(tree, JSON_INDENT(2));
    if (!text)
        bug("the record of %s is not JSON", prefix);
    const char *lines = region_format(region, "%s\n", text);
    free(text);
    return file_write(path_of(region, prefix), lines, strlen(lines), error);
}

/* Size and time of the .bin: where they are the same, so is its hash. */
typedef struct Stamp {
    int64_t bytes, modified; /* modified: nanoseconds, as the file system has it                */
} Stamp;

static bool take_stamp(const char *bin, Stamp *stamp)
{
    struct stat status;
    if (stat(bin, &status) != 0)
        return false;
    stamp->bytes    = (int64_t)status.st_size;
    stamp->modified = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return true;
}

static void note_bin(json_t *tree, Stamp stamp, const char *hash)
{
    json_object_set_new(tree, "bin",
                        json_pack("{s:I, s:I, s:s}", "bytes", (json_int_t)stamp.bytes, "modified",
                                  (json_int_t)stamp.modified, "sha256", hash));
}

bool record_write(Region *region, const DataReport *report, const char *from, const char *sources,
                  const char *index_hash, Error *error)
{
    Stamp       stamp;
    const char *bin = region_format(region, "%s.bin", report->prefix);
    json_t     *tree =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s*}", "format", FORMAT,
                  "from", from, "sources", sources, "index", index_hash, "files",
                  (json_int_t)report->files, "documents", (json_int_t)report->documents, "tokens",
                  (json_int_t)report->tokens, "bytes", (json_int_t)report->bytes, "empty",
                  (json_int_t)report->empty, "links", (json_int_t)report->links, "not_text",
                  (json_int_t)report->not_text, "first_not_text", report->first_not_text);
    if (take_stamp(bin, &stamp))
        note_bin(tree, stamp, report->tokens_hash);
    bool saved = save(region, report->prefix, tree, error);
    json_decref(tree);
    return saved;
}

/* The hash that the record knows for a .bin of this size and time, or NULL. */
static const char *known_hash(const json_t *tree, Stamp stamp)
{
    const json_t *bin = json_object_get(tree, "bin");
    if (number(bin, "bytes") != stamp.bytes || number(bin, "modified") != stamp.modified)
        return NULL;
    return json_string_value(json_object_get(bin, "sha256"));
}

/* Where it cannot be kept, in a folder of somebody else's or under a name that is taken, the .bin
 * is read again the next time. */
static void keep_hash(Region *region, const char *prefix, json_t *tree, Stamp stamp,
                      const char *hash)
{
    Error ignored;
    if (!tree && record_exists(region, prefix))
        return;
    json_t *kept = tree ? json_incref(tree) : json_pack("{s:s}", "format", FORMAT);
    note_bin(kept, stamp, hash);
    save(region, prefix, kept, &ignored);
    json_decref(kept);
}

static const char *hash_again(Region *region, const char *prefix, const char *bin, json_t *tree,
                              Stamp stamp, Error *error)
{
    const json_t *made = json_object_get(tree, "sources");
    const char   *hash = hash_file(region, bin, error);
    if (hash && made && !is_text(json_object_get(tree, "bin"), "sha256", hash))
        return error_input(error,
                           "%s: changed since `pipewright data` made it; run it again, or put back "
                           "what it made",
                           bin),
               NULL;
    if (hash)
        keep_hash(region, prefix, tree, stamp, hash);
    return hash;
}

const char *record_tokens_hash(Region *region, const char *prefix, Error *error)
{
    Stamp       stamp = {0, 0};
    const char *bin   = region_format(region, "%s.bin", prefix);
    json_t     *tree  = record_read(region, prefix);
    take_stamp(bin, &stamp); /* before it is read: a change in between shows the next time */
    const char *known = known_hash(tree, stamp);
    const char *hash =
        known ? region_copy(region, known) : hash_again(region, prefix, bin, tree, stamp, error);
    json_decref(tree);
    return hash;
}

const char *record_from(Region *region, const char *prefix)
{
    json_t     *tree = record_read(region, prefix);
    const char *from = json_string_value(json_object_get(tree, "from"));
    const char *copy = region_copy(region, from ? from : "nothing known");
    json_decref(tree);
    return copy;
}

bool record_stands(Region *region, const char *from, const char *sources, DataReport *report)
{
    Error       ignored;
    json_t     *tree  = record_read(region, report->prefix);
    bool        same  = is_text(tree, "from", from) && is_text(tree, "sources", sources);
    TokenIndex *index = same ? index_open(region, report->prefix, &ignored) : NULL;
    same              = index && is_text(tree, "index", index->hash) &&
           index->bin_bytes == index->tokens * index->token_bytes &&
           (report->tokens_hash = record_tokens_hash(region, report->prefix, &ignored));
    if (same) {
        const char *first      = json_string_value(json_object_get(tree, "first_not_text"));
        report->files          = number(tree, "files");
        report->documents      = number(tree, "documents");
        report->tokens         = number(tree, "tokens");
        report->bytes          = number(tree, "bytes");
        report->empty          = number(tree, "empty");
        report->links          = number(tree, "links");
        report->not_text       = number(tree, "not_text");
        report->first_not_text = first ? region_copy(region, first) : NULL;
    }
    json_decref(tree);
    return same;
}
