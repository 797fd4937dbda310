/* What comes from outside: safetensors and token sets that lie; and the learning-rate curves. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/learning_rate.h"
#include "runtime/safetensors.h"
#include "runtime/tokens.h"
#include "tests/support/toy_trainer.h"

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, count, file) == count);
    fclose(file);
}

/* Header and so many bytes of data. */
static bool opens(const char *header, size_t data, PwError *error)
{
    char          folder[64], path[128];
    unsigned char bytes[2000] = {0};
    uint64_t      length      = strlen(header);
    PwSafetensors file;
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    memcpy(bytes, &length, 8);
    snprintf((char *)bytes + 8, sizeof bytes - 8, "%s", header);
    write_file(path, bytes, 8 + length + data);
    bool good = pw_safetensors_open(&file, path, error);
    if (good)
        pw_safetensors_close(&file);
    unlink(path);
    rmdir(folder);
    return good;
}

Test(safetensors, headers_that_lie_are_refused)
{
    static const struct {
        const char *header;
        size_t      data;
    } lies[] = {
        {"", 0},
        {"[]", 0},
        {" {}", 0},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8},
        {"{\"w\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8},
        {"{\"w\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         4},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
         9},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]}}", 5},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
         8},
        {"{\"__metadata__\":{\"format\":1}}", 0},
        {"{\"__metadata__\":[]}", 0},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}} x", 1},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        PwError error = {{0}, 0};
        cr_expect_not(opens(lies[i].header, lies[i].data, &error), "%s", lies[i].header);
        cr_expect_eq(error.status, PW_EXIT_INPUT, "%s", lies[i].header);
    }
}

Test(safetensors, unusual_but_right_headers_are_taken)
{
    static const struct {
        const char *header;
        size_t      data;
    } good[] = {
        {"{}", 0},
        {"{\"__metadata__\":{\"format\":\"pt\"}}   ", 0},
        {"{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[0,0]},"
         "\"b\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}",
         2},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        PwError error;
        cr_expect(opens(good[i].header, good[i].data, &error), "%s: %s", good[i].header,
                  error.text);
    }
}

Test(safetensors, a_file_shorter_or_longer_than_its_header_length)
{
    char          folder[64], path[128];
    PwError       error;
    PwSafetensors file;
    unsigned char bytes[16] = {255, 255, 255, 255, 255, 255, 255, 255, '{', '}'};
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/w", folder);
    for (size_t length = 0; length <= 10; length++) {
        write_file(path, bytes, length);
        cr_expect_not(pw_safetensors_open(&file, path, &error), "%zu bytes", length);
    }
}

Test(safetensors, the_vector_of_the_format_reads_and_halves_convert)
{
    static const unsigned char vector[] =
        "\x38\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  "
        "\0\0\x80\x3f\0\0\0\x40";
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x7c00};
    static const double   values[] = {1, -2, 0x1p-24, 65504, -0.0, INFINITY};
    char                  folder[64], path[128];
    PwError               error;
    PwSafetensors         file;
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/w", folder);
    write_file(path, vector, 72);
    cr_assert(pw_safetensors_open(&file, path, &error), "%s", error.text);
    const PwStoredTensor *w = pw_safetensors_find(&file, "w");
    cr_assert(w);
    cr_expect(pw_stored_element(w, 0) == 1 && pw_stored_element(w, 1) == 2);
    pw_safetensors_close(&file);
    PwStoredTensor half = {.dtype = "F16", .data = (const unsigned char *)halves};
    for (int i = 0; i < 6; i++)
        cr_expect_eq(pw_stored_element(&half, i), values[i], "%d", i);
}

/* The index of [1 2 3] and [4 5] as Megatron writes it, in u16. */
static const unsigned char good_index[] =
    "MMIDIDX\0\0\1\0\0\0\0\0\0\0\10\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\3\0\0\0\2\0\0\0"
    "\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0";
static const unsigned char good_data[] = "\1\0\2\0\3\0\4\0\5\0";
enum { INDEX_BYTES = 82, DATA_BYTES = 10 };

static bool open_set(PwTokens *tokens, const unsigned char *index, size_t bytes, PwError *error)
{
    char folder[64], prefix[100], path[128];
    toy_folder(folder);
    snprintf(prefix, sizeof prefix, "%s/t", folder);
    snprintf(path, sizeof path, "%s.idx", prefix);
    write_file(path, index, bytes);
    snprintf(path, sizeof path, "%s.bin", prefix);
    write_file(path, good_data, DATA_BYTES);
    return pw_tokens_open(tokens, prefix, 10, error);
}

Test(tokens, the_vector_of_the_format_reads)
{
    PwTokens tokens;
    PwError  error;
    int32_t  inputs[3], targets[3];
    float    weights[3];
    cr_assert(open_set(&tokens, good_index, INDEX_BYTES, &error), "%s", error.text);
    cr_expect_eq(tokens.ndocuments, 2);
    pw_tokens_read(&tokens, 0, 0, 3, inputs, targets, weights);
    cr_expect(inputs[0] == 1 && inputs[1] == 2 && inputs[2] == 3);
    cr_expect(targets[0] == 2 && targets[1] == 3 && targets[2] == 0);
    cr_expect(weights[0] == 1 && weights[1] == 1 && weights[2] == 0, "nothing follows the end");
    pw_tokens_read(&tokens, 1, 1, 1, inputs, targets, weights);
    cr_expect(inputs[0] == 5 && weights[0] == 0);
    pw_tokens_read(&tokens, 0, 1, 1, NULL, targets, weights);
    cr_expect(targets[0] == 3 && weights[0] == 1, "a part's last token predicts the next one");
    pw_tokens_close(&tokens);
}

