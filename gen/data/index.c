/* index: Megatron's indexed format, version 1. All numbers little-endian; nothing after byte 34 is
 * aligned.
 *      0  "MMIDIDX" and two 0 bytes
 *      9  u64 version, 1
 *     17  u8  type of a token: 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16 (6 and 7 are fractions)
 *     18  u64 S, sequences
 *     26  u64 D, documents + 1
 *     34  i32 [S] tokens of each sequence
 *         i64 [S] byte in the .bin at which it starts
 *         i64 [D] document d is sequences [index[d], index[d + 1])
 *         i8  [S] modes, in multimodal sets only; not read */
#include "gen/data/index.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arrays are copied as they lie");

enum { HEAD_BYTES = 34, VERSION = 1, MOST_TOKENS_IN_SEQUENCE = INT32_MAX };
#define LARGEST_INDEX ((size_t)1 << 36)

static const char magic[9] = "MMIDIDX\0";

/* [code] bytes of a token; 0: no type of tokens. */
static const int bytes_of_code[] = {0, 1, 1, 2, 4, 8, 0, 0, 2};

/* What the head says, and where the arrays are. */
typedef struct Parts {
    const char          *name;
    const unsigned char *lengths, *offsets, *documents;
    int64_t              nsequences, nentries;
    int64_t              bin_bytes; /* -1: not known */
} Parts;

static int64_t int64_at(const unsigned char *array, int64_t i)
{
    int64_t value;
    memcpy(&value, array + 8 * i, sizeof value);
    return value;
}

static int32_t int32_at(const unsigned char *array, int64_t i)
{
    int32_t value;
    memcpy(&value, array + 4 * i, sizeof value);
    return value;
}

