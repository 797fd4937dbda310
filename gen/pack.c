/* pack: see pack.h. */
#include "gen/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gen/artifact.h"
#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/process.h"
#include "gen/compile_evaluation.h"
#include "gen/data/first_weights.h"
#include "gen/data/record.h"
#include "gen/evaluation.h"
#include "gen/ring_writer.h"
#include "gen/step/emit_program.h"

/* What is being packed, and where. */
typedef struct Packing {
    Compilation *job;
    Region      *region;
    const char  *folder;      /* the temporary one                                           */
    const char  *tokens_hash; /* of the .bin; "" where there is none, or nothing needs it       */
    Error       *error;
} Packing;

static bool write_text(const Packing *p, const char *name, const char *text, size_t length)
{
    char *path = path_join(p->region, p->folder, name);
    return file_make_folders(path_folder(p->region, path), p->error) &&
           file_write(path, text, length, p->error);
}

static bool is_source(const char *name)
{
    static const char *const suffixes[] = {".c", ".h", ".def"};
    for (int i = 0; i < COUNT(suffixes); i++)
        if (text_ends(name, suffixes[i]))
            return true;
    return false;
}

/* Copies the sources in data_folder()/`from` to `from`, unchanged, so that their includes stay
 * true; `deep`: those of the folders in it as well. */
static bool copy_sources(const Packing *p, const char *from, bool deep)
{
    int         count;
    const char *source = path_join(p->region, data_folder(), from);
    char      **names  = file_names(p->region, source, &count, p->error);
    for (int i = 0; names && i < count; i++) {
        const char *path  = path_join(p->region, source, names[i]);
        const char *inner = path_join(p->region, from, names[i]);
        const char *to    = path_join(p->region, p->folder, inner);
        if (file_is_folder(path)) {
            if (deep && !copy_sources(p, inner, deep))
                return false;
        } else if (is_source(names[i]) &&
                   (!file_make_folders(path_folder(p->region, to), p->error) ||
                    !file_copy(path, to, p->error)))
            return false;
    }
    return names != NULL;
}

static bool copy_trainer_file(const Packing *p, const char *name, bool executable)
{
    const char *from =
        path_join(p->region, path_join(p->region, data_folder(), "templates/trainer"), name);
    const char *to = path_join(p->region, p->folder, name);
    if (!file_copy(from, to, p->error))
        return false;
    return !executable || !chmod(to, 0755) || error_fail(p->error, "%s: %s", to, strerror(errno));
}

/* The Hugging Face folder that the job starts from. */
static bool copy_first_weights(const Packing *p)
{
    const char *to = path_join(p->region, p->folder, "first_weights");
    int         count;
    const char *from = first_weights_folder(p->region, p->job->job);
    if (!from)
        return true;
    char **names = file_names(p->region, from, &count, p->error);
    if (!names || !file_make_folders(to, p->error))
        return false;
    for (int i = 0; i < count; i++)
        if ((strstr(names[i], ".safetensors") || !strcmp(names[i], "config.json")) &&
            file_is_plain(path_join(p->region, from, names[i])) &&
            !file_copy(path_join(p->region, from, names[i]), path_join(p->region, to, names[i]),
                       p->error))
            return false;
    return true;
}

/* What must be the same to go on from a saved state: model, data, batches and seed. */
static char *job_hash(const Compilation *job, Region *region)
{
    Text            text  = text_new(region);
    const Job      *j     = job->job;
    const JobData  *data  = &j->data;
    const JobTrain *train = &j->train;
    model_print(job->model, &text);
    text_add(&text, "data %s prompts %s context %lld long %d held_out %s\n", job->data_hash,
             job->prompt_hash, (long long)data->context, (int)data->too_long,
             text_double(region, data->held_out));
    text_add(&text, "batch %lld %lld seed %llu\n", (long long)train->batch_tokens,
             (long long)train->batch_sequences, (unsigned long long)train->seed);
    return hash_bytes(region, text.at, text.length);
}

/* Of the policy's file, or of the plans that stand in for it. */
static const char *policy_file_hash(const Packing *p)
{
    const Compilation *job = p->job;
    const char *file = job->plan_path ? job->plan_path : policy_file(p->region, job->job, p->error);
    return file ? hash_file(p->region, file, p->error) : NULL;
}

/* Of that and of the policy's options. */
static const char *policy_hash(const Packing *p)
{
    const Compilation *job  = p->job;
    Text               text = text_new(p->region);
    const char        *hash = policy_file_hash(p);
    if (!hash)
        return NULL;
    const char *options = job->job->policy_options;
    text_add(&text, "%s %s", hash, options && !job->plan_path ? options : "{}");
    return hash_bytes(p->region, text.at, text.length);
}