Test(tokens, indices_that_lie_are_refused)
{
    static const struct {
        int         at;
        const char *bytes;
        int         count;
    } lies[] = {
        {0, "X", 1},   /* magic                                  */
        {9, "\2", 1},  /* version                                */
        {17, "\6", 1}, /* tokens that are no whole numbers       */
        {17, "\0", 1},
        {17, "\11", 1},
        {18, "\377\377\377\377\377\377\377\377", 8}, /* sequences: negative                    */
        {18, "\0\0\0\0\0\0\0\100", 8},               /* 12 S overflows                         */
        {18, "\3", 1},
        {26, "\0", 1},                /* no document border at all              */
        {26, "\0\0\0\0\0\0\0\40", 8}, /* 8 D overflows                          */
        {26, "\4", 1},
        {34, "\377\377\377\377", 4}, /* a length below 0                       */
        {34, "\6\0\0\0", 4},         /* beyond the data                        */
        {38, "\3\0\0\0", 4},
        {50, "\5", 1},                               /* not at a token                         */
        {50, "\377\377\377\377\377\377\377\177", 8}, /* offset + length overflows              */
        {42, "\377\377\377\377\377\377\377\377", 8}, /* offset below 0                         */
        {58, "\1", 1},                               /* the first document is not the first    */
        {66, "\3", 1},                               /* not monotone                           */
        {66, "\377\377\377\377\377\377\377\377", 8},
        {74, "\1", 1}, /* the last is not the last               */
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        unsigned char index[INDEX_BYTES];
        PwTokens      tokens;
        PwError       error = {{0}, 0};
        memcpy(index, good_index, INDEX_BYTES);
        memcpy(index + lies[i].at, lies[i].bytes, (size_t)lies[i].count);
        cr_expect_not(open_set(&tokens, index, INDEX_BYTES, &error), "lie %zu", i);
        cr_expect_eq(error.status, PW_EXIT_INPUT);
    }
    for (size_t bytes = 0; bytes < INDEX_BYTES; bytes++) {
        PwTokens tokens;
        PwError  error;
        cr_expect_not(open_set(&tokens, good_index, bytes, &error), "cut at %zu", bytes);
    }
}

Test(tokens, a_file_that_changes_is_named)
{
    PwTokens tokens;
    PwError  error;
    cr_assert(open_set(&tokens, good_index, INDEX_BYTES, &error), "%s", error.text);
    cr_expect(pw_tokens_check(&tokens, &error));
    cr_assert_eq(truncate(tokens.data.path, 2), 0);
    cr_expect_not(pw_tokens_check(&tokens, &error));
    cr_expect(strstr(error.text, tokens.data.path), "%s", error.text);
}

/* All of its pages are gone: reading them is SIGBUS, which the handler turns into status 2. */
Test(tokens, a_file_cut_short_under_a_read_ends_the_run_as_wrong_input, .exit_code = 2)
{
    PwTokens tokens;
    PwError  error;
    int32_t  inputs[3];
    cr_assert(open_set(&tokens, good_index, INDEX_BYTES, &error), "%s", error.text);
    cr_assert_eq(truncate(tokens.data.path, 0), 0);
    pw_tokens_read(&tokens, 0, 0, 3, inputs, NULL, NULL);
}

Test(learning_rate, curves)
{
    PwJob job = {.steps = 110, .warmup = 10, .learning_rate = 1, .final_rate = 0.1};
    for (int curve = PW_CURVE_CONSTANT; curve <= PW_CURVE_WSD; curve++) {
        job.curve = curve;
        job.decay = 20;
        cr_expect_float_eq(pw_learning_rate(&job, 0), 0.1, 1e-15, "warm-up begins above 0");
        cr_expect_float_eq(pw_learning_rate(&job, 9), 1, 1e-15, "and ends with the full rate");
        cr_expect_float_eq(pw_learning_rate(&job, 10), 1, 1e-15);
        for (int64_t step = 11; step < 130; step++)
            cr_expect_leq(pw_learning_rate(&job, step), pw_learning_rate(&job, step - 1) + 1e-15);
    }
    job.curve = PW_CURVE_COSINE;
    cr_expect_float_eq(pw_learning_rate(&job, 60), 0.55, 1e-12, "half-way");
    cr_expect_float_eq(pw_learning_rate(&job, 110), 0.1, 1e-15);
    cr_expect_float_eq(pw_learning_rate(&job, 500), 0.1, 1e-15);
    job.curve = PW_CURVE_WSD;
    cr_expect_float_eq(pw_learning_rate(&job, 90), 1, 1e-15, "the fall begins here");
    cr_expect_float_eq(pw_learning_rate(&job, 100), 0.55, 1e-12);
    job.curve = PW_CURVE_CONSTANT;
    cr_expect_float_eq(pw_learning_rate(&job, 500), 1, 1e-15);
}

Test(learning_rate, numbers_of_a_step)
{
    PwJob         job   = {.steps = 10, .learning_rate = 1, .beta1 = 0.9, .beta2 = 0.99, .seed = 7};
    PwStepNumbers first = pw_step_numbers(&job, 0, 4), second = pw_step_numbers(&job, 1, 0);
    cr_expect_float_eq(first.correction1, 0.1, 1e-15);
    cr_expect_float_eq(first.correction2, 0.01, 1e-15);
    cr_expect_float_eq(second.correction1, 0.19, 1e-15);
    cr_expect_eq(first.inverse_weight, 0.25);
    cr_expect_eq(second.inverse_weight, 0, "no weight, no update");
}
