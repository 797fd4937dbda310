/* emit: prints a job's code.
 *   reads    job, model, codelet table, layout
 *   writes   the text of shapes.h, codelets.h, codelets.c and job.c; prints, decides nothing
 *   fails    a layout that lacks the home of a weight
 *   stands   last of what is made once per job, when addresses of the static part are known
 * job.c is what the runtime knows of the job: every tensor with its home and addresses, the
 * training numbers, the codelets by number. */
#include "gen/job/emit.h"

#include <string.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"

typedef struct Emitter {
    const Job      *job;
    const Model    *model;
    const Codelets *codelets;
    const Layout   *layout;
    Text           *out;
    Error          *error;
    int64_t         nstep_code;
    int             ntensors, ntables, nfields;
    size_t          field_bytes; /* of the job's fields in the table */
    Text            beyond;      /* those that found no room there   */
    int             nbeyond;
} Emitter;

/* The manifest of a saved state has at most 1 MiB (runtime/saved_state.c), and there a byte may
 * become six. */
enum { LONGEST_FIELD = 200, FIELDS_ROOM = 128 << 10, AROUND_FIELD = 16 };

/* A C string literal; a new line of text is a new line of the literal. */
static void add_literal(Text *out, const char *text)
{
    text_add(out, "\"");
    for (; *text; text++) {
        if (*text == '\n')
            text_add(out, text[1] ? "\\n\"\n                   \"" : "\\n");
        else if (*text == '"' || *text == '\\')
            text_add(out, "\\%c", *text);
        else
            text_bytes(out, text, 1);
    }
    text_add(out, "\"");
}

/* ---- tensors ---- */

static bool add_tensors_of(Emitter *emitter, int weight_index, int layer)
{
    static const StaticKind kinds[] = {STATIC_WEIGHT, STATIC_GRADIENT, STATIC_MOMENT1,
                                       STATIC_MOMENT2};
    const ModelWeight      *weight  = &emitter->model->weights[weight_index];
    int     rank       = layout_home(emitter->layout, emitter->model, weight_index, layer);
    int     real_bytes = emitter->layout->real_bytes ? emitter->layout->real_bytes : 4;
    int64_t row        = 0;
    for (int i = 0; i < weight->ntensors; i++, row += weight->tensors[i - 1].rows) {
        const char *name  = weight->tensors[i].name;
        const char *digit = strstr(name, "%d");
        text_add(emitter->out, "    {\"%.*s", (int)(digit ? digit - name : (long)strlen(name)),
                 name);
        if (digit)
            text_add(emitter->out, "%d%s", layer, digit + 2);
        bool gain = weight->rows == 1 && weight->deviation == 0; /* a vector in a folder, no row */
        text_add(emitter->out, "\", %d, %lld, %lld", rank,
                 (long long)(gain ? weight->columns : weight->tensors[i].rows),
                 (long long)(gain ? 1 : weight->columns));
        for (int kind = 0; kind < COUNT(kinds); kind++) {
            const StaticBuffer *buffer =
                layout_static(emitter->layout, rank, kinds[kind], weight_index, layer);
            if (!buffer)
                return error_input(emitter->error, "layout: rank %d has no %s of %s, layer %d",
                                   rank, static_names[kinds[kind]], weight->name, layer);
            text_add(emitter->out, ", %lld",
                     (long long)(buffer->offset + row * weight->columns * real_bytes));
        }
        text_add(emitter->out, ", %s},\n", text_double(emitter->out->region, weight->deviation));
        emitter->ntensors++;
    }
    return true;
}

/* In the order of layout_tensor: embedding, layer by layer, head. */
static bool add_tensors(Emitter *emitter)
{
    const Model *model = emitter->model;
    text_add(emitter->out,
             "/* name, home, rows, columns; addresses of value, gradient and moments; "
             "deviation of the first values */\nstatic const PwTensor tensors[] = {\n");
    for (int layer = -1; layer <= model->layers; layer++)
        for (int i = 0; i < model->nweights; i++)
            if (layout_has_tensor(model, i, layer) && !add_tensors_of(emitter, i, layer))
                return false;
    text_add(emitter->out, "};\n\n");
    return true;
}

/* ---- the other tables ---- */

static void add_ranks(Emitter *emitter)
{
    const Layout *layout = emitter->layout;
    Text         *out    = emitter->out;
    text_add(out, "static const int64_t static_bytes[] = {");
    for (int rank = 0; rank < layout->nranks; rank++)
        text_add(out, "%s%lld", rank ? ", " : "", (long long)layout->ranks[rank].static_bytes);
    text_add(out, "};\nstatic const int64_t capacity[] = {");
    for (int rank = 0; rank < layout->nranks; rank++)
        text_add(out, "%s%lld", rank ? ", " : "", (long long)layout->ranks[rank].capacity);
    text_add(out, "};\n\n/* where each rank keeps cosines and sines: rank, address */\n"
                  "static const PwTable tables[] = {\n");
    for (int rank = 0; rank < layout->nranks; rank++)
        for (int i = 0; i < layout->ranks[rank].nbuffers; i++)
            if (layout->ranks[rank].buffers[i].kind == STATIC_TABLE) {
                text_add(out, "    {%d, %lld},\n", rank,
                         (long long)layout->ranks[rank].buffers[i].offset);
                emitter->ntables++;
            }
    text_add(out, "};\n\n");
}

