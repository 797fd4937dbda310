/* What differentiate derived is right: the emitted codelets, compiled and called one after another
 * on one rank, give the gradient of the loss; neither levels of keeping, nor halves, nor rebuilding
 * change a bit of it. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "gen/base/random.h"
#include "gen/forms/job.h"
#include "gen/job/job_passes.h"
#include "tests/support/compiled_codelets.h"
#include "tests/support/tiny_model.h"

enum { LENGTH_A = 29, LENGTH_B = 7 };

/* Two documents; the first is a chain of two chunks, the second shares one of them. */
static const RunChunk chained[] = {
    {0, 1, {{0, 0, 12, LENGTH_A}}},
    {1, 2, {{1, 0, LENGTH_B, LENGTH_B}, {0, 12, 17, LENGTH_A}}},
};
static const RunChunk whole[] = {
    {2, 2, {{0, 0, LENGTH_A, LENGTH_A}, {1, 0, LENGTH_B, LENGTH_B}}},
};

typedef struct Chunks {
    const RunChunk *chunks;
    int             nchunks;
} Chunks;

static const Chunks in_chunks = {chained, 2}, in_one = {whole, 1};

typedef struct Setup {
    Region     *region;
    Model      *model;
    CodeletRun *run;
} Setup;

/* Tokens and loss weights depend on sequence and position alone, not on the chunks. */
static void fill_tokens(Setup *setup, Chunks chunks)
{
    for (const RunChunk *c = chunks.chunks; c < chunks.chunks + chunks.nchunks; c++) {
        int64_t tokens = 0, row = 0;
        for (int i = 0; i < c->nsegments; i++)
            tokens += c->segments[i].tokens;
        const char *names[] = {"tokens", "targets", "weights"};
        void       *at[3];
        for (int i = 0; i < 3; i++)
            at[i] = codelet_run_buffer(setup->run,
                                       region_format(setup->region, "C%d.%s", c->number, names[i]),
                                       4 * tokens);
        for (int i = 0; i < c->nsegments; i++)
            for (int t = 0; t < c->segments[i].tokens; t++, row++) {
                int      position       = c->segments[i].start + t;
                uint64_t seed           = 1000 * (uint64_t)c->segments[i].sequence;
                uint64_t limit          = (uint64_t)setup->model->vocabulary;
                bool     last           = position == c->segments[i].length - 1;
                ((int32_t *)at[0])[row] = (int32_t)(random_at(seed, (uint64_t)position) % limit);
                ((int32_t *)at[1])[row] =
                    (int32_t)(random_at(seed, (uint64_t)position + 1) % limit);
                ((float *)at[2])[row] = last ? 0 : position == 3 ? 0.5f : 1;
            }
    }
}

static double noise(uint64_t *state)
{
    return 2 * random_unit(state) - 1;
}

static void fill_weights(Setup *setup)
{
    const Model *model = setup->model;
    uint64_t     state = 7;
    for (int layer = 0; layer < model->layers; layer++)
        for (int i = 0; i < model->nweights; i++) {
            const ModelWeight *weight = &model->weights[i];
            void              *at     = codelet_run_weight(setup->run, i, layer, false);
            for (int64_t k = 0; k < weight->rows * weight->columns; k++)
                codelet_run_set(setup->run, at, k,
                                weight->rows == 1 ? 1 + 0.2 * noise(&state) : 0.3 * noise(&state));
        }
    void *table = codelet_run_buffer(setup->run, "rope",
                                     model->context * model->head_dim * setup->run->real_bytes);
    for (int64_t position = 0; position < model->context; position++)
        for (int64_t j = 0; j < model->head_dim / 2; j++) {
            double angle =
                (double)position * pow(10000, -2.0 * (double)j / (double)model->head_dim);
            int64_t index = (position * model->head_dim / 2 + j) * 2;
            codelet_run_set(setup->run, table, index, cos(angle));
            codelet_run_set(setup->run, table, index + 1, sin(angle));
        }
}

static Setup set_up_model(Region *region, Model *model, int real_bytes)
{
    Setup     setup    = {.region = region, .model = model};
    Error     error    = {0};
    Codelets *codelets = differentiate(setup.region, setup.model, real_bytes, &error);
    cr_assert(codelets && fuse(setup.region, codelets, setup.model, &error), "%s", error.text);
    setup.run = codelet_run_new(setup.region, setup.model, codelets, real_bytes, SOURCE_FOLDER);
    setup.run->step.inverse_weight = 1.0 / (LENGTH_A + LENGTH_B - 3);
    fill_weights(&setup);
    fill_tokens(&setup, in_chunks);
    fill_tokens(&setup, in_one);
    return setup;
}

static Setup set_up(TinyShape shape, int real_bytes)
{
    Region *region = region_new();
    return set_up_model(region, tiny_model(region, shape), real_bytes);
}

