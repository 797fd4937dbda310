/* Jobs: what the language means, and what it says of the broken ones (tests/errors, one a file: the
 * job and, in a comment at its end, the --set texts and the message, in which "..." stands for
 * anything). */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/forms/job.h"
#include "gen/job/emit.h"
#include "gen/job/field_line.h"
#include "tests/support/own_folder.h"

static void set_up(void)
{
    open_folder();
    cr_assert(chdir(folder) == 0);
}

TestSuite(job, .init = set_up, .fini = close_folder);

static const char *const longdocs =
    "return job {\n"
    "  model   = llama { layers = 6, hidden = 256, heads = 4, kv_heads = 4, ffn = 704,\n"
    "                    vocab = \"bytes\" },\n"
    "  data    = text { files = \"corpus\", context = \"2K\", long = \"split\", held_out = \"2%\" "
    "},\n"
    "  cluster = cpu { ranks = 2, memory = \"1 GiB\" },\n"
    "  layout  = { stages = 2 },\n"
    "  policy  = { \"seq1f1b\", slices = 4 },\n"
    "  train   = { batch = tokens \"32K\", steps = 300, seed = 1, clip = 1.0,\n"
    "              optimizer = adamw { lr = \"1e-3\", weight_decay = 0.1 },\n"
    "              curve = cosine { warmup = 20, final = \"1e-4\" },\n"
    "              save = { every = 100, keep = 2 }, evaluate = { every = 50 } },\n"
    "}\n";

static void write_text(const char *name, const char *text)
{
    Error error;
    cr_assert(file_write(path_join(region, folder, name), text, strlen(text), &error), "%s",
              error.text);
}

static Job *parse(const char *text, const char *const *sets)
{
    Error error;
    write_text("job.lua", text);
    Job *job = job_parse(region, "job.lua", sets, &error);
    cr_assert(job, "%s\n%s", text, error.text);
    return job;
}

/* A job whose one field is this. */
static Job *parse_field(const char *name, const char *value)
{
    return parse(longdocs,
                 (const char *const[]){region_format(region, "%s=%s", name, value), NULL});
}

static void expect_error(const char *text, const char *expected)
{
    Error error;
    write_text("job.lua", text);
    cr_assert_null(job_parse(region, "job.lua", NULL, &error), "%s\nis accepted", text);
    cr_expect(strstr(error.text, expected), "%s\nsays    %s\nwithout %s", text, error.text,
              expected);
    cr_expect_eq(error.status, EXIT_INPUT);
}

static const char *origin(const Job *job, const char *field)
{
    json_t     *tree  = json_loads(job->tree, 0, NULL);
    const char *place = json_string_value(json_object_get(json_object_get(tree, "origin"), field));
    const char *copy  = region_copy(region, place ? place : "nowhere");
    json_decref(tree);
    return copy;
}

/* --- What the language means --- */

Test(job, the_issue_s_example)
{
    Job *job = parse(longdocs, NULL);
    cr_expect_eq(job->data.kind, DATA_TEXT);
    cr_expect_str_eq(job->data.path, "corpus");
    cr_expect_eq(job->data.context, 2048);
    cr_expect_eq(job->data.too_long, LONG_SPLIT);
    cr_expect_eq(job->data.held_out, 0.02);
    cr_expect_eq(job->nranks, 2);
    cr_expect_eq(job->nstages, 2);
    cr_expect_null(job->stage_layers);
    cr_expect_eq(job->memory, (int64_t)1 << 30);
    cr_expect_str_eq(job->policy, "seq1f1b");
    cr_expect_str_eq(job->policy_options, "{\"slices\":4}");
    cr_expect_eq(job->train.batch_tokens, 32768);
    cr_expect_eq(job->train.batch_sequences, 0);
    cr_expect_eq(job->train.learning_rate, 1e-3);
    cr_expect_eq(job->train.beta2, 0.95);
    cr_expect_eq(job->train.curve, CURVE_COSINE);
    cr_expect_eq(job->train.final_rate, 1e-4);
    cr_expect_eq(job->train.evaluate_every, 50);
    cr_expect_eq(job->model->vocabulary, 257);
    cr_expect_eq(job->model->head_dim, 64);
    cr_expect_str_eq(job->model->tokenizer, "bytes");
    cr_expect_eq(job->model->context, 2048);
}

