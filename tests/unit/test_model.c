/* The model's table, its reader and checks, and RoPE's frequencies against their formulas in
 * libm. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/forms/model.h"
#include "tests/support/tiny_model.h"

static Region *region;

static void set_up(void)
{
    region = region_new();
}

static void tear_down(void)
{
    region_free(region);
}

TestSuite(model, .init = set_up, .fini = tear_down);

static char *printed(const Model *model)
{
    Text out = text_new(region);
    model_print(model, &out);
    return out.at;
}

/* --- The table --- */

Test(model, reads_what_it_prints)
{
    for (int tied = 0; tied < 2; tied++) {
        Error  error;
        Model *model = tiny_model(region, (TinyShape){.layers = 3, .tied = tied});
        cr_assert(model_check(model, &error), "%s", error.text);
        char  *text  = printed(model);
        Model *again = model_read(region, text, "tiny", &error);
        cr_assert(again, "%s", error.text);
        cr_assert(model_check(again, &error), "%s", error.text);
        cr_expect_str_eq(text, printed(again));
        cr_expect_eq(again->weights[model_weight(again, "lm_head")].tied, tied ? 0 : -1);
        cr_expect_eq(model_parameters(model), model_parameters(again));
    }
}

/* The table with one text in place of another. */
static char *changed(const char *from, const char *to)
{
    char *text  = printed(tiny_model(region, (TinyShape){.layers = 2}));
    char *place = strstr(text, from);
    cr_assert(place, "%s is not in the table", from);
    *place = 0;
    return region_format(region, "%s%s%s", text, to, place + strlen(from));
}

