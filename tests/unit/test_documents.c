/* documents: text and JSONL become a token set, once; what is wrong is named. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/data/documents.h"
#include "gen/data/record.h"
#include "gen/data/sources.h"
#include "gen/data/token_set.h"
#include "tests/support/own_folder.h"

static Model model = {.tokenizer = "bytes", .vocabulary = 257};
static Job   job;

static const char *in_folder(const char *name)
{
    return path_join(region, folder, name);
}

static void put(const char *name, const void *bytes, size_t count)
{
    Error       error;
    const char *path = in_folder(name);
    cr_assert(file_make_folders(path_folder(region, path), &error), "%s", error.text);
    cr_assert(file_write(path, bytes, count, &error), "%s", error.text);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void set_up(void)
{
    open_folder();
    job = (Job){.path   = in_folder("job.lua"),
                .folder = folder,
                .model  = &model,
                .data   = {.kind           = DATA_TEXT,
                           .path           = "corpus",
                           .text_key       = "text",
                           .prompt_key     = "prompt",
                           .completion_key = "completion"}};
}

TestSuite(documents, .init = set_up, .fini = close_folder);

static DataReport make(void)
{
    Error      error;
    DataReport report;
    cr_assert(data_make(region, &job, NULL, NULL, &report, &error), "%s", error.text);
    return report;
}

static void refuse(const char *reason)
{
    Error      error = {.status = 0};
    DataReport report;
    cr_assert(!data_make(region, &job, NULL, NULL, &report, &error), "%s", reason);
    cr_assert(strstr(error.text, reason) != NULL, "%s\n%s", reason, error.text);
    cr_assert_eq(error.status, EXIT_INPUT);
}

/* The .bin as text: end of document is written "|". */
static const char *tokens(void)
{
    Error       error;
    size_t      count;
    const char *bytes =
        file_read(region, in_folder("job.data/tokens.bin"), 1 << 20, &count, &error);
    Text text = text_new(region);
    cr_assert(bytes != NULL, "%s", error.text);
    for (size_t i = 0; i < count; i += 2) {
        uint16_t token;
        memcpy(&token, bytes + i, sizeof token);
        cr_assert_leq(token, 256);
        char byte = token == 256 ? '|' : (char)token;
        text_bytes(&text, &byte, 1);
    }
    return text.at;
}

Test(documents, a_folder_is_read_in_the_order_of_its_paths)
{
    put_text("corpus/b/x", "third");
    put_text("corpus/b.txt", "second");
    put_text("corpus/a", "first");
    put_text("corpus/.hidden", "no");
    put_text("corpus/b/empty", "");
    DataReport report = make();
    cr_assert_str_eq(tokens(), "first|second|third|");
    cr_assert(report.made);
    cr_assert_eq(report.documents, 3);
    cr_assert_eq(report.tokens, 19);
    cr_assert_eq(report.bytes, 16);
    cr_assert_eq(report.empty, 1);
    cr_assert_eq(report.files, 4);
    JobDocuments documents;
    Error        error;
    cr_assert(data_open(region, &job, &documents, &error), "%s", error.text);
    cr_assert_eq(documents.index->documents, 3);
    cr_assert_eq(documents.index->bin_bytes, 38);
    cr_assert_eq(data_lengths(region, &documents)->tokens, 19);
    cr_assert_str_eq(data_lengths(region, &documents)->name, "job");
    cr_assert_null(documents.index->prompt);
}

/* Else what is planned and trained would be the old documents, without a word. */
Test(documents, tokens_of_other_documents_are_refused)
{
    JobDocuments documents;
    Error        error;
    put_text("corpus/a", "first");
    put_text("other/a", "first");
    make();
    job.data.path = "other";
    cr_assert(!data_open(region, &job, &documents, &error));
    cr_assert(strstr(error.text, "made from text { files = \"corpus\" } as bytes, its data is now "
                                 "text { files = \"other\" } as bytes; run `pipewright data "),
              "%s", error.text);
    cr_assert(make().made);
    cr_assert(data_open(region, &job, &documents, &error), "%s", error.text);
    job.data.kind     = DATA_JSONL;
    job.data.text_key = "body";
    cr_assert(!data_open(region, &job, &documents, &error));
    cr_assert(strstr(error.text, "now jsonl { files = \"other\", text = \"body\", "), "%s",
              error.text);
}

Test(documents, nothing_is_made_twice)
{
    put_text("corpus/a", "first");
    DataReport first = make(), second = make();
    cr_assert(first.made && !second.made);
    cr_assert_eq(second.documents, 1);
    cr_assert_eq(second.tokens, 6);
    put_text("corpus/a", "other");
    cr_assert(make().made);
    cr_assert_str_eq(tokens(), "other|");
    cr_assert(!make().made);
    put_text("corpus/b", "b");
    cr_assert(make().made);
    put("job.data/tokens.bin", "", 0);
    cr_assert(make().made);
    cr_assert_str_eq(tokens(), "other|b|");
    put_text("job.data/tokens.json", "{");
    cr_assert(make().made);
}