Test(job, origins)
{
    Job *job = parse(longdocs, (const char *const[]){"train.steps=7", "policy=gpipe", NULL});
    cr_expect_str_eq(origin(job, "train.batch.count"), "job.lua:8");
    cr_expect_str_eq(origin(job, "train.save.keep"), "job.lua:11");
    cr_expect_str_eq(origin(job, "train.curve.warmup"), "job.lua:10");
    cr_expect_str_eq(origin(job, "model.vocab"), "job.lua:3");
    cr_expect_str_eq(origin(job, "model.tied"), "default");
    cr_expect_str_eq(origin(job, "train.steps"), "--set");
    cr_expect_eq(job->train.steps, 7);
    cr_expect_str_eq(job->policy, "gpipe");
    cr_expect_str_eq(job->policy_options, "{}");
    cr_expect_str_eq(job->sets[1], "policy=gpipe");
}

Test(job, reads_what_it_prints)
{
    Error error;
    Job  *job = parse(longdocs, (const char *const[]){"layout.borders={0, 2.5, 6}", NULL});
    cr_expect_eq(job->stage_layers[1], 2.5);
    Text first = text_new(region), second = text_new(region);
    job_print(job, &first);
    Job *again = job_read(region, first.at, "job.json", &error);
    cr_assert(again, "%s", error.text);
    job_print(again, &second);
    cr_expect_str_eq(first.at, second.at);
    cr_expect_eq(again->stage_layers[1], 2.5);
    cr_expect_eq(again->train.learning_rate, job->train.learning_rate);
}

Test(job, the_same_in_every_run)
{
    Text first = text_new(region);
    job_print(parse(longdocs, NULL), &first);
    for (int i = 0; i < 20; i++) {
        Text again = text_new(region);
        job_print(parse(longdocs, NULL), &again);
        cr_assert_str_eq(first.at, again.at);
    }
}

Test(job, defaults)
{
    Job *job = parse(
        "return job { model = llama { layers = 2, hidden = 64, heads = 4, ffn = 96,\n"
        "vocab = 'bytes' }, data = text 'corpus', train = { batch = sequences(3), steps = 9 } }",
        NULL);
    cr_expect_eq(job->nranks, 1);
    cr_expect_eq(job->nstages, 1);
    cr_expect_eq(job->model->kv_heads, 4);
    cr_expect_eq(job->train.batch_sequences, 3);
    cr_expect_eq(job->train.batch_tokens, 0);
    cr_expect_eq(job->train.curve, CURVE_CONSTANT);
    cr_expect_eq(job->train.final_rate, job->train.learning_rate);
    cr_expect_eq(job->train.seed, 1);
    cr_expect_null(job->train.from);
}

Test(job, kinds_of_data)
{
    Job *job = parse_field("data", "jsonl { files = 'x.jsonl', text = 'body', context = '1K' }");
    cr_expect_eq(job->data.kind, DATA_JSONL);
    cr_expect_str_eq(job->data.text_key, "body");
    cr_expect_str_eq(job->data.completion_key, "completion");
    job = parse_field("data", "token_set 'corpus/tokens'");
    cr_expect_eq(job->data.kind, DATA_TOKEN_SET);
    cr_expect_str_eq(job->data.path, "corpus/tokens");
    job = parse_field("data", "lengths 'lengths.json'");
    cr_expect_eq(job->data.kind, DATA_LENGTHS);
    job = parse_field("data", "lengths.from_file { path = 'LENGTHS.txt', context = '24K' }");
    cr_expect_eq(job->data.kind, DATA_LENGTHS);
    cr_expect_str_eq(job->data.path, "LENGTHS.txt");
    cr_expect_eq(job->data.context, 24 * 1024);
}

Test(job, sizes_and_shares)
{
    cr_expect_eq(parse_field("cluster.memory", "1.5 GiB")->memory, (int64_t)3 << 29);
    cr_expect_eq(parse_field("cluster.memory", "2 GB")->memory, 2000000000);
    cr_expect_eq(parse_field("cluster.memory", "2000000")->memory, 2000000);
    cr_expect_eq(parse_field("data.held_out", "0.25")->data.held_out, 0.25);
    cr_expect_eq(parse_field("data.held_out", "25%")->data.held_out, 0.25);
    cr_expect_eq(parse_field("data.context", "1500")->data.context, 1500);
    cr_expect_eq(parse_field("train.clip", "0")->train.clip, 0);
    cr_expect_eq(parse_field("train.optimizer.lr", "'3e-4'")->train.learning_rate, 3e-4);
}

