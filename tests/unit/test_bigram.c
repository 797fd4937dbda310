/* bigram: the entropy by hand, wherever in the .bin the documents lie. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/data/bigram.h"
#include "tests/support/own_folder.h"

TestSuite(bigram, .init = open_folder, .fini = close_folder);

enum { END = 256 };

/* Two documents, a b a c and a b, each closed; a hole of other tokens is between them. */
static const uint16_t tokens[] = {'a', 'b', END, 9, 9, 'a', 'b', 'a', 'c', END};
static int64_t        start[] = {10, 0, 0}, length[] = {5, 3, 0};

static TokenIndex documents(const void *bytes, size_t count)
{
    Error error;
    char *prefix = path_join(region, folder, "v");
    cr_assert(file_write(path_join(region, folder, "v.bin"), bytes, count, &error));
    return (TokenIndex){
        .prefix = prefix, .token_bytes = 2, .documents = 3, .start = start, .length = length};
}

/* Behind a: b, c, b; behind b: a, end; behind c: end. */
Test(bigram, documents_may_lie_in_any_order)
{
    Error      error;
    double     bits;
    TokenIndex index    = documents(tokens, sizeof tokens);
    double     behind_a = -(2 * log2(2.0 / 3) + log2(1.0 / 3)), behind_b = 2;
    cr_assert(bigram_entropy(region, &index, NULL, &bits, &error), "%s", error.text);
    cr_expect_float_eq(bits, (behind_a + behind_b) / 6, 1e-12);
}

Test(bigram, held_out_documents_do_not_count)
{
    Error      error;
    double     bits;
    uint8_t    held_out[] = {1, 0, 0};
    TokenIndex index      = documents(tokens, sizeof tokens);
    cr_assert(bigram_entropy(region, &index, held_out, &bits, &error), "%s", error.text);
    cr_expect_float_eq(bits, 0, 1e-12); /* a b end: each is certain */
}

Test(bigram, what_is_no_text_of_bytes_is_named)
{
    Error      error;
    double     bits;
    TokenIndex index = documents(tokens, sizeof tokens - 2);
    cr_expect_not(bigram_entropy(region, &index, NULL, &bits, &error));
    cr_expect(strstr(error.text, "document 0"), "%s", error.text);
    index.token_bytes = 4;
    cr_expect_not(bigram_entropy(region, &index, NULL, &bits, &error));
    cr_expect(strstr(error.text, "tokens of 4 bytes"), "%s", error.text);
}
