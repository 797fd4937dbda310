/* compiled_codelets: see the header. */
#include "tests/support/compiled_codelets.h"

#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "gen/base/file.h"
#include "gen/job/emit.h"

enum { ARENA_BYTES = 64 << 20, SCRATCH_BYTES = 16 << 20 };
extern char **environ;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "compiled_codelets: %s\n", what);
    exit(EXIT_FAILED);
}

/* The kernels' sources, after the other arguments of the compiler. */
static int add_kernels(Region *region, const char *source, char **arguments, int narguments)
{
    int    count;
    Error  error   = {0};
    char  *kernels = path_join(region, source, "templates/cpu");
    char **names   = file_names(region, kernels, &count, &error);
    if (!names)
        give_up(error.text);
    for (int i = 0; i < count; i++)
        if (strcmp(names[i] + strlen(names[i]) - 2, ".c") == 0)
            arguments[narguments++] = path_join(region, kernels, names[i]);
    return narguments;
}

static void compile(Region *region, const Emitted *files, const char *folder, Compiling how,
                    const char *output)
{
    const char *precision     = how.real_bytes == 8 ? "-DPW_REAL=double" : "-DPW_REAL=float";
    char       *arguments[64] = {"cc", "-std=gnu17", "-O1", "-march=native"};
    int         narguments    = 4;
    arguments[narguments++]   = "-ffp-contract=off";
    arguments[narguments++]   = "-fno-math-errno";
    arguments[narguments++]   = "-shared";
    arguments[narguments++]   = "-fPIC";
    arguments[narguments++]   = "-Wall";
    arguments[narguments++]   = "-Werror";
    arguments[narguments++]   = region_copy(region, precision);
    arguments[narguments++]   = "-include";
    arguments[narguments++]   = path_join(region, folder, "shapes.h");
    arguments[narguments++]   = region_format(region, "-I%s", how.source);
    arguments[narguments++]   = region_format(region, "-I%s", folder);
    for (int i = 0; i < files->nfiles; i++)
        if (strstr(files->files[i].name, ".c"))
            arguments[narguments++] = path_join(region, folder, files->files[i].name);
    if (how.kernels)
        narguments = add_kernels(region, how.source, arguments, narguments);
    arguments[narguments++] = "-lm";
    arguments[narguments++] = "-o";
    arguments[narguments++] = region_copy(region, output);
    pid_t child;
    int   status;
    if (posix_spawnp(&child, "cc", NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        give_up("cc failed");
}

void *compile_and_load(Region *region, const Emitted *files, Compiling how)
{
    char  folder[] = "/tmp/pipewright-codelets-XXXXXX";
    Error error    = {0};
    if (!mkdtemp(folder))
        give_up("no folder in /tmp");
    for (int i = 0; i < files->nfiles; i++)
        if (!file_write(path_join(region, folder, files->files[i].name), files->files[i].text,
                        strlen(files->files[i].text), &error))
            give_up(error.text);
    const char *output = path_join(region, folder, "code.so");
    compile(region, files, folder, how, output);
    void *library = dlopen(output, RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        give_up(dlerror());
    file_remove_tree(folder, &error);
    return library;
}

static Emitted emit_codelets(CodeletRun *run)
{
    Text shapes = text_new(run->region), header = text_new(run->region);
    Text code = text_new(run->region);
    emit_c_shapes(run->model, run->real_bytes, &shapes);
    emit_c_header(run->codelets, &header);
    emit_c_codelets(run->codelets, run->model, &code);
    return (Emitted){
        .files  = {{"shapes.h", shapes.at}, {"codelets.h", header.at}, {"codelets.c", code.at}},
        .nfiles = 3};
}

CodeletRun *codelet_run_new(Region *region, const Model *model, const Codelets *codelets,
                            int real_bytes, const char *source)
{
    CodeletRun *run = REGION_NEW(region, CodeletRun);
    run->region     = region;
    run->model      = model;
    run->codelets   = codelets;
    run->real_bytes = real_bytes;
    Emitted files   = emit_codelets(run);
    run->library    = compile_and_load(region, &files, (Compiling){real_bytes, true, source});
    run->arena      = aligned_alloc(PW_ALIGN, ARENA_BYTES);
    if (!run->arena)
        give_up("no memory for the arena");
    run->step = (PwStepNumbers){.inverse_weight = 1, .beta1 = 0.9, .beta2 = 0.95};
    return run;
}

void codelet_run_free(CodeletRun *run)
{
    dlclose(run->library);
    free(run->arena);
}

PwCodelet codelet_run_function(const CodeletRun *run, const Codelet *codelet)
{
    void     *symbol = dlsym(run->library, codelet_function(run->region, codelet));
    PwCodelet function;
    if (!symbol)
        give_up(codelet->name);
    memcpy(&function, &symbol, sizeof function);
    return function;
}

void *codelet_run_buffer(CodeletRun *run, const char *key, int64_t bytes)
{
    for (int i = 0; i < run->nbuffers; i++)
        if (strcmp(run->buffers[i].key, key) == 0) {
            if (run->buffers[i].bytes != bytes)
                give_up(region_format(run->region, "%s has two sizes", key));
            return run->arena + run->buffers[i].offset;
        }
    RunBuffer buffer = {region_copy(run->region, key), run->taken, bytes};
    run->taken += (bytes + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
    if (run->taken > ARENA_BYTES)
        give_up("the arena is full");
    memset(run->arena + buffer.offset, 0, (size_t)bytes);
    REGION_APPEND(run->region, run->buffers, run->nbuffers, run->buffer_room, buffer);
    return run->arena + buffer.offset;
}

void *codelet_run_weight(CodeletRun *run, int weight, int layer, bool gradient)
{
    const ModelWeight *w = &run->model->weights[weight];
    if (w->tied >= 0 && !gradient)
        return codelet_run_weight(run, w->tied, -1, false);
    int where = w->part == PART_EMBED ? -1 : w->part == PART_HEAD ? (int)run->model->layers : layer;
    return codelet_run_buffer(
        run,
        region_format(run->region, "L%d.%s.%s", where, w->name, gradient ? "gradient" : "values"),
        w->rows * w->columns * run->real_bytes);
}

double codelet_run_real(const CodeletRun *run, const void *reals, int64_t index)
{
    return run->real_bytes == 8 ? ((const double *)reals)[index]
                                : (double)((const float *)reals)[index];
}

void codelet_run_set(const CodeletRun *run, void *reals, int64_t index, double value)
{
    if (run->real_bytes == 8)
        ((double *)reals)[index] = value;
    else
        ((float *)reals)[index] = (float)value;
}

static int64_t tokens_of(const RunChunk *chunk)
{
    int64_t tokens = 0;
    for (int i = 0; i < chunk->nsegments; i++)
        tokens += chunk->segments[i].tokens;
    return tokens;
}

/* Where an operand of the call lies; NULL: it is found through the segments. */
static void *bind(CodeletRun *run, const RunChunk *chunk, RunCall call, const Codelet *codelet,
                  const CodeletOperand *operand)
{
    int64_t row = operand->columns * operand->element_bytes;
    if (operand->weight >= 0)
        return codelet_run_weight(run, operand->weight, call.layer, operand->role == ROLE_DWEIGHT);
    if (operand->role == ROLE_SCRATCH) {
        if (codelet_scratch(codelet, tokens_of(chunk)) > SCRATCH_BYTES)
            give_up("a codelet needs more scratch than there is");
        return codelet_run_buffer(run, "scratch", SCRATCH_BYTES);
    }
    if (operand->rows == ROWS_CONTEXT)
        return NULL;
    int64_t     rows   = operand->rows == ROWS_TOKEN     ? tokens_of(chunk)
                         : operand->rows == ROWS_SEGMENT ? chunk->nsegments
                                                         : 1;
    bool        chunks = operand->role == ROLE_TOKENS || operand->role == ROLE_LOSS;
    int         layer  = call.layer + operand->shift;
    const char *key =
        operand->role == ROLE_TABLE ? operand->name
        : chunks ? region_format(run->region, "C%d.%s", chunk->number, operand->name)
                 : region_format(run->region, "C%d.L%d.%s", chunk->number, layer, operand->name);
    return codelet_run_buffer(run, key, rows * row);
}

static int64_t chain(CodeletRun *run, const RunChunk *chunk, int segment, int layer,
                     const char *name)
{
    int64_t     row = 2 * run->model->kv_heads * run->model->head_dim * run->real_bytes;
    const char *key =
        region_format(run->region, "S%d.L%d.%s", chunk->segments[segment].sequence, layer, name);
    unsigned char *at = codelet_run_buffer(run, key, row * chunk->segments[segment].length);
    return at - run->arena;
}

void codelet_run_call(CodeletRun *run, const RunChunk *chunk, RunCall wanted)
{
    int            index   = codelet_named(run->codelets, wanted.codelet);
    const Codelet *codelet = &run->codelets->items[index];
    PwSegment      segments[RUN_SEGMENTS];
    PwCall         call = {.arena      = run->arena,
                           .tokens     = tokens_of(chunk),
                           .segments   = segments,
                           .nsegments  = chunk->nsegments,
                           .flags      = wanted.flags,
                           .heads      = (int32_t)run->model->heads,
                           .kv_heads   = (int32_t)run->model->kv_heads,
                           .vocabulary = run->model->vocabulary,
                           .step       = &run->step};
    int32_t        row  = 0;
    for (int i = 0; i < chunk->nsegments; i++) {
        bool last =
            chunk->segments[i].start + chunk->segments[i].tokens == chunk->segments[i].length;
        segments[i] = (PwSegment){.row     = row,
                                  .tokens  = chunk->segments[i].tokens,
                                  .context = chunk->segments[i].start,
                                  .flags = wanted.segment_flags | (last ? PW_SEGMENT_DKV_FIRST : 0),
                                  .kv    = chain(run, chunk, i, wanted.layer, "kv"),
                                  .dkv   = chain(run, chunk, i, wanted.layer, "d_kv")};
        row += chunk->segments[i].tokens;
    }
    for (int i = 0; i < codelet->noperands; i++)
        call.at[i] = bind(run, chunk, wanted, codelet, &codelet->operands[i]);
    codelet_run_function(run, codelet)(&call);
}
