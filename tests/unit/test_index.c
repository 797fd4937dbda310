/* index: Megatron's format, exactly; nothing that a file says is believed unchecked. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/random.h"
#include "gen/data/index.h"
#include "tests/support/own_folder.h"

/* What Megatron writes for the documents [1 2 3], [4 5] in 16 bits. */
static const unsigned char vector[] = {
    'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0,                      /* magic                  */
    1,   0,   0,   0,   0,   0,   0,   0, 8,                      /* version, u16           */
    2,   0,   0,   0,   0,   0,   0,   0, 3, 0, 0, 0, 0, 0, 0, 0, /* sequences, documents   */
    3,   0,   0,   0,   2,   0,   0,   0,                         /* lengths                */
    0,   0,   0,   0,   0,   0,   0,   0, 6, 0, 0, 0, 0, 0, 0, 0, /* offsets                */
    0,   0,   0,   0,   0,   0,   0,   0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
};
enum { LENGTHS = 34, OFFSETS = 42, DOCUMENTS = 58 };

TestSuite(index, .init = open_folder, .fini = close_folder);

Test(index, megatrons_bytes_are_read)
{
    Error       error;
    TokenIndex *index = index_parse(region, vector, sizeof vector, 10, "v", &error);
    cr_assert(index != NULL, "%s", error.text);
    cr_assert_eq(index->token_bytes, 2);
    cr_assert_eq(index->documents, 2);
    cr_assert_eq(index->tokens, 5);
    cr_assert_eq(index->length[0], 3);
    cr_assert_eq(index->length[1], 2);
    cr_assert_eq(index->start[0], 0);
    cr_assert_eq(index->start[1], 6);
}

Test(index, megatrons_bytes_are_written)
{
    Error   error;
    int64_t length[] = {3, 2};
    size_t  count;
    char   *path = path_join(region, folder, "v.idx");
    cr_assert(index_write(path, length, 2, 2, &error), "%s", error.text);
    char *bytes = file_read(region, path, 1000, &count, &error);
    cr_assert_eq(count, sizeof vector);
    cr_assert_eq(memcmp(bytes, vector, count), 0);
}

Test(index, an_index_without_tokens_is_enough)
{
    Error error;
    char *path = path_join(region, folder, "v.idx");
    cr_assert(file_write(path, vector, sizeof vector, &error));
    TokenIndex *index = index_open(region, path, &error);
    cr_assert(index != NULL, "%s", error.text);
    cr_assert_eq(index->bin_bytes, -1);
    cr_assert_null(index->prompt);
    cr_assert(file_write(path_join(region, folder, "v.bin"), "123456789", 9, &error));
    cr_assert_null(index_open(region, path, &error));
    cr_assert(strstr(error.text, "ends at byte 10, the .bin has 9") != NULL, "%s", error.text);
}

Test(index, modes_behind_the_arrays_are_allowed)
{
    Error         error;
    unsigned char bytes[sizeof vector + 2] = {0};
    memcpy(bytes, vector, sizeof vector);
    cr_assert_not_null(index_parse(region, bytes, sizeof bytes, -1, "v", &error));
    cr_assert_null(index_parse(region, bytes, sizeof bytes - 1, -1, "v", &error));
}

Test(index, empty_documents_and_several_sequences_are_allowed)
{
    Error         error;
    unsigned char bytes[sizeof vector];
    memcpy(bytes, vector, sizeof vector);
    bytes[DOCUMENTS + 8] = 0; /* document 0 is empty, document 1 both sequences */
    TokenIndex *index    = index_parse(region, bytes, sizeof bytes, 10, "v", &error);
    cr_assert(index != NULL, "%s", error.text);
    cr_assert_eq(index->length[0], 0);
    cr_assert_eq(index->length[1], 5);
}