Test(job, curves)
{
    Job *job = parse_field("train.curve", "wsd { warmup = 10 }");
    cr_expect_eq(job->train.curve, CURVE_WSD);
    cr_expect_eq(job->train.decay, 60); /* a fifth of the steps */
    cr_expect_eq(job->train.final_rate, 0);
    job = parse_field("train.curve", "cosine {}");
    cr_expect_float_eq(job->train.final_rate, 1e-4, 1e-18);
}

Test(job, stages_by_default_as_many_as_ranks)
{
    Job *job = parse(longdocs, (const char *const[]){"layout={}", "cluster.ranks=3", NULL});
    cr_expect_eq(job->nstages, 3);
    job = parse(longdocs, (const char *const[]){"layout.stages=4", NULL});
    cr_expect_eq(job->nstages, 4);
    cr_expect_eq(job->nranks, 2);
}

Test(job, includes_change_the_hash)
{
    const char *text = "return job(include 'shared.lua')\n";
    write_text("shared.lua", longdocs + strlen("return job "));
    Error error;
    write_text("shared.lua", region_format(region, "return %s", longdocs + strlen("return job ")));
    Job *job = parse(text, NULL);
    cr_expect_eq(strlen(job->source_hash), 64);
    write_text("shared.lua",
               region_format(region, "return %s--", longdocs + strlen("return job ")));
    Job *again = job_parse(region, "job.lua", NULL, &error);
    cr_assert(again, "%s", error.text);
    cr_expect_str_neq(job->source_hash, again->source_hash);
}

/* --- Hugging Face's config.json --- */

static const char *const llama3_config =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": "
    "4096,\n"
    " \"intermediate_size\": 14336, \"num_hidden_layers\": 32, \"num_attention_heads\": 32,\n"
    " \"num_key_value_heads\": 8, \"vocab_size\": 128256, \"rms_norm_eps\": 1e-5,\n"
    " \"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 8.0, \"low_freq_factor\": 1.0,\n"
    " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192,\n"
    " \"rope_type\": \"llama3\"}, \"tie_word_embeddings\": false, \"attention_bias\": false%s}\n";

static const char *const hf_job =
    "return job { model = hf 'config.json', data = token_set 'tokens',\n"
    "  train = { batch = tokens '32K', steps = 1 } }\n";

Test(job, hugging_face_shapes)
{
    write_text("config.json", region_format(region, llama3_config, ""));
    Job *job = parse(hf_job, NULL);
    cr_expect_eq(job->model->hidden, 4096);
    cr_expect_eq(job->model->kv_heads, 8);
    cr_expect_eq(job->model->head_dim, 128);
    cr_expect_eq(job->model->vocabulary, 128256);
    cr_expect_str_eq(job->model->tokenizer, "none");
    cr_expect_str_eq(job->model->rope.type, "llama3");
    cr_expect_eq(job->model->rope.original_context, 8192);
    cr_expect_eq(model_parameters(job->model), 8030261248); /* as the model's card says */
    job = parse(hf_job, (const char *const[]){"model.layers=4", "model.vocab=bytes", NULL});
    cr_expect_eq(job->model->layers, 4);
    cr_expect_str_eq(job->model->tokenizer, "bytes");
}

Test(job, hugging_face_defaults)
{
    write_text("config.json", "{\"model_type\": \"llama\"}");
    Job *job = parse(hf_job, NULL);
    cr_expect_eq(model_parameters(job->model), 6738415616); /* Llama-7B */
    cr_expect_eq(job->model->epsilon, 1e-6);
    cr_expect_eq(job->model->rope_theta, 10000);
    write_text("config.json", "{\"rope_theta\": 5, \"rope_parameters\": {\"rope_theta\": 7.5}}");
    cr_expect_eq(parse(hf_job, NULL)->model->rope_theta, 7.5); /* the newer form wins */
}

Test(job, hugging_face_config_is_read_to_its_end)
{
    static const char text[] = "{\"model_type\": \"llama\"}\0{";
    Error             error;
    cr_assert(file_write(path_join(region, folder, "config.json"), text, sizeof text - 1, &error));
    expect_error(hf_job, "no file that holds one JSON object");
}