/* The example's operations in a shape whose heads are no multiple of a vector. */
static Setup set_up_qwen3(int real_bytes)
{
    static const char *const sets[] = {"model.layers=2",   "model.hidden=32",      "model.heads=4",
                                       "model.kv_heads=2", "model.head_dim=12",    "model.ffn=48",
                                       "model.tied=false", "data.context=\"256\"", NULL};
    Region                  *region = region_new();
    Error                    error  = {0};
    Job *job = job_parse(region, SOURCE_FOLDER "/examples/qwen3.lua", sets, &error);
    cr_assert(job, "%s", error.text);
    return set_up_model(region, job->model, real_bytes);
}

static void tear_down(Setup setup)
{
    codelet_run_free(setup.run);
    region_free(setup.region);
}

/* ---- one step ---- */

typedef struct Way {
    Level level;
    bool  split; /* dx, then dw of all layers */
} Way;

static void call(Setup *setup, const RunChunk *chunk, const char *codelet, int layer)
{
    codelet_run_call(setup->run, chunk, (RunCall){.codelet = codelet, .layer = layer});
}

static void forward(Setup *setup, const RunChunk *chunk, Level level)
{
    const char *suffix = level == LEVEL_ALL ? "all" : level == LEVEL_LEAN ? "lean" : "bare";
    call(setup, chunk, "embed_forward", -1);
    for (int layer = 0; layer < setup->model->layers; layer++) {
        call(setup, chunk, region_format(setup->region, "pre_forward_%s", suffix), layer);
        call(setup, chunk, level >= LEVEL_BARE ? "core_forward_bare" : "core_forward_all", layer);
        call(setup, chunk, region_format(setup->region, "post_forward_%s", suffix), layer);
    }
}

static void backward_call(Setup *setup, const RunChunk *chunk, const char *codelet, int layer,
                          bool first)
{
    codelet_run_call(
        setup->run, chunk,
        (RunCall){.codelet = codelet, .layer = layer, .flags = first ? PW_CALL_FIRST : 0});
}

/* The value of layer `layer` that `forward` left is made again from garbage. */
static void rebuild(Setup *setup, const RunChunk *chunk, int layer, Level level)
{
    const char *values[] = {"normed",  "scale",  "q",       "attended", "lse", "hidden",
                            "normed2", "scale2", "gate_up", "act",      "qkv", "qk_scale"};
    for (int i = 0; i < setup->run->nbuffers; i++)
        for (int j = 0; j < COUNT(values); j++)
            if (strcmp(setup->run->buffers[i].key,
                       region_format(setup->region, "C%d.L%d.%s", chunk->number, layer,
                                     values[j])) == 0)
                memset(setup->run->arena + setup->run->buffers[i].offset, 0xff,
                       (size_t)setup->run->buffers[i].bytes);
    call(setup, chunk, "pre_rebuild_all", layer);
    call(setup, chunk, "core_forward_all", layer);
    call(setup, chunk, level == LEVEL_NONE ? "post_forward_all" : "post_rebuild_all", layer);
}

static void backward(Setup *setup, const RunChunk *chunk, Way way, bool first)
{
    const char *level  = way.level == LEVEL_LEAN ? "lean" : "all";
    const char *half   = way.split ? "_dx" : "";
    int         layers = (int)setup->model->layers;
    if (way.level >= LEVEL_BARE)
        for (int layer = 0; layer < layers; layer++)
            rebuild(setup, chunk, layer, way.level);
    backward_call(setup, chunk, "head_loss", layers, first);
    for (int layer = layers - 1; layer >= 0; layer--) {
        const char *post = region_format(setup->region, "post_backward_%s%s", level, half);
        const char *pre  = region_format(setup->region, "pre_backward_%s%s", level, half);
        backward_call(setup, chunk, post, layer, first);
        backward_call(setup, chunk, "core_backward", layer, first);
        backward_call(setup, chunk, pre, layer, first);
    }
    backward_call(setup, chunk, "embed_backward", -1, first);
    for (int layer = layers - 1; way.split && layer >= 0; layer--) {
        backward_call(setup, chunk, region_format(setup->region, "post_backward_%s_dw", level),
                      layer, first);
        backward_call(setup, chunk, region_format(setup->region, "pre_backward_%s_dw", level),
                      layer, first);
    }
}

static void step(Setup *setup, Chunks chunks, Way way)
{
    for (int i = 0; i < chunks.nchunks; i++)
        forward(setup, &chunks.chunks[i], way.level);
    for (int i = chunks.nchunks - 1; i >= 0; i--)
        backward(setup, &chunks.chunks[i], way, i == chunks.nchunks - 1);
}

static double loss(Setup *setup, Chunks chunks)
{
    double sum = 0;
    for (int i = 0; i < chunks.nchunks; i++) {
        const RunChunk *chunk = &chunks.chunks[i];
        forward(setup, chunk, LEVEL_BARE);
        call(setup, chunk, "head_evaluate", (int)setup->model->layers);
        const double *losses =
            codelet_run_buffer(setup->run, region_format(setup->region, "C%d.loss", chunk->number),
                               chunk->nsegments * (int64_t)sizeof(double));
        for (int s = 0; s < chunk->nsegments; s++)
            sum += losses[s];
    }
    return sum * setup->run->step.inverse_weight;
}