Test(index, damage_is_refused_with_its_place)
{
    static const struct {
        int           at;
        unsigned char byte;
        const char   *reason;
    } cases[] = {
        {0, 'X', "does not begin with MMIDIDX"},
        {8, 1, "does not begin with MMIDIDX"},
        {9, 2, "version 2"},
        {17, 6, "token type 6"},
        {17, 0, "token type 0"},
        {17, 9, "token type 9"},
        {17, 4, "sequence 0 ends at byte 12, the .bin has 10"},
        {18, 3, "expected 94"},
        {25, 0x80, "do not fit"},
        {25, 0x15, "do not fit"},
        {26, 0, "do not fit"},
        {33, 0x20, "do not fit"},
        {LENGTHS + 3, 0x80, "sequence 0 has a length of -"},
        {LENGTHS + 4, 3, "ends at byte 12, the .bin has 10"},
        {OFFSETS + 7, 0x80, "sequence 0 starts at byte -"},
        {OFFSETS + 8, 5, "no place of a token of 2 bytes"},
        {OFFSETS + 15, 0x7f, "sequence 1"},
        {DOCUMENTS, 1, "expected 0"},
        {DOCUMENTS + 8, 3, "document 0 is sequences 0 to 3"},
        {DOCUMENTS + 16, 0, "document 1 is sequences 1 to 0"},
        {DOCUMENTS + 16, 1, "ends at sequence 1, of 2"},
        {DOCUMENTS + 23, 0x80, "document 1 is sequences"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Error         error = {.status = 0};
        unsigned char bytes[sizeof vector];
        memcpy(bytes, vector, sizeof vector);
        bytes[cases[i].at] = cases[i].byte;
        cr_assert_null(index_parse(region, bytes, sizeof bytes, 10, "v", &error), "case %d", i);
        cr_assert(strstr(error.text, cases[i].reason) != NULL, "case %d: %s", i, error.text);
        cr_assert_eq(error.status, EXIT_INPUT);
    }
}

Test(index, a_document_in_two_places_is_refused)
{
    Error         error;
    unsigned char bytes[sizeof vector];
    memcpy(bytes, vector, sizeof vector);
    bytes[DOCUMENTS + 8] = 0;
    bytes[OFFSETS + 8]   = 4;
    cr_assert_null(index_parse(region, bytes, sizeof bytes, 10, "v", &error));
    cr_assert(strstr(error.text, "the one before it in its document ends at 6") != NULL);
}

/* Every prefix, and many damaged copies: refused or right, never a read beyond the bytes (which the
 * address sanitizer would see: each copy has exactly its size). */
Test(index, no_bytes_lead_outside)
{
    uint64_t seed     = 7;
    int      accepted = 0;
    for (int round = 0; round < 20000; round++) {
        Region        *own   = region_new();
        size_t         count = round < (int)sizeof vector
                                   ? (size_t)round
                                   : (size_t)random_below(&seed, 8) + sizeof vector - 4;
        unsigned char *bytes = malloc(count ? count : 1);
        for (size_t i = 0; i < count; i++)
            bytes[i] = i < sizeof vector ? vector[i] : 0;
        for (int64_t n = random_below(&seed, 4); n > 0 && count > 0; n--)
            bytes[random_below(&seed, (int64_t)count)] = (unsigned char)random_next(&seed);
        Error       error;
        TokenIndex *index = index_parse(own, bytes, count, 10, "v", &error);
        int64_t     sum   = 0;
        for (int64_t d = 0; index && d < index->documents; d++)
            sum += index->length[d];
        cr_assert(!index || sum == index->tokens);
        accepted += index != NULL;
        free(bytes);
        region_free(own);
    }
    cr_assert_gt(accepted, 100);
}

Test(index, tokens_outside_the_vocabulary_are_found)
{
    static const unsigned char tokens[] = {1, 0, 2, 0, 3, 0, 4, 0, 0, 1};
    Error                      error;
    cr_assert(file_write(path_join(region, folder, "v.idx"), vector, sizeof vector, &error));
    cr_assert(file_write(path_join(region, folder, "v.bin"), tokens, sizeof tokens, &error));
    TokenIndex *index = index_open(region, path_join(region, folder, "v"), &error);
    cr_assert(index_check_tokens(index, 257, &error), "%s", error.text);
    cr_assert(!index_check_tokens(index, 256, &error));
    cr_assert(strstr(error.text, "token 4 is 256") != NULL, "%s", error.text);
}

Test(index, prompts_must_fit_their_documents)
{
    Error       error;
    int64_t     prompts[] = {1, 2};
    const char *path      = path_join(region, folder, "v.prompt");
    const char *prefix    = path_join(region, folder, "v");
    cr_assert(file_write(path_join(region, folder, "v.idx"), vector, sizeof vector, &error));
    cr_assert(file_write(path, prompts, sizeof prompts, &error));
    TokenIndex *index = index_open(region, prefix, &error);
    cr_assert(index != NULL, "%s", error.text);
    cr_assert_eq(index->prompt[1], 2);
    prompts[1] = 3;
    cr_assert(file_write(path, prompts, sizeof prompts, &error));
    cr_assert_null(index_open(region, prefix, &error));
    cr_assert(file_write(path, prompts, 15, &error));
    cr_assert_null(index_open(region, prefix, &error));
}