static double add_rope(Emitter *emitter)
{
    const Model *model     = emitter->model;
    double      *frequency = REGION_ARRAY(emitter->out->region, double, model->head_dim / 2);
    double       factor    = model_rope(model, frequency);
    text_add(emitter->out, "static const double rope_frequency[] = {\n");
    for (int64_t i = 0; i < model->head_dim / 2; i++)
        text_add(emitter->out, "    %s,\n", text_double(emitter->out->region, frequency[i]));
    text_add(emitter->out, "};\n\n");
    return factor;
}

static void add_codelets(Emitter *emitter)
{
    text_add(emitter->out, "/* by the number that programs call them by */\n"
                           "static const PwCodeletEntry codelets[] = {\n");
    for (int i = 0; i < emitter->codelets->count; i++)
        text_add(emitter->out, "    {\"%s\", %s},\n", emitter->codelets->items[i].name,
                 codelet_function(emitter->out->region, &emitter->codelets->items[i]));
    text_add(emitter->out, "};\n\n");
}

/* ---- what saved states keep of the job ---- */

/* A long text as its beginning, which ends with a character, its length and its hash: a change
 * behind the beginning is told too. */
static const char *shortened(Region *region, const char *text)
{
    size_t length = strlen(text), kept = LONGEST_FIELD;
    if (length <= LONGEST_FIELD)
        return text;
    while (((unsigned char)text[kept] & 0xC0) == 0x80)
        kept--;
    return region_format(region, "%.*s... (%zu bytes, SHA-256 %.16s...)", (int)kept, text, length,
                         hash_bytes(region, text, length));
}

/* A value that is empty is none. */
static void add_field(Emitter *emitter, const char *name, const char *value)
{
    Text *out = emitter->out;
    if (!*value)
        return;
    text_add(out, "    {");
    add_literal(out, shortened(out->region, name));
    text_add(out, ", ");
    add_literal(out, shortened(out->region, value));
    text_add(out, "},\n");
    emitter->nfields++;
}

static void add_job_field(void *context, const char *name, const char *value)
{
    Emitter *emitter = context;
    Region  *region  = emitter->out->region;
    size_t   bytes =
        strlen(shortened(region, name)) + strlen(shortened(region, value)) + AROUND_FIELD;
    if (emitter->field_bytes + bytes > FIELDS_ROOM) {
        text_add(&emitter->beyond, "%s: %s\n", name, value);
        emitter->nbeyond++;
        return;
    }
    emitter->field_bytes += bytes;
    add_field(emitter, name, value);
}

/* The job's fields, by name as many as have room. */
static void add_job_fields(Emitter *emitter)
{
    Region *region  = emitter->out->region;
    emitter->beyond = text_new(region);
    job_fields(emitter->job, add_job_field, emitter);
    if (emitter->nbeyond)
        add_field(emitter, "further fields",
                  region_format(region, "%d, SHA-256 %.16s...", emitter->nbeyond,
                                hash_bytes(region, emitter->beyond.at, emitter->beyond.length)));
}

/* Its beginning: people look at it. */
static void add_hash(Emitter *emitter, const char *name, const char *hash)
{
    add_field(emitter, name, region_format(emitter->out->region, "%.16s", hash));
}

/* And what else the job depends on. */
static void add_fields(Emitter *emitter, JobHashes hashes)
{
    const Layout *layout  = emitter->layout;
    Text          borders = text_new(emitter->out->region);
    for (int i = 1; i < layout->nstages; i++)
        text_add(&borders, "%s%s", i > 1 ? " " : "",
                 text_double(borders.region, layout->stages[i].first / 2.0));
    text_add(emitter->out, "/* as saved states keep them, to tell what changed */\n"
                           "static const PwField fields[] = {\n");
    add_job_fields(emitter);
    add_field(emitter, "layers between the stages", borders.at);
    add_hash(emitter, "SHA-256 of the token set's .idx", hashes.data);
    add_hash(emitter, "SHA-256 of the token set's .prompt", hashes.prompts);
    add_hash(emitter, "SHA-256 of the policy's file or plans", hashes.policy);
    text_add(emitter->out, "};\n\n");
}

/* ---- pw_job ---- */

static void add_integer(Text *out, const char *field, int64_t value)
{
    text_add(out, "    .%s = %lld,\n", field, (long long)value);
}

static void add_double(Text *out, const char *field, double value)
{
    text_add(out, "    .%s = %s,\n", field, text_double(out->region, value));
}

static void add_text(Text *out, const char *field, const char *value)
{
    text_add(out, "    .%s = ", field);
    add_literal(out, value);
    text_add(out, ",\n");
}