/* The shape goes out as a config.json and comes in again as the same shape. */
static const char *through_config(const Job *job)
{
    Text config = text_new(region);
    emit_config(job->model, &config);
    write_text("config.json", config.at);
    Text        model = text_new(region), again = text_new(region);
    const char *sets[] = {"data.context=96", "model.vocab=bytes", NULL};
    bool        bytes  = strcmp(job->model->tokenizer, "bytes") == 0;
    model_print(job->model, &model);
    model_print(parse(hf_job, bytes ? sets : NULL)->model, &again);
    cr_expect_str_eq(model.at, again.at);
    return config.at;
}

Test(job, hugging_face_config_goes_both_ways)
{
    static const char *const scalings[] = {
        "nil", "{ type = 'linear', factor = 4, original_context = 96 }",
        "{ type = 'llama3', factor = 8, low_frequency = 2, high_frequency = 5 }",
        "{ type = 'yarn', factor = 4, original_context = 64, beta_fast = 30 }"};
    for (int i = 0; i < 2 * COUNT(scalings); i++) {
        const char *source = region_format(
            region,
            "return job { model = %s { layers = 2, hidden = 64, heads = 4, kv_heads = 2,\n"
            "  ffn = 96, vocab = 'bytes', epsilon = 3e-6, tied = true, rope_scaling = %s },\n"
            "  data = token_set { 'tokens', context = 96 },\n"
            "  train = { batch = tokens '32K', steps = 1 } }\n",
            i % 2 ? "qwen3" : "llama", scalings[i / 2]);
        through_config(parse(source, NULL));
    }
}

Test(job, hugging_face_shape_of_qwen3)
{
    write_text("config.json",
               "{\"architectures\": [\"Qwen3ForCausalLM\"], \"model_type\": \"qwen3\",\n"
               " \"attention_bias\": false, \"head_dim\": 128, \"hidden_size\": 1024,\n"
               " \"intermediate_size\": 3072, \"max_window_layers\": 28,\n"
               " \"num_attention_heads\": 16, \"num_hidden_layers\": 28,\n"
               " \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-06, \"rope_scaling\": null,\n"
               " \"rope_theta\": 1000000, \"sliding_window\": null,\n"
               " \"tie_word_embeddings\": true, \"use_sliding_window\": false,\n"
               " \"vocab_size\": 151936}\n");
    Job *job = parse(hf_job, NULL);
    cr_expect_str_eq(job->model->family, "qwen3");
    cr_expect_eq(job->model->head_dim, 128);               /* not 1024 / 16 */
    cr_expect_eq(model_parameters(job->model), 596049920); /* Qwen3-0.6B */
    write_text("config.json", "{\"model_type\": \"qwen3\", \"use_sliding_window\": true}");
    expect_error(hf_job, "config.json: use_sliding_window: found \"true\"");
}

Test(job, hugging_face_config_has_both_forms_of_rope)
{
    write_text("config.json", region_format(region, llama3_config, ""));
    const char *text   = through_config(parse(hf_job, NULL));
    json_t     *config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(config, "%s", text);
    static const char *const forms[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) {
        json_t *rope = json_object_get(config, forms[i]);
        cr_expect_str_eq(json_string_value(json_object_get(rope, "rope_type")), "llama3");
        cr_expect_eq(json_real_value(json_object_get(rope, "high_freq_factor")), 4);
        cr_expect_eq(json_integer_value(json_object_get(rope, "original_max_position_embeddings")),
                     8192);
    }
    cr_expect_str_eq(json_string_value(json_object_get(config, "dtype")),
                     json_string_value(json_object_get(config, "torch_dtype")));
    json_decref(config);
}