Test(documents, links_are_not_followed)
{
    put_text("corpus/a", "inside");
    put_text("outside/b", "outside");
    cr_assert_eq(symlink("../outside/b", in_folder("corpus/link")), 0);
    cr_assert_eq(symlink("../outside", in_folder("corpus/folder")), 0);
    cr_assert_eq(symlink("..", in_folder("corpus/up")), 0);
    cr_assert_eq(make().links, 3);
    cr_assert_str_eq(tokens(), "inside|");
}

Test(documents, a_glob_and_a_file_are_sources_too)
{
    put_text("corpus/b.txt", "b");
    put_text("corpus/a.txt", "a");
    put_text("corpus/c.md", "c");
    job.data.path = "corpus/*.txt";
    make();
    cr_assert_str_eq(tokens(), "a|b|");
    job.data.path = "corpus/c.md";
    make();
    cr_assert_str_eq(tokens(), "c|");
    job.data.path = "nowhere/*";
    refuse("nothing matches");
}

Test(documents, what_is_not_text_is_counted_and_named)
{
    put_text("corpus/a", "fine: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    put_text("corpus/b", "latin \xe9");
    put("corpus/c", "nul\0", 4);
    DataReport report = make();
    cr_assert_eq(report.not_text, 2);
    cr_assert(strstr(report.first_not_text, "corpus/b: byte 6") != NULL, "%s",
              report.first_not_text);
    report = make(); /* from the record */
    cr_assert(!report.made && report.not_text == 2 && report.first_not_text != NULL);
}

Test(documents, utf8_is_what_unicode_says)
{
    static const struct {
        const char *bytes;
        int64_t     fault;
    } cases[] = {
        {"abc", -1},
        {"\xc3\xa9", -1},
        {"\xef\xbf\xbf", -1},
        {"\xf4\x8f\xbf\xbf", -1},
        {"\xed\x9f\xbf", -1},
        {"a\x80", 1},    /* a continuation without a beginning */
        {"\xc0\xaf", 0}, /* overlong */
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"ab\xe2\x82", 2},       /* cut off */
        {"\xff", 0},
    };
    for (int i = 0; i < COUNT(cases); i++)
        cr_assert_eq(text_fault(cases[i].bytes, strlen(cases[i].bytes)), cases[i].fault, "case %d",
                     i);
    cr_assert_eq(text_fault("a\0b", 3), 1);
}

Test(documents, a_folder_without_a_document_is_an_error)
{
    refuse("corpus");
    put_text("corpus/a", "");
    refuse("no document in 1 file (1 empty");
    cr_assert(!file_exists(in_folder("job.data/tokens.bin")));
    cr_assert(!file_exists(in_folder("job.data/tokens.json")));
}

Test(documents, a_changed_file_is_named)
{
    Error   error;
    Sources sources;
    put_text("corpus/a", "first");
    cr_assert(sources_find(region, in_folder("corpus"), &sources, &error));
    cr_assert(source_unchanged(&sources.files[0], &error));
    put_text("corpus/a", "first and more");
    cr_assert(!source_unchanged(&sources.files[0], &error));
    cr_assert(strstr(error.text, "corpus/a: changed") != NULL, "%s", error.text);
}

Test(documents, lines_of_json_are_documents)
{
    job.data.kind = DATA_JSONL;
    job.data.path = "d.jsonl";
    put_text("d.jsonl", "{\"text\": \"one\", \"id\": 1}\n\n"
                        "{\"prompt\": \"ask\", \"completion\": \"say\"}\n"
                        "{\"text\": \"\"}\n{\"text\": \"\\u00e9\"}");
    DataReport report = make();
    cr_assert_str_eq(tokens(), "one|asksay|\xc3\xa9|");
    cr_assert_eq(report.documents, 3);
    cr_assert_eq(report.empty, 2);
    JobDocuments documents;
    Error        error;
    cr_assert(data_open(region, &job, &documents, &error), "%s", error.text);
    cr_assert(documents.index->prompt != NULL);
    cr_assert_eq(documents.index->prompt[0], 0);
    cr_assert_eq(documents.index->prompt[1], 3);
    put_text("d.jsonl", "{\"text\": \"one\"}");
    make();
    cr_assert(!file_exists(in_folder("job.data/tokens.prompt")));
}