static void add_model(const Model *model, Text *out)
{
    double useful = 0;
    for (int part = 0; part < NPARTS; part++) {
        bool once = part == PART_EMBED || part == PART_HEAD;
        useful += model_flops_per_token(model, (Part)part) * (double)(once ? 1 : model->layers);
    }
    add_integer(out, "heads", model->heads);
    add_integer(out, "kv_heads", model->kv_heads);
    add_integer(out, "head_dim", model->head_dim);
    add_integer(out, "vocabulary", model->vocabulary);
    add_integer(out, "context", model->context);
    add_integer(out, "tied", model->tied);
    add_double(out, "useful_flops_per_token", 3 * useful); /* backward is twice forward */
}

static void add_train(const JobTrain *train, Text *out)
{
    add_integer(out, "steps", train->steps);
    add_integer(out, "save_every", train->save_every);
    add_integer(out, "save_keep", train->save_keep);
    add_integer(out, "save_keep_every", train->save_keep_every);
    add_integer(out, "evaluate_every", train->evaluate_every);
    text_add(out, "    .seed = %lluu,\n", (unsigned long long)train->seed);
    add_double(out, "clip", train->clip);
    add_double(out, "learning_rate", train->learning_rate);
    add_double(out, "weight_decay", train->weight_decay);
    add_double(out, "beta1", train->beta1);
    add_double(out, "beta2", train->beta2);
    add_double(out, "epsilon", train->epsilon);
    add_integer(out, "curve", train->curve);
    add_integer(out, "warmup", train->warmup);
    add_integer(out, "decay", train->decay);
    add_double(out, "final_rate", train->final_rate);
}

void emit_config(const Model *model, Text *out)
{
    for (int i = 0; i < model->nconfig; i++)
        text_add(out, "%s\n  \"%s\": %s", i ? "," : "{", model->config[i].key,
                 model->config[i].json);
    text_add(out, "%s\n}\n", model->nconfig ? "" : "{");
}

static bool add_job(Emitter *emitter, JobHashes hashes, const char *code_hash)
{
    Text *out    = emitter->out;
    Text  config = text_new(out->region);
    text_add(out, "/* job.c: what the runtime knows of this job. Emitted: read, do not edit. */\n"
                  "#include \"codelets.h\"\n#include \"runtime/trainer.h\"\n\n");
    if (!add_tensors(emitter))
        return false;
    add_ranks(emitter);
    double factor = add_rope(emitter);
    add_codelets(emitter);
    add_fields(emitter, hashes);
    emit_config(emitter->model, &config);
    text_add(out, "const PwJob pw_job = {\n");
    add_text(out, "name", path_name(emitter->job->path));
    add_text(out, "job_hash", hashes.job);
    add_text(out, "code_hash", code_hash);
    add_text(out, "data_hash", hashes.data);
    add_text(out, "tokens_hash", hashes.tokens);
    add_text(out, "prompt_hash", hashes.prompts);
    add_integer(out, "nranks", emitter->layout->nranks);
    add_model(emitter->model, out);
    text_add(out, "    .static_bytes = static_bytes,\n    .capacity = capacity,\n"
                  "    .tensors = tensors,\n    .tables = tables,\n"
                  "    .rope_frequency = rope_frequency,\n    .codelets = codelets,\n"
                  "    .fields = fields,\n");
    add_integer(out, "ntensors", emitter->ntensors);
    add_integer(out, "ntables", emitter->ntables);
    add_integer(out, "nfields", emitter->nfields);
    add_integer(out, "ncodelets", emitter->codelets->count);
    if (emitter->nstep_code)
        text_add(out, "    .step_code = pw_step_code,\n");
    add_integer(out, "nstep_code", emitter->nstep_code);
    add_double(out, "rope_factor", factor);
    add_train(&emitter->job->train, out);
    add_text(out, "config_json", config.at);
    text_add(out, "};\n");
    return true;
}

bool emit(Region *region, const Job *job, const Model *model, const Codelets *codelets,
          const Layout *layout, JobHashes hashes, int64_t nstep_code, Emitted *out, Error *error)
{
    Text shapes = text_new(region), header = text_new(region), code = text_new(region);
    Text all = text_new(region), draft = text_new(region), about = text_new(region);
    emit_c_shapes(model, layout->real_bytes, &shapes);
    emit_c_header(codelets, &header);
    emit_c_codelets(codelets, model, &code);
    /* job.c carries the hash of all files, itself as it is without the hash included. */
    Emitter first = {job, model, codelets, layout, &draft, error, .nstep_code = nstep_code};
    Emitter last  = {job, model, codelets, layout, &about, error, .nstep_code = nstep_code};
    if (!add_job(&first, hashes, ""))
        return false;
    text_add(&all, "%s%s%s%s%s", shapes.at, header.at, code.at, draft.at, hashes.policy);
    if (!add_job(&last, hashes, hash_bytes(region, all.at, all.length)))
        return false;
    *out = (Emitted){.files  = {{"shapes.h", shapes.at},
                                {"codelets.h", header.at},
                                {"codelets.c", code.at},
                                {"job.c", about.at}},
                     .nfiles = 4};
    return true;
}