/* ---- gradients ---- */

static int64_t count_of(const ModelWeight *weight)
{
    return weight->rows * weight->columns;
}

/* All gradients, one after another, as doubles. */
static double *gradients(Setup *setup, int64_t *count)
{
    const Model *model = setup->model;
    *count             = 0;
    for (int i = 0; i < model->nweights; i++)
        *count += model->layers * count_of(&model->weights[i]);
    double *all = REGION_ARRAY(setup->region, double, *count), *at = all;
    for (int layer = 0; layer < model->layers; layer++)
        for (int i = 0; i < model->nweights; i++) {
            const void *gradient = codelet_run_weight(setup->run, i, layer, true);
            for (int64_t k = 0; k < count_of(&model->weights[i]); k++)
                *at++ = codelet_run_real(setup->run, gradient, k);
        }
    return all;
}

/* Moves a weight's values along a direction that depends on the seed alone. */
static void move(Setup *setup, int weight, int layer, double distance)
{
    void    *at    = codelet_run_weight(setup->run, weight, layer, false);
    uint64_t state = (uint64_t)(100 + weight);
    for (int64_t k = 0; k < count_of(&setup->model->weights[weight]); k++)
        codelet_run_set(setup->run, at, k,
                        codelet_run_real(setup->run, at, k) + distance * noise(&state));
}

static double along(Setup *setup, int gradient_of, int weight, int layer)
{
    const void *at    = codelet_run_weight(setup->run, gradient_of, layer, true);
    uint64_t    state = (uint64_t)(100 + weight);
    double      sum   = 0;
    for (int64_t k = 0; k < count_of(&setup->model->weights[weight]); k++)
        sum += codelet_run_real(setup->run, at, k) * noise(&state);
    return sum;
}

static void check_by_differences(Setup setup)
{
    const double distance = 1e-5;
    step(&setup, in_chunks, (Way){LEVEL_ALL, false});
    for (int layer = 0; layer < setup.model->layers; layer++)
        for (int i = 0; i < setup.model->nweights; i++) {
            if (setup.model->weights[i].tied >= 0)
                continue;
            double derived = along(&setup, i, i, layer);
            for (int j = 0; j < setup.model->nweights; j++)
                if (setup.model->weights[j].tied == i)
                    derived += along(&setup, j, i, layer);
            move(&setup, i, layer, distance);
            double above = loss(&setup, in_one);
            move(&setup, i, layer, -2 * distance);
            double below = loss(&setup, in_one);
            move(&setup, i, layer, distance);
            double measured = (above - below) / (2 * distance);
            cr_expect_lt(fabs(derived - measured), 1e-7 * (1 + fabs(measured)),
                         "%s of layer %d: derived %.12g, measured %.12g",
                         setup.model->weights[i].name, layer, derived, measured);
            cr_expect_gt(fabs(measured), 1e-6, "%s: the direction says nothing",
                         setup.model->weights[i].name);
        }
    tear_down(setup);
}

Test(codelet_gradients, agree_with_differences)
{
    check_by_differences(set_up((TinyShape){0}, 8));
}

Test(codelet_gradients, agree_with_differences_when_tied)
{
    check_by_differences(set_up((TinyShape){.tied = true, .heads = 4, .kv_heads = 4}, 8));
}

Test(codelet_gradients, of_qwen3_agree_with_differences)
{
    check_by_differences(set_up_qwen3(8));
}

static void check_bits(Setup setup)
{
    static const Way ways[] = {{LEVEL_ALL, true},    {LEVEL_LEAN, false}, {LEVEL_LEAN, true},
                               {LEVEL_INPUT, false}, {LEVEL_INPUT, true}, {LEVEL_NONE, false}};
    int64_t          count;
    step(&setup, in_chunks, (Way){LEVEL_ALL, false});
    double *expected = gradients(&setup, &count);
    for (int i = 0; i < COUNT(ways); i++) {
        step(&setup, in_chunks, ways[i]);
        cr_expect_eq(memcmp(gradients(&setup, &count), expected, (size_t)count * sizeof(double)), 0,
                     "level %s%s", level_names[ways[i].level], ways[i].split ? ", split" : "");
    }
    step(&setup, in_one, (Way){LEVEL_ALL, false});
    double *of_one = gradients(&setup, &count), difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += (of_one[i] - expected[i]) * (of_one[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    cr_expect_lt(sqrt(difference / size), setup.run->real_bytes == 8 ? 1e-14 : 1e-6);
    tear_down(setup);
}

Test(codelet_gradients, levels_and_halves_change_no_bit)
{
    check_bits(set_up((TinyShape){.layers = 3}, 4));
}

Test(codelet_gradients, levels_and_halves_change_no_bit_in_double)
{
    check_bits(set_up((TinyShape){.layers = 3}, 8));
}

Test(codelet_gradients, of_qwen3_have_the_same_bits_at_every_level)
{
    check_bits(set_up_qwen3(4));
}