Test(documents, a_wrong_line_is_named)
{
    static const struct {
        const char *lines, *reason;
    } cases[] = {
        {"{\"text\": \"a\"}\n{\"text\": 5}\n", "d.jsonl:2: expected an object"},
        {"{\"text\": \"a\"\n", "d.jsonl:1: not JSON"},
        {"[]\n", "d.jsonl:1: expected an object"},
        {"\n{\"prompt\": \"a\"}\n", "d.jsonl:2: expected an object"},
        {"{\"text\": \"a\", \"prompt\": \"a\", \"completion\": \"b\"}\n", "d.jsonl:1: expected"},
        {"{\"text\": \"\\ud800\"}\n", "d.jsonl:1: not JSON"},
        {"{\"text\": \"\\u0000\"}\n", "d.jsonl:1: not JSON"},
        {"{\"text\": \"\xff\"}\n", "d.jsonl:1: not JSON"},
        {"{\"text\": \"a\", \"text\": \"b\"}\n", "d.jsonl:1: not JSON"},
        {"\xef\xbb\xbf{\"text\": \"a\"}\n", "d.jsonl:1: expected no byte order mark"},
    };
    job.data.kind = DATA_JSONL;
    job.data.path = "d.jsonl";
    for (int i = 0; i < COUNT(cases); i++) {
        put_text("d.jsonl", cases[i].lines);
        refuse(cases[i].reason);
        cr_assert(!file_exists(in_folder("job.data/tokens.bin")));
    }
    put("d.jsonl", "{\"text\": \"a\0\"}\n", 15);
    refuse("d.jsonl:1: expected text without a byte of 0");
}

Test(documents, an_existing_token_set_is_checked)
{
    put_text("corpus/a", "first");
    make();
    job.data.kind = DATA_TOKEN_SET;
    job.data.path = "job.data/tokens.idx";
    cr_assert_eq(make().tokens, 6);
    model.vocabulary = 200;
    refuse("token 5 is 256, outside the model's vocabulary of 200");
    job.data.path = "none";
    refuse("none.idx: cannot be read");
}

Test(documents, tokens_changed_in_place_are_noticed)
{
    Error error;
    put_text("corpus/a", "first");
    const char *hash = make().tokens_hash, *prefix = in_folder("job.data/tokens");
    cr_assert_str_eq(hash, hash_file(region, in_folder("job.data/tokens.bin"), &error));
    cr_assert_str_eq(hash, record_tokens_hash(region, prefix, &error));
    put("job.data/tokens.bin", "s\0w\0a\0p\0s\0\0\1", 12);
    cr_assert_null(record_tokens_hash(region, prefix, &error));
    cr_assert(strstr(error.text, "tokens.bin: changed since") != NULL, "%s", error.text);
    cr_assert(make().made);
    cr_assert_str_eq(hash, record_tokens_hash(region, prefix, &error));
}

Test(documents, the_hash_of_somebody_elses_tokens_is_kept_where_that_can_be)
{
    Error       error;
    const char *prefix = in_folder("theirs"), *bin = in_folder("theirs.bin");
    put_text("theirs.bin", "one");
    cr_assert_str_eq(record_tokens_hash(region, prefix, &error), hash_bytes(region, "one", 3));
    cr_assert(record_exists(region, prefix));
    put_text("theirs.bin", "two!");
    cr_assert_str_eq(record_tokens_hash(region, prefix, &error), hash_bytes(region, "two!", 4));
    struct stat status;
    cr_assert_eq(stat(bin, &status), 0);
    struct timespec kept[2] = {status.st_atim, status.st_mtim};
    put_text("theirs.bin", "six!"); /* the same size and time: taken for the same */
    cr_assert_eq(utimensat(AT_FDCWD, bin, kept, 0), 0);
    cr_assert_str_eq(record_tokens_hash(region, prefix, &error), hash_bytes(region, "two!", 4));
    put_text("theirs.json", "{\"text\": \"a document\"}");
    cr_assert_str_eq(record_tokens_hash(region, prefix, &error), hash_bytes(region, "six!", 4));
    char *text = file_read(region, in_folder("theirs.json"), 1 << 16, NULL, &error);
    cr_assert_str_eq(text, "{\"text\": \"a document\"}");
}

Test(documents, a_job_says_what_to_do_first)
{
    Error        error;
    JobDocuments documents;
    cr_assert(!data_open(region, &job, &documents, &error));
    cr_assert(strstr(error.text, "run `pipewright data ") != NULL, "%s", error.text);
    job.data.kind = DATA_LENGTHS;
    job.data.path = "l.txt";
    put_text("l.txt", "5\n6\n");
    cr_assert(data_open(region, &job, &documents, &error), "%s", error.text);
    cr_assert_eq(data_lengths(region, &documents)->tokens, 11);
    cr_assert_eq(strlen(documents.hash), 64);
}
