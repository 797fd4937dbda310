/* The audit: each codelet, compiled, runs on a poisoned and guarded arena. It writes all that the
 * table promises and nothing beyond, uses its scratch to the end, reads nothing that the table does
 * not list, and gives the same bits twice, on few rows and on more than any block of a kernel has.
 * Poison is bytes of ones: a NaN as a real and as a double, -1 as an integer. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/random.h"
#include "gen/job/job_passes.h"
#include "tests/support/compiled_codelets.h"
#include "tests/support/tiny_model.h"

enum { NSEGMENTS = 3, LATER = 3, UPDATED = 37, GUARD = 256 };

/* Own tokens of each segment, earlier ones; LATER more follow in its sequence. */
typedef struct Shape {
    struct {
        int tokens, context;
    } segment[NSEGMENTS];
} Shape;

static const Shape shapes[] = {
    {{{5, 0}, {17, 23}, {9, 0}}}, {{{1, 0}, {1, 2}, {1, 0}}}, {{{58, 0}, {150, 49}, {69, 131}}}};

/* Where one operand lies in the arena. One that goes by segments has a place for each. */
typedef struct Span {
    int64_t at[NSEGMENTS], bytes[NSEGMENTS];
    int     count;
} Span;

typedef struct Audit {
    Region        *region;
    CodeletRun    *run;
    const Codelet *codelet;
    Span           spans[PW_MAX_OPERANDS];
    unsigned char *arena, *before;
    int64_t        bytes;
    int            flags, segment_flags;
    const Shape   *shape;
    int            tokens; /* of all segments */
} Audit;

/* ---- places ---- */

static int64_t row_bytes(const CodeletOperand *operand)
{
    return (operand->columns ? operand->columns : UPDATED) * operand->element_bytes;
}

static int64_t segment_rows(const Audit *audit, int segment)
{
    return audit->shape->segment[segment].context + audit->shape->segment[segment].tokens;
}

static int64_t operand_bytes(const Audit *audit, const CodeletOperand *operand, int segment)
{
    switch (operand->rows) {
    case ROWS_TOKEN:
        return audit->tokens * row_bytes(operand);
    case ROWS_SEGMENT:
        return NSEGMENTS * row_bytes(operand);
    case ROWS_CONTEXT:
        return (segment_rows(audit, segment) + LATER) * row_bytes(operand);
    default:
        return operand->role == ROLE_SCRATCH ? codelet_scratch(audit->codelet, audit->tokens)
                                             : row_bytes(operand);
    }
}