static bool write_code(const Packing *p, PackOptions options)
{
    Emitted      emitted = {0};
    Compilation *job     = p->job;
    JobHashes hashes = {job_hash(job, p->region), job->data_hash, p->tokens_hash, job->prompt_hash,
                        policy_file_hash(p)};
    if (!hashes.policy || !emit(p->region, job->job, job->model, job->codelets, job->layout, hashes,
                                options.as_code ? options.steps : 0, &emitted, p->error))
        return false;
    for (int i = 0; i < emitted.nfiles; i++)
        if (!write_text(p, path_join(p->region, "code", emitted.files[i].name),
                        emitted.files[i].text, strlen(emitted.files[i].text)))
            return false;
    return copy_sources(p, "runtime", true) && copy_sources(p, "templates", false) &&
           copy_sources(p, "templates/cpu", true) && copy_trainer_file(p, "build", true) &&
           copy_trainer_file(p, "README", false) && copy_trainer_file(p, "main.c", false) &&
           copy_first_weights(p);
}

/* The policy's file, or the plans that stand in for it. */
static bool copy_policy(const Packing *p)
{
    const Compilation *job  = p->job;
    const char        *file = job->plan_path ? NULL : policy_file(p->region, job->job, p->error);
    if (job->plan_path)
        return file_copy(job->plan_path, path_join(p->region, p->folder, "inputs/plan.json"),
                         p->error);
    return file && file_copy(file, path_join(p->region, p->folder, "inputs/policy.lua"), p->error);
}

/* The forms that the artifact was made from, as text. */
static bool write_inputs(const Packing *p)
{
    Compilation *job  = p->job;
    Text         text = text_new(p->region);
#define FORM(name, print)                                                                          \
    text_clear(&text);                                                                             \
    print;                                                                                         \
    if (!write_text(p, "inputs/" name, text.at, text.length))                                      \
    return false
    FORM("job.json", job_print(job->job, &text));
    FORM("model.txt", model_print(job->model, &text));
    FORM("codelets.txt", codelets_print(job->codelets, job->model, &text));
    FORM("layout.txt", layout_print(job->layout, job->model, &text));
    FORM("cost.json", cost_print(job->cost, &text));
    FORM("lengths.json", lengths_print(job->lengths, &text));
#undef FORM
    return file_copy(job->job->path, path_join(p->region, p->folder, "inputs/job.lua"), p->error) &&
           copy_policy(p);
}

/* The stored program as C; `hash` gets that of its bytes. */
static bool write_step_code(const Packing *p, const Text *stored, const char **hash)
{
    Region          *region  = stored->region;
    Text             code    = text_new(region);
    const PwProgram *program = (const PwProgram *)(const void *)stored->at;
    emit_program(program, p->job->codelets, p->job->model, &code);
    *hash = hash_bytes(p->region, stored->at, stored->length);
    return write_text(p, region_format(region, "code/step_%lld.c", (long long)program->step),
                      code.at, code.length);
}

/* `hash`: NULL where steps are not printed as code. */
static bool store_step(const Packing *p, RingWriter *ring, int64_t number, const char **hash)
{
    Step step;
    if (!compile_step(p->job, number, &step, p->error))
        return false;
    Text stored = text_new(step.region);
    program_store(step.program, p->job->codelets, &stored);
    bool good = ring_append(ring, stored.at, stored.length, false, p->error) &&
                (!hash || write_step_code(p, &stored, hash));
    region_free(step.region);
    return good;
}

static bool write_step_table(const Packing *p, const char *const *hashes, int64_t steps)
{
    Text table = text_new(p->region);
    emit_program_table(hashes, steps, p->job->layout->nranks, &table);
    return write_text(p, "code/steps.c", table.at, table.length);
}

/* `hashes`: NULL where steps are not printed as code. */
static bool store_steps(const Packing *p, RingWriter *ring, PackOptions options,
                        const char **hashes)
{
    bool good = true, tell = !options.quiet && isatty(2);
    for (int64_t number = 0; good && number < options.steps; number++) {
        if (tell)
            fprintf(stderr, "\rplanning step %lld of %lld", (long long)number + 1,
                    (long long)options.steps);
        good = store_step(p, ring, number, hashes ? &hashes[number] : NULL);
    }
    if (tell)
        fprintf(stderr, "\r\033[K");
    return good;
}

static bool write_programs(const Packing *p, PackOptions options)
{
    const char *path = path_join(p->region, p->folder, "programs.pw");
    Error       ignored;
    if (options.steps == 0)
        return true; /* a live ring is made by `run`, where it is used */
    if (!ring_create(path, options.steps, RING_UNBOUNDED, 0, p->error))
        return false;
    RingWriter  *ring = ring_open(p->region, path, p->error);
    const char **hashes =
        options.as_code ? REGION_ARRAY(p->region, const char *, options.steps) : NULL;
    if (!ring)
        return false;
    if (!store_steps(p, ring, options, hashes))
        return ring_finish(ring, p->error, &ignored), false;
    return ring_finish(ring, NULL, p->error) &&
           (!hashes || write_step_table(p, hashes, options.steps));
}

