/* The runtime's own JSON and SHA-256, against jansson and nettle. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/json.h"
#include "runtime/sha256.h"

static PwJson *read_text(const char *text, PwError *error)
{
    return pw_json_read(text, strlen(text), "test", error);
}

Test(runtime_json, reads_what_it_should)
{
    PwError error;
    int64_t number;
    PwJson *root = read_text(" {\"a\": [1, -2.5e3, true, false, null], \"b\": {\"c\": \"x\\u00e9"
                             "\\ud83d\\ude00\\n\"}, \"n\": 9007199254740993} ",
                             &error);
    cr_assert(root, "%s", error.text);
    const PwJson *a = pw_json_member(root, "a");
    cr_expect_eq(a->count, 5);
    cr_expect_eq(a->first->integer, 1);
    cr_expect_eq(a->first->next->number, -2500);
    cr_expect_not(a->first->next->is_integer);
    cr_expect_str_eq(pw_json_text(pw_json_member(root, "b"), "c"), "x\xc3\xa9\xf0\x9f\x98\x80\n");
    cr_expect(pw_json_integer(root, "n", &number) && number == INT64_C(9007199254740993));
    cr_expect_null(pw_json_member(root, "d"));
    free(root);
}

Test(runtime_json, refuses_what_it_should)
{
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1] 2",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "nul",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\x01\"",
        "{\"a\":1,\"a\":2}",
        "1e999",
        "[1 2]",
        "{\"a\\u0000b\":1}",
        "NaN",
    };
    char deep[200] = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        PwError error = {{0}, 0};
        cr_expect_null(read_text(wrong[i], &error), "%s", wrong[i]);
        cr_expect_eq(error.status, PW_EXIT_INPUT, "%s", wrong[i]);
    }
    PwError error;
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    cr_expect_null(read_text(deep, &error));
}

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Random damage to a good text: whatever comes of it, jansson and this reader agree. */
Test(runtime_json, agrees_with_jansson_on_damaged_texts)
{
    static const char good[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"x\":[0.5e1,-7,\"\\u0041\"]"
        ",\"t\":true,\"e\":{}},\"\\\"q\\\\\":[[],[null,{\"k\":1e3}]]}";
    static const char letters[] = "{}[]\":,\\u0129.eE+-ntrfalse \n\x80\xc3";
    uint64_t          state     = 1;
    int               accepted  = 0;
    for (int i = 0; i < 20000; i++) {
        char   text[sizeof good];
        size_t length = sizeof good - 1;
        memcpy(text, good, sizeof good);
        for (uint64_t changes = next(&state) % 3 + 1; changes > 0; changes--)
            text[next(&state) % length] = letters[next(&state) % (sizeof letters - 1)];
        PwError      ours;
        json_error_t theirs;
        PwJson      *root  = pw_json_read(text, length, "test", &ours);
        json_t      *other = json_loadb(
                 text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &theirs);
        cr_assert_eq(root != NULL, other != NULL, "%.*s\nours: %s\ntheirs: %s", (int)length, text,
                     root ? "good" : ours.text, other ? "good" : theirs.text);
        accepted += root != NULL;
        free(root);
        json_decref(other);
    }
    cr_expect_gt(accepted, 200, "only %d texts were good: the test says little", accepted);
}

Test(runtime_json, writes_numbers_that_read_back)
{
    static const double numbers[] = {0, 0.1, 1.0 / 3, 1e-300, 123456789.125, -2.5, 6.02214076e23};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        PwJsonText text = {0};
        pw_json_add_number(&text, numbers[i]);
        cr_expect_eq(strtod(text.at, NULL), numbers[i], "%s", text.at);
        free(text.at);
    }
    PwJsonText text = {0};
    pw_json_add_number(&text, NAN);
    pw_json_add_string(&text, "a\"b\\c\n");
    cr_expect_str_eq(text.at, "\"nan\"\"a\\\"b\\\\c\\u000a\"");
    free(text.at);
}

Test(runtime_sha256, gives_the_published_values)
{
    char hash[65];
    pw_sha256("abc", 3, hash);
    cr_expect_str_eq(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    pw_sha256("", 0, hash);
    cr_expect_str_eq(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(runtime_sha256, agrees_with_nettle_at_every_length_and_cut)
{
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct sha256_ctx theirs;
        uint8_t           digest[32];
        PwSha256          ours;
        char              hash[65], expected[65];
        size_t            cut = length * 7 % (length + 1);
        sha256_init(&theirs);
        sha256_update(&theirs, length, bytes);
        sha256_digest(&theirs, sizeof digest, digest);
        for (int i = 0; i < 32; i++)
            sprintf(expected + 2 * i, "%02x", digest[i]);
        pw_sha256_start(&ours);
        pw_sha256_add(&ours, bytes, cut);
        pw_sha256_add(&ours, bytes + cut, length - cut);
        pw_sha256_finish(&ours, hash);
        cr_assert_str_eq(hash, expected, "length %zu cut at %zu", length, cut);
    }
}
