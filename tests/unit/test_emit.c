/* What emit prints compiles, and says of the job what layout and model say. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>

#include "gen/job/emit.h"
#include "runtime/trainer.h"
#include "tests/support/compiled_codelets.h"
#include "tests/support/tiny_model.h"

typedef struct Setup {
    Region   *region;
    Model    *model;
    Codelets *codelets;
    Layout    layout;
    Job       job;
} Setup;

/* Two ranks: embedding and layer 0 live on rank 0, the rest on rank 1; layer 0's post there too. */
static Setup set_up(TinyShape shape)
{
    Setup setup    = {.region = region_new()};
    Error error    = {0};
    setup.model    = tiny_model(setup.region, shape);
    setup.codelets = differentiate(setup.region, setup.model, 4, &error);
    cr_assert(setup.codelets && fuse(setup.region, setup.codelets, setup.model, &error), "%s",
              error.text);
    int nhomes   = 2 * ((int)setup.model->layers + 2);
    setup.layout = (Layout){.nranks = 2, .homes = REGION_ARRAY(setup.region, int, nhomes)};
    for (int i = 3; i < nhomes; i++)
        setup.layout.homes[i] = 1;
    setup.layout.ranks = REGION_ARRAY(setup.region, RankLayout, 2);
    layout_place_statics(setup.region, &setup.layout, setup.model);
    setup.job =
        (Job){.path  = "jobs/a \"b\".lua",
              .tree  = "{\"model\": {}, \"data\": {\"path\": \"a\"}, \"policy\": {}, "
                       "\"train\": {\"lr\": 0.001, \"list\": [true, {\"seed\": 3}]}, "
                       "\"layout\": {}, \"cluster\": {}, \"origin\": {\"data.path\": \"x\"}}",
              .train = {.steps         = 12,
                        .seed          = 18446744073709551615u,
                        .learning_rate = 1e-3,
                        .curve         = CURVE_WSD,
                        .clip          = 0.5}};
    return setup;
}

static Emitted emit_all(Setup *setup)
{
    Emitted files;
    Error   error = {0};
    cr_assert(emit(setup->region, &setup->job, setup->model, setup->codelets, &setup->layout,
                   (JobHashes){"abc", "", "", "", "def"}, 0, &files, &error),
              "%s", error.text);
    return files;
}

static const PwJob *load(Setup *setup, void **library)
{
    Emitted files = emit_all(setup);
    *library      = compile_and_load(setup->region, &files, (Compiling){4, false, SOURCE_FOLDER});
    const PwJob *job = dlsym(*library, "pw_job");
    cr_assert(job);
    return job;
}

static const PwTensor *tensor_of(const PwJob *job, const char *name)
{
    for (int i = 0; i < job->ntensors; i++)
        if (strcmp(job->tensors[i].name, name) == 0)
            return &job->tensors[i];
    return NULL;
}

Test(emit, says_where_every_tensor_lives)
{
    void           *library;
    Setup           setup = set_up((TinyShape){.layers = 3});
    const PwJob    *job   = load(&setup, &library);
    const PwTensor *q     = tensor_of(job, "model.layers.0.self_attn.q_proj.weight");
    const PwTensor *v     = tensor_of(job, "model.layers.0.self_attn.v_proj.weight");
    const PwTensor *up    = tensor_of(job, "model.layers.2.mlp.up_proj.weight");
    cr_assert(q && v && up);
    cr_expect_eq(job->ntensors, 3 + 9 * 3);
    cr_expect(q->rank == 0 && v->rank == 0 && up->rank == 1);
    cr_expect(q->rows == 32 && v->rows == 16 && up->rows == 48 && up->columns == 32);
    cr_expect_eq(v->weight - q->weight, (32 + 16) * 32 * 4);
    cr_expect_eq(v->moment2 - q->moment2, (32 + 16) * 32 * 4);
    cr_expect_eq(up->gradient, layout_static(&setup.layout, 1, STATIC_GRADIENT,
                                             model_weight(setup.model, "gate_up"), 2)
                                       ->offset +
                                   48 * 32 * 4);
    const PwTensor *gain = tensor_of(job, "model.layers.1.input_layernorm.weight");
    cr_expect(gain && gain->deviation == 0 && gain->rows == 32 && gain->columns == 1,
              "a gain is a vector, as Hugging Face's folders have it");
    cr_expect_eq(job->static_bytes[1], setup.layout.ranks[1].static_bytes);
    dlclose(library);
    region_free(setup.region);
}