Test(model, broken_tables_are_refused)
{
    static const struct {
        const char *from, *to, *expected;
    } cases[] = {
        {"layers 2", "layers two", "tiny:2: found \"two\""},
        {"layers 2", "layers", "tiny:2: found \"nothing\""},
        {"layers 2", "layers 0", "tiny:2: found \"0\""},
        {"layers 2\n", "", "one of its sizes is missing"},
        {"layers 2", "lairs 2", "tiny:2: found \"lairs\""},
        {"tied no", "tied maybe", "found \"maybe\", expected yes or no"},
        {"epsilon", "epsilon x", "expected a number"},
        {"weight qkv pre rows", "weight qkv pre lines", "found \"lines\", expected rows"},
        {"weight qkv pre", "weight table pre", "a weight's name once"},
        {"weight qkv pre rows 64", "weight qkv pre rows 65",
         "weight qkv has 65 rows, its tensors 64"},
        {"value normed pre", "value normed middle", "found \"middle\""},
        {"value normed ", "value scale ", "a value's name once"},
        {"pre normed weight.qkv", "pre normed weight.qvk", "found \"weight.qvk\""},
        {"pre normed weight.qkv", "pre nrmed weight.qkv", "found \"nrmed\""},
        {"weight.qkv -> qkv", "weight.qkv qkv", "inputs -> outputs"},
        {"operation rmsnorm pre input", "operation rmsnorm pre q", "reads q before it is made"},
        {"operation embedding embed", "operation embedding post",
         "is of part pre, below one of post"},
        {"heads 4", "heads 5", "not a multiple"},
        {"head_dim 8", "head_dim 7", "is odd"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Error  error = {.status = 0};
        Model *model = model_read(region, changed(cases[i].from, cases[i].to), "tiny", &error);
        bool   good  = model && model_check(model, &error);
        cr_expect(!good, "%s for %s is accepted", cases[i].to, cases[i].from);
        cr_expect(strstr(error.text, cases[i].expected), "%s: says %s, not %s", cases[i].to,
                  error.text, cases[i].expected);
        cr_expect_eq(error.status, EXIT_INPUT);
    }
}

/* --- What others ask --- */

Test(model, counts)
{
    Model  *model = tiny_model(region, (TinyShape){.layers = 2});
    int64_t layer = 32 + 64 * 32 + 32 * 32 + 32 + 96 * 32 + 32 * 48; /* gains and products */
    cr_expect_eq(model_parameters(model), 2 * 61 * 32 + 32 + 2 * layer);
    cr_expect_eq(model_flops_per_token(model, PART_PRE), 2 * 64 * 32);
    cr_expect_eq(model_flops_per_token(model, PART_POST), 2 * (32 * 32 + 96 * 32 + 32 * 48));
    cr_expect_eq(model_flops_per_token(model, PART_HEAD), 2 * 61 * 32);
    cr_expect_eq(model_flops_per_token(model, PART_EMBED), 0);
    Model *tied = tiny_model(region, (TinyShape){.layers = 2, .tied = true});
    cr_expect_eq(model_parameters(tied), 61 * 32 + 32 + 2 * layer);
    cr_expect_eq(model_weight(model, "nothing"), -1);
    cr_expect_eq(model_value(model, "attended"), 6);
}

/* --- RoPE: one part in 2^23 is fp32's rounding --- */

static void expect_near(double got, double expected, int64_t j)
{
    cr_expect(fabs(got - expected) <= 2.4e-7 * expected, "frequency %lld is %.9g, not %.9g",
              (long long)j, got, expected);
}

static Model *rope_model(int64_t head_dim, double theta, RopeScaling rope)
{
    Model *model      = tiny_model(region, (TinyShape){.layers = 1});
    model->head_dim   = head_dim;
    model->rope_theta = theta;
    model->rope       = rope;
    return model;
}

Test(model, rope_frequencies)
{
    static const double thetas[] = {10000, 500000, 1000000, 1.5};
    double              frequency[256];
    for (int i = 0; i < COUNT(thetas); i++)
        for (int64_t d = 2; d <= 512; d += d < 16 ? 2 : 62) {
            Model *model = rope_model(d, thetas[i], (RopeScaling){.type = "default", .factor = 1});
            cr_expect_eq(model_rope(model, frequency), 1);
            for (int64_t j = 0; j < d / 2; j++) {
                expect_near(frequency[j], pow(thetas[i], -2.0 * (double)j / (double)d), j);
                cr_expect_eq(frequency[j], (float)frequency[j]);
            }
        }
}

Test(model, rope_linear)
{
    double plain[64], scaled[64];
    model_rope(rope_model(128, 10000, (RopeScaling){.type = "default"}), plain);
    model_rope(rope_model(128, 10000, (RopeScaling){.type = "linear", .factor = 4}), scaled);
    for (int j = 0; j < 64; j++)
        expect_near(scaled[j], plain[j] / 4, j);
}

/* Llama 3.1: below a wave length of 2,048 unchanged, above 8,192 an eighth. */
Test(model, rope_of_llama3)
{
    double plain[64], scaled[64];
    int    between = 0;
    model_rope(rope_model(128, 500000, (RopeScaling){.type = "default"}), plain);
    RopeScaling llama3 = {.type             = "llama3",
                          .factor           = 8,
                          .low_frequency    = 1,
                          .high_frequency   = 4,
                          .original_context = 8192};
    cr_expect_eq(model_rope(rope_model(128, 500000, llama3), scaled), 1);
    for (int j = 0; j < 64; j++) {
        double wave = 2 * M_PI / plain[j], share = (8192 / wave - 1) / 3;
        double expected = wave < 2048   ? plain[j]
                          : wave > 8192 ? plain[j] / 8
                                        : (1 - share) * plain[j] / 8 + share * plain[j];
        expect_near(scaled[j], expected, j);
        between += wave > 2048 && wave < 8192;
    }
    cr_expect_gt(between, 2);
}

Test(model, rope_of_yarn)
{
    double      plain[64], scaled[64];
    RopeScaling yarn = {
        .type = "yarn", .factor = 4, .beta_fast = 32, .beta_slow = 1, .original_context = 32768};
    model_rope(rope_model(128, 1000000, (RopeScaling){.type = "default"}), plain);
    double factor = model_rope(rope_model(128, 1000000, yarn), scaled);
    cr_expect_float_eq(factor, 0.1 * log(4) + 1, 1e-14);
    double low  = floor(128 * log(32768 / (32 * 2 * M_PI)) / (2 * log(1e6)));
    double high = ceil(128 * log(32768 / (2 * M_PI)) / (2 * log(1e6)));
    for (int j = 0; j < 64; j++) {
        double ramp = fmin(fmax((j - low) / (high - low), 0), 1);
        expect_near(scaled[j], ramp * plain[j] / 4 + (1 - ramp) * plain[j], j);
    }
    yarn.attention_factor = 1.25;
    cr_expect_eq(model_rope(rope_model(128, 1000000, yarn), scaled), 1.25);
}