static void lay_out(Audit *audit)
{
    audit->bytes = GUARD;
    for (int i = 0; i < audit->codelet->noperands; i++) {
        const CodeletOperand *operand = &audit->codelet->operands[i];
        Span                 *span    = &audit->spans[i];
        span->count                   = operand->rows == ROWS_CONTEXT ? NSEGMENTS : 1;
        for (int s = 0; s < span->count; s++) {
            span->at[s]    = audit->bytes;
            span->bytes[s] = operand_bytes(audit, operand, s);
            audit->bytes += (span->bytes[s] + GUARD + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
        }
    }
    audit->arena =
        aligned_alloc(PW_ALIGN, (size_t)audit->bytes + PW_ALIGN - (size_t)audit->bytes % PW_ALIGN);
    audit->before = malloc((size_t)audit->bytes);
    cr_assert(audit->arena && audit->before);
}

/* Rows [first, past) of what a segment's chain holds that this codelet may touch: pre its own,
 * core the earlier ones too. Everything, for an operand that does not go by segments. */
static void touched(const Audit *audit, int operand, int segment, int64_t *first, int64_t *past)
{
    const Codelet *codelet = audit->codelet;
    int64_t        row     = row_bytes(&codelet->operands[operand]);
    *first                 = audit->spans[operand].at[segment];
    *past                  = *first + audit->spans[operand].bytes[segment];
    if (codelet->operands[operand].rows == ROWS_CONTEXT) {
        *past = *first + segment_rows(audit, segment) * row;
        *first += codelet->part == PART_CORE ? 0 : audit->shape->segment[segment].context * row;
    }
}

/* ---- what goes in ---- */

static bool is_read(const Audit *audit, const CodeletOperand *operand)
{
    if (operand->access == ACCESS_READ)
        return true;
    if (operand->role == ROLE_KV && (audit->segment_flags & PW_SEGMENT_KV_KEPT))
        return true;
    if (operand->access != ACCESS_ADD)
        return false;
    return !(operand->role == ROLE_DWEIGHT && (audit->flags & PW_CALL_FIRST)) &&
           !(operand->role == ROLE_DKV && (audit->segment_flags & PW_SEGMENT_DKV_FIRST));
}

static bool is_written(const Audit *audit, const CodeletOperand *operand)
{
    return operand->access != ACCESS_READ &&
           !(operand->role == ROLE_KV && (audit->segment_flags & PW_SEGMENT_KV_KEPT));
}

static void fill_operand(Audit *audit, int index, uint64_t *state)
{
    const CodeletOperand *operand = &audit->codelet->operands[index];
    for (int s = 0; s < audit->spans[index].count; s++) {
        int64_t first, past;
        touched(audit, index, s, &first, &past);
        unsigned char *at = audit->arena + first;
        for (int64_t k = 0; k < (past - first) / operand->element_bytes; k++) {
            double value = random_unit(state) + 0.25; /* moments, scales and weights are > 0 */
            if (operand->role == ROLE_TOKENS && strcmp(operand->name, "weights") == 0)
                ((float *)at)[k] = (float)value;
            else if (operand->role == ROLE_TOKENS)
                ((int32_t *)at)[k] = (int32_t)random_below(state, audit->run->model->vocabulary);
            else if (operand->element_bytes == 8)
                ((double *)at)[k] = value;
            else
                ((float *)at)[k] = (float)value;
        }
    }
}

/* Everything is poison but what the table lists as read. */
static void fill(Audit *audit)
{
    uint64_t state = 11;
    memset(audit->arena, 0xff, (size_t)audit->bytes);
    for (int i = 0; i < audit->codelet->noperands; i++)
        if (is_read(audit, &audit->codelet->operands[i]))
            fill_operand(audit, i, &state);
    memcpy(audit->before, audit->arena, (size_t)audit->bytes);
}

/* What is written, and scratch, hold something else before the second run. */
static void spoil(Audit *audit)
{
    memcpy(audit->arena, audit->before, (size_t)audit->bytes);
    for (int i = 0; i < audit->codelet->noperands; i++) {
        const CodeletOperand *operand = &audit->codelet->operands[i];
        for (int s = 0; s < audit->spans[i].count && !is_read(audit, operand); s++) {
            int64_t first, past;
            touched(audit, i, s, &first, &past);
            memset(audit->arena + first, 0x5a, (size_t)(past - first));
        }
    }
}

static void run_once(Audit *audit)
{
    const Model  *model = audit->run->model;
    PwSegment     segments[NSEGMENTS];
    PwStepNumbers step = {.learning_rate  = 0.1,
                          .beta1          = 0.9,
                          .beta2          = 0.9,
                          .epsilon        = 1e-8,
                          .weight_decay   = 0.1,
                          .correction1    = 0.1,
                          .correction2    = 0.1,
                          .clip           = 1,
                          .inverse_weight = 0.125,
                          .seed           = 3,
                          .temperature    = 1};
    PwCall        call = {.arena      = audit->arena,
                          .tokens     = audit->tokens,
                          .segments   = segments,
                          .nsegments  = NSEGMENTS,
                          .flags      = audit->flags,
                          .heads      = (int32_t)model->heads,
                          .kv_heads   = (int32_t)model->kv_heads,
                          .vocabulary = model->vocabulary,
                          .count      = UPDATED,
                          .step       = &step};
    for (int s = 0, row = 0; s < NSEGMENTS; row += audit->shape->segment[s++].tokens)
        segments[s] = (PwSegment){.row     = row,
                                  .tokens  = audit->shape->segment[s].tokens,
                                  .context = audit->shape->segment[s].context,
                                  .flags   = audit->segment_flags,
                                  .kv      = -1,
                                  .dkv     = -1};
    for (int i = 0; i < audit->codelet->noperands; i++) {
        const CodeletOperand *operand = &audit->codelet->operands[i];
        call.at[i] = operand->rows == ROWS_CONTEXT ? NULL : audit->arena + audit->spans[i].at[0];
        for (int s = 0; s < NSEGMENTS && operand->rows == ROWS_CONTEXT; s++)
            *(operand->role == ROLE_KV ? &segments[s].kv : &segments[s].dkv) =
                audit->spans[i].at[s];
    }
    codelet_run_function(audit->run, audit->codelet)(&call);
}

/* ---- what came out ---- */

static void check_written(const Audit *audit, int index)
{
    const CodeletOperand *operand = &audit->codelet->operands[index];
    for (int s = 0; s < audit->spans[index].count; s++) {
        int64_t first, past;
        touched(audit, index, s, &first, &past);
        for (int64_t at = first; at < past; at += operand->element_bytes) {
            bool finite =
                operand->element_bytes == 8
                    ? isfinite(*(const double *)(audit->arena + at))
                    : operand->role == ROLE_NEXT || isfinite(*(const float *)(audit->arena + at));
            bool poison = true;
            for (int b = 0; b < operand->element_bytes; b++)
                poison = poison && audit->arena[at + b] == 0xff;
            if (poison || !finite)
                cr_assert(false, "%s, %s: element %lld of %lld is %s", audit->codelet->name,
                          operand->name, (long long)((at - first) / operand->element_bytes),
                          (long long)((past - first) / operand->element_bytes),
                          poison ? "not written" : "not finite: something unlisted was read");
        }
    }
}

/* The last line of scratch is no longer poison: what is declared is what is used. */
static void check_scratch(const Audit *audit, int index)
{
    const Span *span = &audit->spans[index];
    bool        used = false;
    for (int64_t i = span->bytes[0] - PW_ALIGN; i < span->bytes[0]; i++)
        used = used || audit->arena[span->at[0] + i] != 0xff;
    cr_assert(used, "%s, %d tokens: the last of %lld bytes of scratch are not written",
              audit->codelet->name, audit->tokens, (long long)span->bytes[0]);
}

/* Nothing changed outside of what is written and of scratch. */
static void check_untouched(const Audit *audit, const unsigned char *expected)
{
    unsigned char *copy = malloc((size_t)audit->bytes);
    cr_assert(copy);
    memcpy(copy, audit->arena, (size_t)audit->bytes);
    for (int i = 0; i < audit->codelet->noperands; i++)
        for (int s = 0; s < audit->spans[i].count; s++)
            if (is_written(audit, &audit->codelet->operands[i])) {
                int64_t first, past;
                touched(audit, i, s, &first, &past);
                memcpy(copy + first, expected + first, (size_t)(past - first));
            }
    bool same = memcmp(copy, expected, (size_t)audit->bytes) == 0;
    for (int64_t at = 0; !same && at < audit->bytes; at++)
        cr_assert_eq(copy[at], expected[at], "%s wrote to byte %lld, which no operand lists",
                     audit->codelet->name, (long long)at);
    free(copy);
}

static void check_same_bits(const Audit *audit, const unsigned char *first_run)
{
    for (int i = 0; i < audit->codelet->noperands; i++)
        for (int s = 0; s < audit->spans[i].count; s++) {
            int64_t first, past;
            touched(audit, i, s, &first, &past);
            if (is_written(audit, &audit->codelet->operands[i]) &&
                audit->codelet->operands[i].role != ROLE_SCRATCH)
                cr_assert_eq(
                    memcmp(audit->arena + first, first_run + first, (size_t)(past - first)), 0,
                    "%s, %s: other bits in another arena", audit->codelet->name,
                    audit->codelet->operands[i].name);
        }
}

static void audit_shape(CodeletRun *run, const Codelet *codelet, int flags, int segment_flags,
                        const Shape *shape)
{
    Audit audit = {.region        = run->region,
                   .run           = run,
                   .codelet       = codelet,
                   .flags         = flags,
                   .segment_flags = segment_flags,
                   .shape         = shape};
    for (int s = 0; s < NSEGMENTS; s++)
        audit.tokens += shape->segment[s].tokens;
    lay_out(&audit);
    fill(&audit);
    run_once(&audit);
    check_untouched(&audit, audit.before);
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].role == ROLE_SCRATCH)
            check_scratch(&audit, i);
        else if (is_written(&audit, &codelet->operands[i]))
            check_written(&audit, i);
    unsigned char *first_run = malloc((size_t)audit.bytes);
    cr_assert(first_run);
    memcpy(first_run, audit.arena, (size_t)audit.bytes);
    spoil(&audit);
    run_once(&audit);
    check_same_bits(&audit, first_run);
    free(first_run);
    free(audit.arena);
    free(audit.before);
}