Test(emit, says_what_the_job_says)
{
    void        *library;
    Setup        setup = set_up((TinyShape){0});
    const PwJob *job   = load(&setup, &library);
    cr_expect_str_eq(job->name, "a \"b\".lua");
    cr_expect_str_eq(job->job_hash, "abc");
    cr_expect_str_eq(job->data_hash, "");
    cr_expect_eq(strlen(job->code_hash), 64u);
    cr_expect(job->nranks == 2 && job->kv_heads == 2 && job->context == 256 && job->steps == 12);
    cr_expect(job->seed == 18446744073709551615u && job->curve == 2 && job->learning_rate == 1e-3);
    cr_expect_eq(job->rope_frequency[0], 1);
    cr_expect_eq(job->ncodelets, setup.codelets->count);
    for (int i = 0; i < job->ncodelets; i++)
        cr_expect(job->codelets[i].run &&
                  strcmp(job->codelets[i].name, setup.codelets->items[i].name) == 0);
    for (int i = 0; i < job->ntables; i++)
        cr_expect_eq(
            job->tables[i].address,
            layout_static(&setup.layout, job->tables[i].rank, STATIC_TABLE, -1, -1)->offset);
    cr_expect_eq(job->ntables, 2);
    static const char *const fields[][2] = {{"data.path", "\"a\""},
                                            {"train.lr", "0.001"},
                                            {"train.list[0]", "true"},
                                            {"train.list[1].seed", "3"},
                                            {"SHA-256 of the policy's file or plans", "def"}};
    cr_assert_eq(job->nfields, COUNT(fields));
    for (int i = 0; i < COUNT(fields); i++) {
        const PwField *field = &job->fields[i];
        cr_expect(!strcmp(field->name, fields[i][0]) && !strcmp(field->value, fields[i][1]),
                  "%s: %s", field->name, field->value);
    }
    /* products of both layers and the head, forward and twice that backward */
    cr_expect_eq(job->useful_flops_per_token,
                 6.0 * (2 * (64 * 32 + 32 * 32 + 96 * 32 + 32 * 48) + 61 * 32));
    dlclose(library);
    region_free(setup.region);
}

/* The fields of a job whose policy has these options. */
static const PwJob *load_options(Setup *setup, const char *options, void **library)
{
    setup->job.tree = region_format(setup->region, "{\"policy\": {\"options\": {%s}}}", options);
    return load(setup, library);
}

static const char *field_of(const PwJob *job, const char *name)
{
    for (int i = 0; i < job->nfields; i++)
        if (strcmp(job->fields[i].name, name) == 0)
            return job->fields[i].value;
    return "no such field";
}

/* Each section that a job lacks is left out. Two characters of two bytes meet at the cut. */
Test(emit, long_fields_are_shortened)
{
    void  *library, *other;
    Setup  setup = set_up((TinyShape){0});
    size_t bytes = 1200000;
    char  *text  = region_alloc(setup.region, bytes + 1);
    memset(text, 'x', bytes);
    memcpy(text + 198, "\xc3\xa9\xc3\xa9", 4);
    text[bytes]          = 0;
    const char  *options = region_format(setup.region, "\"%s\": 1, \"text\": \"%s\"", text, text);
    const PwJob *job     = load_options(&setup, options, &library);
    const char *value = field_of(job, "policy.options.text"), *end = "... (1200002 bytes, SHA-256 ";
    cr_expect(strlen(value) < 300 && strncmp(value + 1, text, 198) == 0, "%.300s", value);
    cr_expect_eq(strstr(value, end), value + 199, "%.300s", value);
    cr_assert_eq(job->nfields, 3);
    cr_expect_lt(strlen(job->fields[0].name), 300u);
    text[bytes - 1] = 'y';
    options         = region_format(setup.region, "\"text\": \"%s\"", text);
    cr_expect_str_neq(field_of(load_options(&setup, options, &other), "policy.options.text"),
                      value);
    dlclose(library);
    dlclose(other);
    region_free(setup.region);
}