static bool write_evaluation(const Packing *p)
{
    Compilation *job  = p->job;
    const char  *path = path_join(p->region, p->folder, "evaluate.pw");
    const Batch *all  = evaluation_batch(job, p->region);
    return !all || evaluation_write(job, all, path, p->error);
}

/* Adds path -> {bytes, sha256} for every file below `folder`. */
static bool hash_files(const Packing *p, const char *inner, json_t *files)
{
    int         count;
    const char *folder = *inner ? path_join(p->region, p->folder, inner) : p->folder;
    char      **names  = file_names(p->region, folder, &count, p->error);
    for (int i = 0; names && i < count; i++) {
        const char *name = *inner ? path_join(p->region, inner, names[i]) : names[i];
        const char *path = path_join(p->region, folder, names[i]);
        if (file_is_folder(path)) {
            if (!hash_files(p, name, files))
                return false;
            continue;
        }
        char *hash = hash_file(p->region, path, p->error);
        if (!hash)
            return false;
        json_object_set_new(
            files, name,
            json_pack("{s:I, s:s}", "bytes", (json_int_t)file_size(path), "sha256", hash));
    }
    return names != NULL;
}

static const char *ask_build(const Packing *p, const char *question, Text *answer)
{
    const char *argv[] = {path_join(p->region, p->folder, "build"), question, NULL};
    Error       ignored;
    return process_read(argv, answer, &ignored) == 0 ? answer->at : "";
}

/* What the artifact's build script says of its compiler: the first line of --compiler, --flags. */
static const char *compiler_line(const Packing *p, const char *question)
{
    Text        text   = text_new(p->region);
    const char *answer = ask_build(p, question, &text);
    return region_format(p->region, "%.*s", (int)strcspn(answer, "\n"), answer);
}

/* Of all that the compiler defines by itself: its version, and what -march=native is here. */
static const char *target_hash(const Packing *p)
{
    Text        text   = text_new(p->region);
    const char *answer = ask_build(p, "--target", &text);
    return hash_bytes(p->region, answer, strlen(answer));
}

/* By file: those of the token set that are there, or the lengths. */
static json_t *data_hashes(const Packing *p)
{
    const Compilation *job = p->job;
    if (!job->prefix)
        return json_pack("{s:s}", "lengths", job->data_hash);
    json_t *data = json_pack("{s:s}", "idx", job->data_hash);
    if (*p->tokens_hash)
        json_object_set_new(data, "bin", json_string(p->tokens_hash));
    if (*job->prompt_hash)
        json_object_set_new(data, "prompt", json_string(job->prompt_hash));
    return data;
}

static bool write_manifest(const Packing *p, PackOptions options)
{
    Compilation *job   = p->job;
    json_t      *files = json_object();
    if (!hash_files(p, "", files))
        return json_decref(files), false;
    json_t *sets = json_array();
    for (int i = 0; job->job->sets && job->job->sets[i]; i++)
        json_array_append_new(sets, json_string(job->job->sets[i]));
    json_t *inputs = json_pack("{s:s, s:o, s:s, s:s, s:o, s:s}", "job", job->job->source_hash,
                               "set", sets, "policy", job->job->policy, "policy_hash",
                               policy_hash(p), "data", data_hashes(p), "cost", job->cost->name);
    json_t *tools =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "pipewright", PIPEWRIGHT_VERSION, "compiler",
                  compiler_line(p, "--compiler"), "flags", compiler_line(p, "--flags"), "target",
                  target_hash(p), "matrix_kernels", "own, chosen by the target");
    json_t *manifest = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:I, s:b, s:o}", "format", "pipewright-artifact-1", "job",
        path_name(job->job->path), "job_hash", job_hash(job, p->region), "inputs", inputs, "tools",
        tools, "steps", (json_int_t)options.steps, "as_code", options.as_code, "files", files);
    if (!manifest)
        bug("the manifest cannot be made");
    char *text = json_dumps(manifest, JSON_INDENT(2) | JSON_SORT_KEYS);
    bool  good = write_text(p, "manifest.json", text, strlen(text));
    free(text);
    json_decref(manifest);
    return good;
}

static bool compile_trainer(const Packing *p)
{
    const char *build  = path_join(p->region, p->folder, "build");
    const char *argv[] = {build, "--quiet", NULL};
    return process_must_run(argv, p->error);
}