static void audit_codelet(CodeletRun *run, const Codelet *codelet, int flags, int segment_flags)
{
    for (int i = 0; i < COUNT(shapes); i++)
        audit_shape(run, codelet, flags, segment_flags, &shapes[i]);
}

static void audit_model(Region *region, const Model *model, int real_bytes)
{
    Error     error    = {0};
    Codelets *codelets = differentiate(region, model, real_bytes, &error);
    cr_assert(codelets && fuse(region, codelets, model, &error), "%s", error.text);
    CodeletRun *run = codelet_run_new(region, model, codelets, real_bytes, SOURCE_FOLDER);
    for (int i = 0; i < codelets->count; i++)
        for (int flags = 0; flags <= PW_CALL_FIRST; flags++) {
            audit_codelet(run, &codelets->items[i], flags, 0);
            audit_codelet(run, &codelets->items[i], flags, PW_SEGMENT_DKV_FIRST);
            if (codelets->items[i].direction == DIRECTION_REBUILD)
                audit_codelet(run, &codelets->items[i], flags, PW_SEGMENT_KV_KEPT);
        }
    codelet_run_free(run);
}

static void audit_all(TinyShape tiny, int real_bytes)
{
    Region *region = region_new();
    audit_model(region, tiny_model(region, tiny), real_bytes);
    region_free(region);
}