static bool read_head(const unsigned char *bytes, size_t count, TokenIndex *index, Parts *parts,
                      Error *error)
{
    if (count < HEAD_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return error_input(error, "%s: not a Megatron index: it does not begin with MMIDIDX",
                           parts->name);
    uint64_t version    = (uint64_t)int64_at(bytes + 9, 0);
    uint64_t nsequences = (uint64_t)int64_at(bytes + 18, 0);
    uint64_t nentries   = (uint64_t)int64_at(bytes + 26, 0);
    int      code       = bytes[17];
    if (version != VERSION)
        return error_input(error, "%s: version %llu of the index, expected 1", parts->name,
                           (unsigned long long)version);
    if (code >= COUNT(bytes_of_code) || bytes_of_code[code] == 0)
        return error_input(error, "%s: token type %d is none of whole numbers (1 to 5, 8)",
                           parts->name, code);
    if (nsequences > count / 12 || nentries > count / 8 || nentries < 1)
        return error_input(error,
                           "%s: %llu sequences and %llu document entries do not fit in %zu "
                           "bytes",
                           parts->name, (unsigned long long)nsequences,
                           (unsigned long long)nentries, count);
    size_t needed = HEAD_BYTES + 12 * (size_t)nsequences + 8 * (size_t)nentries;
    if (count != needed && count != needed + nsequences)
        return error_input(error,
                           "%s: %zu bytes, expected %zu for %llu sequences and %llu document "
                           "entries",
                           parts->name, count, needed, (unsigned long long)nsequences,
                           (unsigned long long)nentries);
    parts->lengths     = bytes + HEAD_BYTES;
    parts->offsets     = parts->lengths + 4 * nsequences;
    parts->documents   = parts->offsets + 8 * nsequences;
    parts->nsequences  = (int64_t)nsequences;
    parts->nentries    = (int64_t)nentries;
    index->token_code  = code;
    index->token_bytes = bytes_of_code[code];
    return true;
}

/* A sequence lies in the .bin, at a whole token; `past` is the byte behind it. */
static bool check_sequence(const Parts *parts, int64_t sequence, int token_bytes, int64_t *past,
                           Error *error)
{
    int64_t length = int32_at(parts->lengths, sequence);
    int64_t offset = int64_at(parts->offsets, sequence);
    if (length < 0)
        return error_input(error, "%s: sequence %lld has a length of %lld", parts->name,
                           (long long)sequence, (long long)length);
    if (offset < 0 || offset % token_bytes != 0 ||
        __builtin_add_overflow(offset, length * token_bytes, past))
        return error_input(error,
                           "%s: sequence %lld starts at byte %lld of the .bin, which is no "
                           "place of a token of %d bytes",
                           parts->name, (long long)sequence, (long long)offset, token_bytes);
    if (parts->bin_bytes >= 0 && *past > parts->bin_bytes)
        return error_input(error, "%s: sequence %lld ends at byte %lld, the .bin has %lld",
                           parts->name, (long long)sequence, (long long)*past,
                           (long long)parts->bin_bytes);
    return true;
}

/* The sequences of a document stand one behind the other, so that it can be read as one run. */
static bool add_sequences(const Parts *parts, TokenIndex *index, int64_t first, int64_t past,
                          int64_t *start, int64_t *length, Error *error)
{
    int64_t behind = -1;
    *start         = first < past ? int64_at(parts->offsets, first) : 0;
    for (int64_t sequence = first; sequence < past; sequence++) {
        int64_t offset = int64_at(parts->offsets, sequence);
        if (behind >= 0 && offset != behind)
            return error_input(error,
                               "%s: sequence %lld starts at byte %lld, but the one before it "
                               "in its document ends at %lld",
                               parts->name, (long long)sequence, (long long)offset,
                               (long long)behind);
        if (!check_sequence(parts, sequence, index->token_bytes, &behind, error))
            return false;
        *length += int32_at(parts->lengths, sequence);
    }
    return true;
}

static bool read_documents(Region *region, const Parts *parts, TokenIndex *index, Error *error)
{
    index->documents = parts->nentries - 1;
    int64_t *length  = REGION_ARRAY(region, int64_t, index->documents);
    int64_t *start   = REGION_ARRAY(region, int64_t, index->documents);
    int64_t  past    = int64_at(parts->documents, 0);
    if (past != 0)
        return error_input(error, "%s: the first document starts at sequence %lld, expected 0",
                           parts->name, (long long)past);
    for (int64_t d = 0; d < index->documents; d++) {
        int64_t first = past;
        past          = int64_at(parts->documents, d + 1);
        if (past < first || past > parts->nsequences)
            return error_input(error, "%s: document %lld is sequences %lld to %lld, of %lld",
                               parts->name, (long long)d, (long long)first, (long long)past,
                               (long long)parts->nsequences);
        if (!add_sequences(parts, index, first, past, &start[d], &length[d], error))
            return false;
        index->tokens += length[d];
    }
    if (past != parts->nsequences)
        return error_input(error, "%s: the last document ends at sequence %lld, of %lld",
                           parts->name, (long long)past, (long long)parts->nsequences);
    index->length = length;
    index->start  = start;
    return true;
}

TokenIndex *index_parse(Region *region, const void *bytes, size_t count, int64_t bin_bytes,
                        const char *name, Error *error)
{
    TokenIndex *index = REGION_NEW(region, TokenIndex);
    Parts       parts = {.name = name, .bin_bytes = bin_bytes};
    if (!read_head(bytes, count, index, &parts, error) ||
        !read_documents(region, &parts, index, error))
        return NULL;
    index->prefix      = region_copy(region, name);
    index->bin_bytes   = bin_bytes;
    index->hash        = hash_bytes(region, bytes, count);
    index->prompt_hash = "";
    return index;
}

static bool read_prompts(Region *region, TokenIndex *index, Error *error)
{
    const char *path = region_format(region, "%s.prompt", index->prefix);
    size_t      count;
    if (!file_exists(path))
        return true;
    char *bytes = file_read(region, path, LARGEST_INDEX, &count, error);
    if (!bytes)
        return false;
    if (count / 8 != (size_t)index->documents || count % 8 != 0)
        return error_input(error, "%s: %zu bytes, expected 8 for each of %lld documents", path,
                           count, (long long)index->documents);
    index->prompt_hash = hash_bytes(region, bytes, count);
    index->prompt      = (const int64_t *)(void *)bytes; /* a region's memory is aligned */
    for (int64_t d = 0; d < index->documents; d++)
        if (index->prompt[d] < 0 || index->prompt[d] > index->length[d])
            return error_input(error, "%s: document %lld: a prompt of %lld tokens, of %lld", path,
                               (long long)d, (long long)index->prompt[d],
                               (long long)index->length[d]);
    return true;
}

TokenIndex *index_open(Region *region, const char *path, Error *error)
{
    const char *prefix  = path_without(region, path, ".idx");
    const char *name    = region_format(region, "%s.idx", prefix);
    int64_t     bin     = file_size(region_format(region, "%s.bin", prefix));
    Region     *reading = region_new(); /* the file's bytes go when they are read */
    size_t      count;
    char       *bytes = file_read(reading, name, LARGEST_INDEX, &count, error);
    TokenIndex *index = bytes ? index_parse(region, bytes, count, bin, name, error) : NULL;
    region_free(reading);
    if (!index)
        return NULL;
    index->prefix = prefix;
    return read_prompts(region, index, error) ? index : NULL;
}

static bool write_arrays(FileOut *out, const int64_t *length, int64_t documents, int token_bytes,
                         Error *error)
{
    for (int64_t d = 0; d < documents; d++) {
        if (length[d] < 0 || length[d] > MOST_TOKENS_IN_SEQUENCE)
            bug("a document of %lld tokens was to be one sequence", (long long)length[d]);
        int32_t tokens = (int32_t)length[d];
        if (!file_out_write(out, &tokens, sizeof tokens, error))
            return false;
    }
    int64_t offset = 0;
    for (int64_t d = 0; d < documents; d++) {
        if (!file_out_write(out, &offset, sizeof offset, error))
            return false;
        offset += length[d] * token_bytes;
    }
    for (int64_t d = 0; d <= documents; d++)
        if (!file_out_write(out, &d, sizeof d, error))
            return false;
    return true;
}

bool index_write(const char *path, const int64_t *length, int64_t documents, int token_bytes,
                 Error *error)
{
    Region       *region           = region_new();
    unsigned char head[HEAD_BYTES] = {0};
    int64_t       numbers[2]       = {documents, documents + 1};
    FileOut       out;
    memcpy(head, magic, sizeof magic);
    head[9]  = VERSION;
    head[17] = token_bytes == 2 ? 8 : 4; /* u16 or i32, as Megatron writes */
    memcpy(head + 18, numbers, sizeof numbers);
    bool written = file_out_open(&out, region, path, error) &&
                   file_out_write(&out, head, sizeof head, error) &&
                   write_arrays(&out, length, documents, token_bytes, error) &&
                   file_out_finish(&out, error);
    region_free(region);
    return written;
}

static int64_t token_at(const unsigned char *bytes, int code)
{
    uint16_t wide;
    int16_t  narrow;
    switch (code) {
    case 1:
        return bytes[0];
    case 2:
        return (int8_t)bytes[0];
    case 3:
        memcpy(&narrow, bytes, sizeof narrow);
        return narrow;
    case 4:
        return int32_at(bytes, 0);
    case 5:
        return int64_at(bytes, 0);
    default:
        memcpy(&wide, bytes, sizeof wide);
        return wide;
    }
}

static bool check_stream(FILE *stream, const char *path, const TokenIndex *index,
                         int64_t vocabulary, Error *error)
{
    unsigned char bytes[1 << 16];
    int64_t       place = 0;
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, stream)) > 0; place += (int64_t)got)
        for (size_t i = 0; i + (size_t)index->token_bytes <= got; i += (size_t)index->token_bytes) {
            int64_t token = token_at(bytes + i, index->token_code);
            if (token < 0 || token >= vocabulary)
                return error_input(error,
                                   "%s: token %lld is %lld, outside the model's vocabulary "
                                   "of %lld",
                                   path, (long long)(place + (int64_t)i) / index->token_bytes,
                                   (long long)token, (long long)vocabulary);
        }
    return !ferror(stream) || error_input(error, "%s: cannot be read: %s", path, strerror(errno));
}

bool index_check_tokens(const TokenIndex *index, int64_t vocabulary, Error *error)
{
    Region     *region = region_new();
    const char *path   = region_format(region, "%s.bin", index->prefix);
    FILE       *stream = fopen(path, "rb");
    bool        right  = false;
    if (stream) {
        right = check_stream(stream, path, index, vocabulary, error);
        fclose(stream);
    } else
        error_input(error, "%s: cannot be read: %s", path, strerror(errno));
    region_free(region);
    return right;
}
