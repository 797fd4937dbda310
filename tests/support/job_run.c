/* job_run: see job_run.h. */
#include "tests/support/job_run.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/random.h"
#include "gen/base/process.h"
#include "runtime/learning_rate.h"
#include "runtime/stored_program.h"
#include "runtime/weights.h"

const char *job_run_corpus(Region *region, int documents, int longest, uint64_t seed)
{
    const char *folder = region_format(region, "/tmp/pipewright-test-%d-%d-%d-%llu", (int)getpid(),
                                       documents, longest, (unsigned long long)seed);
    Error       error;
    uint64_t    state = seed;
    char       *text  = region_alloc(region, (size_t)longest + 1);
    if (!file_make_folders(path_join(region, folder, "corpus"), &error))
        bug("%s", error.text);
    for (int d = 0; d < documents; d++) {
        double  unit   = random_unit(&state);
        int64_t length = 1 + (int64_t)(unit * unit * unit * (longest - 1)); /* skewed */
        for (int64_t i = 0; i < length; i++)
            text[i] = (char)('a' + random_below(&state, 4) * random_below(&state, 6));
        const char *path = region_format(region, "%s/corpus/%04d.txt", folder, d);
        if (!file_write(path, text, (size_t)length, &error))
            bug("%s", error.text);
    }
    return folder;
}

void job_run_corpus_remove(const char *corpus)
{
    Error error;
    if (!file_remove_tree(corpus, &error))
        bug("%s", error.text);
}

/* Compiles what is not compiled yet: objects are kept by the hash of all that goes into them. */
static bool compile_object(JobRun *run, const char *code, const char *source, const char *object)
{
    if (file_exists(object))
        return true;
    const char *beside = region_format(run->region, "%s.%d", object, (int)getpid());
    const char *argv[] = {"cc",
                          "-std=gnu17",
                          "-O2",
                          "-march=native",
                          "-ffp-contract=off",
                          "-fno-math-errno",
                          "-fPIC",
                          "-include",
                          path_join(run->region, code, "shapes.h"),
                          "-I",
                          code,
                          "-I",
                          data_folder(),
                          "-c",
                          source,
                          "-o",
                          beside,
                          NULL};
    if (process_run(argv, &run->error) != 0)
        return error_fail(&run->error, "%s does not compile", source);
    return !rename(beside, object) || error_fail(&run->error, "%s", object);
}

/* What kernels include: their objects depend on it. */
static bool add_headers(JobRun *run, Text *all)
{
    static const char *const headers[] = {"templates/cpu/kernels.h", "templates/cpu/tile.h",
                                          "templates/cpu/vector.h",  "templates/scratch.h",
                                          "templates/kernels.def",   "runtime/kernel.h"};
    for (int i = 0; i < COUNT(headers); i++) {
        const char *path = path_join(run->region, data_folder(), headers[i]);
        const char *text = file_read(run->region, path, (size_t)1 << 24, NULL, &run->error);
        if (!text)
            return false;
        text_add(all, "%s", text);
    }
    return true;
}

/* Adds the objects of all kernels; `all` is what they depend on beside their own source. */
static bool add_kernels(JobRun *run, const char *code, const char *all, const char **argv, int *n)
{
    Region     *region = run->region;
    const char *cache  = "/tmp/pipewright-test-objects";
    char       *folder = path_join(region, data_folder(), "templates/cpu");
    int         count;
    char      **names = file_names(region, folder, &count, &run->error);
    if (!names || !file_make_folders(cache, &run->error))
        return false;
    for (int i = 0; i < count; i++) {
        const char *source = path_join(region, folder, names[i]);
        if (!text_ends(source, ".c"))
            continue;
        const char *text = file_read(region, source, (size_t)1 << 24, NULL, &run->error);
        if (!text)
            return false;
        const char *key = region_format(region, "%s%s%zu", all, text, sizeof(real));
        const char *object =
            region_format(region, "%s/%s.o", cache, hash_bytes(region, key, strlen(key)));
        if (!compile_object(run, code, source, object))
            return false;
        argv[(*n)++] = object;
    }
    return true;
}