Test(codelet_audit, grouped_heads)
{
    audit_all((TinyShape){0}, 4);
}

Test(codelet_audit, odd_shapes)
{
    audit_all((TinyShape){.hidden = 36, .heads = 3, .kv_heads = 3, .ffn = 51, .vocabulary = 257},
              4);
}

Test(codelet_audit, doubles)
{
    audit_all((TinyShape){0}, 8);
}

/* Every job in examples/, with the shapes that its users get. */
Test(codelet_audit, every_example)
{
    Region *region = region_new();
    Error   error  = {0};
    int     count, jobs = 0;
    char  **names = file_names(region, SOURCE_FOLDER "/examples", &count, &error);
    cr_assert(names, "%s", error.text);
    for (int i = 0; i < count; i++) {
        const char *path = path_join(region, SOURCE_FOLDER "/examples", names[i]);
        const char *end  = strrchr(names[i], '.');
        if (!end || strcmp(end, ".lua") != 0 ||
            !strstr(file_read(region, path, 1 << 20, NULL, &error), "return job"))
            continue;
        Job *job = job_parse(region, path, NULL, &error);
        cr_assert(job, "%s", error.text);
        audit_model(region, job->model, job->real_bytes);
        jobs++;
    }
    cr_expect(jobs > 0, "no example is a job");
    region_free(region);
}