static bool pack_into(const Packing *p, PackOptions options)
{
    return file_make_folders(p->folder, p->error) && write_code(p, options) &&
           file_make_folders(path_join(p->region, p->folder, "inputs"), p->error) &&
           write_inputs(p) &&
           (options.code_only || (write_programs(p, options) && write_evaluation(p))) &&
           write_manifest(p, options);
}

/* Folders beside an artifact end so, and in the number of the process that made them. */
#define BEING_MADE ".tmp."
#define MOVED_ASIDE ".old."

/* What a process left that was killed while it packed. An artifact that was moved aside stays while
 * nothing is in its place: it is the only one. */
static bool remove_leftovers(Region *region, const char *folder, Error *error)
{
    const char *parent = path_folder(region, folder), *name = path_name(folder);
    size_t      length = strlen(name);
    int         count;
    bool        in_place = file_exists(folder);
    if (!file_is_folder(parent))
        return true;
    char **names = file_names(region, parent, &count, error);
    for (int i = 0; names && i < count; i++) {
        const char *end = names[i] + length;
        if (strncmp(names[i], name, length) != 0 ||
            (strncmp(end, BEING_MADE, 5) != 0 && (strncmp(end, MOVED_ASIDE, 5) != 0 || !in_place)))
            continue;
        long owner = strtol(end + 5, NULL, 10);
        bool gone  = owner > 0 && kill((pid_t)owner, 0) && errno == ESRCH;
        if (gone && !file_remove_tree(path_join(region, parent, names[i]), error))
            return false;
    }
    return names != NULL;
}

/* The artifact at `folder` was made from the same inputs by the same tools, is as it was made, and
 * is compiled. */
static bool is_same(Region *region, const char *folder, const char *beside)
{
    Error       ignored;
    const char *old = path_join(region, folder, "manifest.json");
    if (!file_exists(old) || !file_exists(path_join(region, folder, "train")))
        return false;
    char *hash_old = hash_file(region, old, &ignored);
    char *hash_new = hash_file(region, path_join(region, beside, "manifest.json"), &ignored);
    return hash_old && hash_new && !strcmp(hash_old, hash_new) &&
           artifact_verify(region, folder, &ignored);
}

/* Renames the finished folder to its name. An older artifact there changes places with it, in one
 * step where the file system can, and goes away after that. */
static bool put_in_place(Region *region, const char *beside, const char *folder, Error *error)
{
    const char *old = region_format(region, "%s%s%d", folder, MOVED_ASIDE, (int)getpid());
    if (!file_exists(folder))
        return !rename(beside, folder) ||
               error_fail(error, "%s: cannot be put in its place: %s", folder, strerror(errno));
    if (!file_exists(path_join(region, folder, "manifest.json")))
        return error_input(
            error, "%s: exists and is no artifact; name another folder, or remove it", folder);
    if (!renameat2(AT_FDCWD, beside, AT_FDCWD, folder, RENAME_EXCHANGE))
        return file_remove_tree(beside, error);
    if (rename(folder, old))
        return error_fail(error, "%s: cannot be moved aside: %s", folder, strerror(errno));
    if (rename(beside, folder)) {
        int why = errno;
        return rename(old, folder)
                   ? error_fail(error, "%s: cannot be put in its place: %s; the older one is %s",
                                folder, strerror(why), old)
                   : error_fail(error, "%s: cannot be put in its place: %s", folder, strerror(why));
    }
    return file_remove_tree(old, error);
}

static bool accept(const PackOptions *options, const char *folder, Error *error)
{
    return !options->accept || options->accept(options->context, folder, error);
}

/* An .idx is enough to build; what trains on it then compares tokens with nothing. */
static const char *hash_tokens(const Compilation *job, Region *region, PackOptions options,
                               Error *error)
{
    if (options.code_only || !job->prefix ||
        !file_exists(region_format(region, "%s.bin", job->prefix)))
        return "";
    return record_tokens_hash(region, job->prefix, error);
}

bool pack(Compilation *job, const char *folder, PackOptions options, Error *error)
{
    Region     *region = region_new();
    const char *beside = region_format(region, "%s%s%d", folder, BEING_MADE, (int)getpid());
    Packing     p      = {job, region, beside, hash_tokens(job, region, options, error), error};
    Error       ignored;
    bool good  = p.tokens_hash && remove_leftovers(region, folder, error) && pack_into(&p, options);
    bool stays = good && options.reuse && is_same(region, folder, beside);
    if (stays)
        good = accept(&options, folder, error);
    else if (good)
        good = (!options.compile || compile_trainer(&p)) && accept(&options, beside, error) &&
               put_in_place(region, beside, folder, error);
    if (!good || stays)
        file_remove_tree(beside, &ignored);
    region_free(region);
    return good;
}