static bool build_library(JobRun *run, const Emitted *emitted)
{
    Region     *region   = run->region;
    const char *code     = path_join(region, run->folder, "code");
    const char *argv[40] = {"cc", "-shared", "-Wl,-Bsymbolic", "-o",
                            path_join(region, run->folder, "code.so")};
    int         n        = 5;
    Text        all      = text_new(region);
    if (!file_make_folders(code, &run->error) || !add_headers(run, &all))
        return false;
    for (int i = 0; i < emitted->nfiles; i++)
        if (!file_write(path_join(region, code, emitted->files[i].name), emitted->files[i].text,
                        strlen(emitted->files[i].text), &run->error))
            return false;
    for (int i = 0; i < emitted->nfiles; i++) {
        const char *name = emitted->files[i].name;
        if (text_ends(name, ".c")) {
            argv[n] = region_format(region, "%s/%s.o", run->folder, name);
            if (!compile_object(run, code, path_join(region, code, name), argv[n++]))
                return false;
        } else
            text_add(&all, "%s", emitted->files[i].text);
    }
    if (!add_kernels(run, code, all.at, argv, &n))
        return false;
    argv[n++] = "-lm";
    return process_run(argv, &run->error) == 0 || error_fail(&run->error, "linking failed");
}

static bool open_emitted(JobRun *run)
{
    Emitted emitted = {0};
    if (!emit(run->region, run->job.job, run->job.model, run->job.codelets, run->job.layout,
              (JobHashes){"", run->job.data_hash, "", run->job.prompt_hash, ""}, 0, &emitted,
              &run->error) ||
        !build_library(run, &emitted))
        return false;
    run->library = dlopen(path_join(run->region, run->folder, "code.so"), RTLD_NOW | RTLD_LOCAL);
    run->emitted = run->library ? dlsym(run->library, "pw_job") : NULL;
    return run->emitted || error_fail(&run->error, "%s", dlerror());
}

static bool runtime_failed(JobRun *run, const PwError *error)
{
    return error_fail(&run->error, "%s", error->text);
}

bool job_run_open(JobRun *run, const char *corpus, const char *job, const char *const *sets)
{
    static int number;
    PwError    error = {0};
    DataReport report;
    *run             = (JobRun){.region = region_new()};
    run->folder      = region_format(run->region, "%s/run-%d", corpus, number++);
    const char *path = region_format(run->region, "%s/job-%d.lua", corpus, number);
    if (!file_make_folders(run->folder, &run->error) ||
        !file_write(path, job, strlen(job), &run->error) ||
        !compile_job(run->region, path, sets, false, &run->job, &run->error) ||
        !data_make(run->region, run->job.job, NULL, NULL, &report, &run->error) ||
        !compile_job(run->region, path, sets, true, &run->job, &run->error) || !open_emitted(run))
        return false;
    run->transport = pw_threads_open(run->emitted->nranks, false);
    if (!pw_tokens_open(&run->tokens, run->job.prefix, run->job.model->vocabulary, &error) ||
        !pw_team_open(&run->team, run->emitted, run->transport, &run->tokens, &error))
        return runtime_failed(run, &error);
    pw_tables_fill(&run->team);
    pw_weights_from_seed(&run->team);
    run->marks  = REGION_ARRAY(run->region, PwWatermark, run->team.nranks);
    run->peaks  = REGION_ARRAY(run->region, int64_t, run->team.nranks);
    run->values = REGION_ARRAY(run->region, int64_t, run->team.nranks);
    return true;
}

void job_run_watch(JobRun *run)
{
    for (int rank = 0; rank < run->team.nranks; rank++)
        run->team.workers[rank].watermark = &run->marks[rank];
}

static bool is_scratch(const Buffer *buffer)
{
    const char *dot = strrchr(buffer->name, '.');
    return dot && !strncmp(dot, ".scratch", strlen(".scratch")); /* a second one has a prime */
}

static void note_peaks(JobRun *run, const Program *program)
{
    for (int number = 0; number < program->nranks; number++) {
        const RankProgram *rank = &program->ranks[number];
        int64_t            end  = rank->static_bytes;
        for (const Buffer *b = rank->buffers; b < rank->buffers + rank->nbuffers; b++)
            end = !is_scratch(b) && b->offset + b->bytes > end ? b->offset + b->bytes : end;
        run->peaks[number]  = rank->peak;
        run->values[number] = end;
    }
}