Test(job, hugging_face_keys_that_are_not_built)
{
    static const char *const cases[][2] = {
        {"\"model_type\": \"gemma\"", "config.json: model_type: found \"gemma\", expected one of"},
        {"\"attention_bias\": true", "config.json: attention_bias: found \"true\""},
        {"\"mlp_bias\": true", "config.json: mlp_bias: found"},
        {"\"hidden_act\": \"gelu\"", "config.json: hidden_act: found \"gelu\""},
        {"\"pretraining_tp\": 2", "config.json: pretraining_tp: found \"2\""},
        {"\"partial_rotary_factor\": 0.5", "config.json: partial_rotary_factor: found"},
        {"\"quantization_config\": {}", "config.json: quantization_config: found"},
        {"\"sliding_window\": 4096", "config.json: sliding_window: found \"4096\""},
        {"\"rope_scaling\": {\"rope_type\": \"longrope\"}", "model.rope_scaling.type: found"},
        {"\"num_attention_heads\": 5", "model.heads: found \"5\""},
        {"\"hidden_size\": \"4096\"", "model.hidden: found \"4096\""},
        {"\"hidden_size\": 64, \"hidden_size\": 128", "one JSON object"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        write_text("config.json", region_format(region, "{%s}", cases[i][0]));
        expect_error(hf_job, cases[i][1]);
    }
}

/* --- Lines --- */

Test(job, lines_are_found_behind_comments_and_texts)
{
    const char *source = "local x = { layers = 1 }\n"
                         "f(llama { -- layers = 2\n"
                         "  --[[ layers = 3\n"
                         "  ]] a = \"layers = 4\", b = [==[ ]] layers =\n"
                         "  5 ]==], c = { layers = 6 }, d = layers == 7,\n"
                         "  layers = 8, e = {\n"
                         "    layers = 9 } })\n";
    cr_expect_eq(field_line(source, 2, "llama", "layers"), 6);
    cr_expect_eq(field_line(source, 2, "llama", "e.layers"), 7);
    cr_expect_eq(field_line(source, 2, "llama", "c.layers"), 5);
    cr_expect_eq(field_line(source, 2, "llama", "d"), 5);
    cr_expect_eq(field_line(source, 2, "llama", "missing"), 0);
    cr_expect_eq(field_line(source, 1, "llama", "layers"), 0);
    cr_expect_eq(field_line(source, 2, "cpu", "layers"), 0);
    cr_expect_eq(field_line(source, 99, "llama", "layers"), 0);
    cr_expect_eq(field_line("llama { x = \"", 1, "llama", "y"), 0);
}

/* --- Broken jobs --- */

/* Whether `text` is `pattern`, in which "..." stands for anything. */
static bool matches(const char *text, const char *pattern)
{
    if (strncmp(pattern, "...", 3) == 0) {
        for (; *text; text++)
            if (matches(text, pattern + 3))
                return true;
        return pattern[3] == 0;
    }
    if (!*pattern || !*text)
        return *pattern == *text;
    return *text == *pattern && matches(text + 1, pattern + 1);
}

/* Splits the comment at the end into --set texts and the message. */
static char *expected_message(char *text, const char **sets)
{
    int   nsets = 0;
    char *at = NULL, *end = NULL;
    for (char *next = text; (next = strstr(next, "--[[\n")); next++)
        at = next + 5;
    cr_assert(at && (end = strstr(at, "\n]]")), "a case ends in a comment with its message");
    *end = 0;
    while (strncmp(at, "--set ", 6) == 0) {
        sets[nsets++] = at + 6;
        at            = strchr(at, '\n');
        *at++         = 0;
    }
    sets[nsets] = NULL;
    return at;
}

static void run_case(const char *name)
{
    Error       error;
    const char *sets[8];
    char       *message = expected_message(file_read(region, name, 1 << 16, NULL, &error), sets);
    Job        *job     = job_parse(region, name, sets, &error);
    cr_assert_null(job, "%s is accepted", name);
    cr_expect(matches(error.text, message), "%s\nsays %s\nnot  %s", name, error.text, message);
    cr_expect_eq(error.status, EXIT_INPUT, "%s ends with status %d", name, error.status);
}

Test(job, broken_jobs)
{
    Error       error;
    int         count;
    const char *cases = path_join(region, path_join(region, data_folder(), "tests"), "errors");
    char      **names = file_names(region, cases, &count, &error);
    cr_assert(names, "%s", error.text);
    cr_assert(chdir(cases) == 0);
    int jobs = 0, newcomers = 0;
    for (int i = 0; i < count; i++) {
        if (!text_ends(names[i], ".lua"))
            continue;
        run_case(names[i]);
        jobs++;
        newcomers += strncmp(names[i], "new_user", 8) == 0;
    }
    cr_expect_geq(jobs, 40);
    cr_expect_geq(newcomers, 10);
}