/* So that every manifest can be read: in JSON a byte may become six, and each field has some
 * around it. */
Test(emit, all_fields_together_are_bounded)
{
    void   *library;
    Setup   setup   = set_up((TinyShape){0});
    Text    options = text_new(setup.region);
    int64_t bytes   = 0;
    for (int i = 0; i < 9000; i++)
        text_add(&options, "%s\"option%d\": \"%0100d\"", i ? ", " : "", i, i);
    const PwJob *job = load_options(&setup, options.at, &library);
    for (int i = 0; i < job->nfields; i++)
        bytes += (int64_t)(6 * (strlen(job->fields[i].name) + strlen(job->fields[i].value)) + 16);
    cr_expect(bytes > 1 << 19 && bytes < (1 << 20) - 4096, "%lld bytes", (long long)bytes);
    char further[40];
    snprintf(further, sizeof further, "%d, SHA-256 ", 9000 - (job->nfields - 2));
    cr_expect(strstr(field_of(job, "further fields"), further), "%s",
              field_of(job, "further fields"));
    cr_expect_str_eq(field_of(job, "SHA-256 of the policy's file or plans"), "def");
    dlclose(library);
    region_free(setup.region);
}

/* A manifest with a name twice is none. */
Test(emit, names_of_fields_differ)
{
    void        *library;
    Setup        setup = set_up((TinyShape){0});
    const PwJob *job =
        load_options(&setup, "\"a.b\": 1, \"a\": {\"b\": 2}, \"c\": [3], \"c[0]\": 4", &library);
    cr_expect_str_eq(field_of(job, "policy.options.\"a.b\""), "1");
    cr_expect_str_eq(field_of(job, "policy.options.a.b"), "2");
    cr_expect_str_eq(field_of(job, "policy.options.c[0]"), "3");
    cr_expect_str_eq(field_of(job, "policy.options.\"c[0]\""), "4");
    dlclose(library);
    region_free(setup.region);
}

Test(emit, a_tied_head_is_no_tensor)
{
    void        *library;
    Setup        setup = set_up((TinyShape){.tied = true});
    const PwJob *job   = load(&setup, &library);
    cr_expect_null(tensor_of(job, "lm_head.weight"));
    cr_expect_eq(job->tied, 1);
    dlclose(library);
    region_free(setup.region);
}

Test(emit, same_in_same_out)
{
    Setup   one = set_up((TinyShape){0}), other = set_up((TinyShape){0});
    Emitted first = emit_all(&one), second = emit_all(&other);
    cr_assert_eq(first.nfiles, 4);
    for (int i = 0; i < first.nfiles; i++)
        cr_expect_str_eq(first.files[i].text, second.files[i].text);
    region_free(one.region);
    region_free(other.region);
}

/* Emitted code stays inside 100 columns, as code for reading does. */
Test(emit, lines_are_short)
{
    Setup   setup = set_up((TinyShape){0});
    Emitted files = emit_all(&setup);
    for (int i = 0; i < 3; i++)
        for (const char *at = files.files[i].text; *at;) {
            size_t length = strcspn(at, "\n");
            cr_expect_leq(length, 100u, "%s: %.*s", files.files[i].name, (int)length, at);
            at += length + (at[length] == '\n');
        }
    region_free(setup.region);
}