bool job_run_step(JobRun *run, const char *plan)
{
    Step    step;
    PwError error = {0};
    if (plan) {
        const char *path = path_join(run->region, run->folder, "plan.json");
        if (!file_write(path, plan, strlen(plan), &run->error) ||
            !compile_from(&run->job, path, &run->error))
            return false;
    }
    bool good = compile_step(&run->job, run->step, &step, &run->error);
    compile_from(&run->job, NULL, &run->error);
    if (!good)
        return false;
    Text stored = text_new(step.region);
    program_store(step.program, run->job.codelets, &stored);
    const PwProgram *program = (const PwProgram *)(const void *)stored.at;
    PwStepNumbers    numbers = pw_step_numbers(run->emitted, run->step, program->weight);
    good = pw_program_check(stored.at, stored.length, run->emitted, "the step", &error) &&
           pw_team_step(&run->team, program, &numbers, NULL, &error);
    if (good) {
        note_peaks(run, step.program);
        run->outcome = pw_team_outcome(&run->team, program);
        run->weight  = program->weight;
        run->step++;
    } else
        runtime_failed(run, &error);
    region_free(step.region);
    return good;
}

void job_run_close(JobRun *run)
{
    Error ignored;
    if (run->team.workers)
        pw_team_close(&run->team);
    if (run->transport)
        run->transport->close(run->transport);
    if (run->tokens.index.at)
        pw_tokens_close(&run->tokens);
    if (run->library)
        dlclose(run->library);
    file_remove_tree(run->folder, &ignored);
    region_free(run->region);
}

const real *job_run_tensor(const JobRun *run, const char *name, JobRunKind kind, int64_t *count)
{
    for (int i = 0; i < run->emitted->ntensors; i++) {
        const PwTensor *t = &run->emitted->tensors[i];
        if (strcmp(t->name, name) != 0)
            continue;
        int64_t address[] = {t->weight, t->gradient, t->moment1, t->moment2};
        *count            = t->rows * t->columns;
        return (const real *)(const void *)(run->team.workers[t->rank].arena.at + address[kind]);
    }
    return NULL;
}

static void reference_sequence(const JobRun *run, Reference *r, const Sequence *s, double scale,
                               double *loss)
{
    int      n     = (int)s->length;
    int32_t *token = calloc((size_t)n, sizeof *token), *target = calloc((size_t)n, sizeof *target);
    float   *weight = calloc((size_t)n, sizeof *weight);
    double  *wide   = calloc((size_t)n, sizeof *wide);
    pw_tokens_read(&run->tokens, s->document, s->start, n, token, target, weight);
    for (int i = 0; i < n; i++)
        wide[i] = weight[i];
    *loss += reference_step(r, token, target, wide, n, scale);
    free(token), free(target), free(weight), free(wide);
}

Reference *job_run_reference(const JobRun *run, int64_t step, double *loss)
{
    const Model *m = run->job.model;
    Reference   *r = reference_new((int)m->layers, (int)m->hidden, (int)m->heads, (int)m->kv_heads,
                                   (int)m->head_dim, (int)m->ffn, (int)m->vocabulary, m->tied,
                                   model_weight(m, "q_norm") >= 0, m->epsilon, m->rope_theta);
    for (int i = 0; i < r->ntensors; i++) {
        int64_t     count;
        const real *value = job_run_tensor(run, r->tensors[i].name, RUN_WEIGHT, &count);
        if (!value || count != r->tensors[i].rows * r->tensors[i].columns)
            bug("the run has no tensor %s of that shape", r->tensors[i].name);
        for (int64_t j = 0; j < count; j++)
            r->tensors[i].value[j] = value[j];
    }
    Region *region = region_new();
    sampler_seek(run->job.sampler, step);
    Batch *batch = sampler_next(run->job.sampler, region);
    double sum   = 0;
    for (int i = 0; i < batch->nsequences; i++)
        reference_sequence(run, r, &batch->sequences[i], 1 / batch->weight, &sum);
    *loss = sum / batch->weight;
    region_free(region);
    return r;
}

double job_run_worst(const JobRun *run, const Reference *reference, const char **where)
{
    double worst = 0;
    for (int i = 0; i < reference->ntensors; i++) {
        const ReferenceTensor *t     = &reference->tensors[i];
        int64_t                count = 0;
        const real            *g     = job_run_tensor(run, t->name, RUN_GRADIENT, &count);
        double                 error = 0, norm = 0;
        for (int64_t j = 0; j < count; j++) {
            error += (g[j] - t->gradient[j]) * (g[j] - t->gradient[j]);
            norm += t->gradient[j] * t->gradient[j];
        }
        error = sqrt(error / (norm > 0 ? norm : 1));
        if (error >= worst || isnan(error)) {
            worst  = error;
            *where = t->name;
        }
    }
    return worst;
}
