/* lengths and batch: forms print and read back; what people look at agrees with them. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/base/random.h"
#include "gen/forms/batch.h"
#include "gen/forms/lengths.h"
#include "gen/pictures/histogram.h"
#include "gen/pictures/stats.h"

static Region *region;

static void open_region(void)
{
    region = region_new();
}

static void close_region(void)
{
    region_free(region);
}

TestSuite(lengths, .init = open_region, .fini = close_region);

static Lengths *some_lengths(uint64_t seed)
{
    int64_t length[300], count = 1 + random_below(&seed, 300);
    for (int64_t i = 0; i < count; i++)
        length[i] = random_below(&seed, INT64_C(1) << random_below(&seed, 20));
    return lengths_count(region, length, count, "some \"documents\"");
}

Test(lengths, print_and_read_back)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        Error    error;
        Text     first = text_new(region), second = text_new(region);
        Lengths *lengths = some_lengths(seed);
        lengths_print(lengths, &first);
        Lengths *back = lengths_read(region, first.at, "text", &error);
        cr_assert(back != NULL, "seed %d: %s", (int)seed, error.text);
        lengths_print(back, &second);
        cr_assert_str_eq(first.at, second.at);
    }
}

/* By looking at every document, in the order of their lengths. */
static int64_t slow_quantile(const Lengths *lengths, double share)
{
    int64_t documents = 0;
    for (int i = 0; i < lengths->ncounts; i++)
        for (int64_t j = 0; j < lengths->counts[i].documents; j++)
            if ((double)++documents >= share * (double)lengths->documents)
                return lengths->counts[i].length;
    return -1;
}

Test(lengths, quantiles_and_sums_are_exact)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        Lengths *lengths = some_lengths(seed);
        int64_t  beyond  = 0;
        for (int i = 0; i < lengths->ncounts; i++)
            beyond += lengths->counts[i].length > 500
                          ? lengths->counts[i].length * lengths->counts[i].documents
                          : 0;
        cr_assert_eq(stats_tokens_beyond(lengths, 500), beyond);
        for (int part = 1; part <= 20; part++)
            cr_assert_eq(lengths_quantile(lengths, part / 20.0),
                         slow_quantile(lengths, part / 20.0));
    }
}

Test(lengths, a_list_may_have_comments_and_blank_lines)
{
    Error    error;
    Lengths *lengths =
        lengths_read(region, "# tokens\n 1830\r\n96 # short\n\n4096\n96", "l.txt", &error);
    cr_assert(lengths != NULL, "%s", error.text);
    cr_assert_eq(lengths->documents, 4);
    cr_assert_eq(lengths->tokens, 6118);
    cr_assert_eq(lengths->ncounts, 3);
    cr_assert_eq(lengths->counts[0].documents, 2);
    cr_assert_str_eq(lengths->source, "measured");
}

#define HEAD "{\"format\": \"pipewright-lengths-1\", \"name\": \"c\", \"source\": \"measured\", "

Test(lengths, wrong_files_are_refused_with_a_reason)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "there is no length in it"},
        {"# only a comment\n", "there is no length in it"},
        {"12\n13 14\n", "l:2: found \"13 14\""},
        {"-3\n", "l:1: found \"-3\""},
        {"99999999999999999999\n", "l:1: found"},
        {"9000000000000000000\n9000000000000000000\n", "l:2: found"},
        {"{", "l:1: not JSON"},
        {"{}", "format"},
        {HEAD "\"documents\": 1, \"tokens\": 5, \"lengths\": [[5, 1]], \"more\": 1}", "more: "},
        {HEAD "\"documents\": 1, \"tokens\": 6, \"lengths\": [[5, 1]]}",
         "tokens: the lengths make 5"},
        {HEAD "\"documents\": 2, \"tokens\": 5, \"lengths\": [[5, 1]]}",
         "documents: the lengths make 1"},
        {HEAD "\"documents\": 2, \"tokens\": 9, \"lengths\": [[5, 1], [4, 1]]}", "lengths[1]"},
        {HEAD "\"documents\": 0, \"tokens\": 0, \"lengths\": [[5, 0]]}", "lengths[0]"},
        {HEAD "\"documents\": 1, \"tokens\": 5, \"lengths\": [[5.0, 1]]}", "lengths[0]"},
        {HEAD "\"documents\": 1, \"tokens\": 5, \"lengths\": []}", "lengths: "},
        {HEAD "\"documents\": 4, \"tokens\": 5, \"lengths\": [[4611686018427387904, 4]]}", "2^63"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Error error = {.status = 0};
        cr_assert_null(lengths_read(region, cases[i].text, "l", &error), "%s", cases[i].text);
        cr_assert(strstr(error.text, cases[i].reason) != NULL, "%s\n%s", cases[i].text, error.text);
        cr_assert_eq(error.status, EXIT_INPUT);
    }
}

Test(lengths, the_histogram_fits_a_terminal_and_shows_every_bin)
{
    int64_t  length[] = {1, 3, 70, 70, 100, 5000};
    Lengths *lengths  = lengths_count(region, length, COUNT(length), "c<d>&e");
    Text     text = text_new(region), picture = text_new(region);
    histogram_text(lengths, &text);
    int   lines = 0;
    char *rest;
    for (char *line = strtok_r(text.at, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        cr_assert_leq(strlen(line), 80, "%s", line);
        lines++;
    }
    cr_assert_eq(lines, 14); /* a head, bins 0 to 12 */
    histogram_svg(lengths, &picture);
    cr_assert(strstr(picture.at, "c&lt;d&gt;&amp;e: 6 documents, 5244 tokens") != NULL);
    cr_assert(strstr(picture.at, "<title>50.00%</title>") != NULL); /* 3 of 6 in [64, 128) */
}

Test(lengths, a_batch_prints_and_reads_back)
{
    Sequence sequences[] = {{17, 2048, 2048, 2048}, {3, 0, 32, 30.5}, {-1, 0, 1, 0}};
    Batch    batch       = {12, sequences, 3, 2081, 2078.5, 2048, 5120};
    Text     first = text_new(region), second = text_new(region);
    Error    error;
    batch_print(&batch, &first);
    Batch *back = batch_read(region, first.at, "batch", &error);
    cr_assert(back != NULL, "%s", error.text);
    batch_print(back, &second);
    cr_assert_str_eq(first.at, second.at);
    cr_assert_eq(back->sequences[1].weight, 30.5);
    cr_assert_eq(back->position, 5120);
}

Test(lengths, a_wrong_batch_is_refused)
{
    static const char *const texts[] = {
        "",
        "batch of step 1: 1 sequences, 4 tokens, weight 3; context 8, position 1\n",
        "batch of step 1: 1 sequences, 4 tokens, weight 3; context 8, position 1\n"
        "0 document 0 start 0 length 5 weight 3\n",
        "batch of step 1: 1 sequences, 4 tokens, weight 3; context 2, position 1\n"
        "0 document 0 start 0 length 4 weight 3\n",
        "batch of step 1: 1 sequences, 4 tokens, weight 3; context 8, position 1\n"
        "1 document 0 start 0 length 4 weight 3\n",
        "batch of step 1: 1 sequences, 4 tokens, weight 3; context 8, position 1\n"
        "0 document 0 start 0 length 4 weight 3 more\n",
    };
    for (int i = 0; i < COUNT(texts); i++) {
        Error error;
        cr_assert_null(batch_read(region, texts[i], "b", &error), "%s", texts[i]);
        cr_assert_eq(error.status, EXIT_INPUT);
    }
}
