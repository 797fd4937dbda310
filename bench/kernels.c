/* bench/kernels: what share of one core's multiply-add peak the CPU kernels reach. The peak is
 * probed in the same run, before each row, with independent accumulators of the widest vectors; a
 * row is the median of its repetitions and their range, by the time of the thread, so that a
 * neighbour on the core does not count. Useful operations: 2 per term of a product; of attention 4
 * HEAD_DIM (forward) and 8 HEAD_DIM (backward) per head and pair of query and key that it sees. The
 * peer is a BLAS, where one is found.
 *
 * usage: bench_kernels [SECONDS PER ROW] */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "templates/cpu/kernels.h"
#include "templates/cpu/vector.h"
#include "templates/scratch.h"

enum { MOST_RUNS = 1000, KV_HEADS = QKV / (HEAD_DIM * (GROUP + 2)), HEADS = KV_HEADS * GROUP };
enum { KV_ROW = 2 * KV_HEADS * HEAD_DIM };

static double seconds_per_row = 0.3;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Small numbers, so that nothing overflows or becomes denormal. */
static real *reals(int64_t count)
{
    real *p = aligned_alloc(PW_ALIGN, ((size_t)count * sizeof(real) + 4095) / 4096 * 4096);
    if (!p) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < count; i++)
        p[i] = (real)((double)((uint64_t)i * 2654435761u % 1000) / 1000 - 0.5);
    return p;
}

/* Operations a second of one core, best of some: chains enough to fill both pipes. */
static double probe_peak(void)
{
    enum { CHAINS = 12, ROUNDS = 200000 };
    double best = 0;
    for (int run = 0; run < 5; run++) {
        Vec    sum[CHAINS], a = vec_all((real)0.999), b = vec_all((real)1e-3);
        double start = now();
        for (int i = 0; i < CHAINS; i++)
            sum[i] = vec_all((real)i); /* equal chains would be computed once */
        for (int round = 0; round < ROUNDS; round++) {
            VEC_UNROLL
            for (int i = 0; i < CHAINS; i++)
                sum[i] = vec_fma(sum[i], a, b);
            __asm__ volatile("" : "+x"(a), "+x"(b));
        }
        double rate = 2.0 * LANES * CHAINS * ROUNDS / (now() - start);
        for (int i = 1; i < CHAINS; i++)
            sum[0] += sum[i];
        volatile real keep = vec_sum(sum[0]);
        (void)keep;
        best = rate > best ? rate : best;
    }
    return best;
}

typedef struct Work {
    int64_t       n, out, in; /* rows; of products also columns and terms                      */
    real         *x, *w, *y, *small;
    PwCall        call;
    PwStepNumbers step;
    void         *scratch;
} Work;

typedef void (*Run)(Work *work);

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One row: runs until the time is up; `amount` is operations, or bytes, of one run. */
static void measure(const char *name, Run run, Work *work, double amount, int is_bytes)
{
    static double rate[MOST_RUNS];
    double        peak = probe_peak(), end = now() + seconds_per_row;
    int           runs = 0;
    run(work);
    while (runs < 3 || (now() < end && runs < MOST_RUNS)) {
        double start = now();
        run(work);
        rate[runs++] = amount / (now() - start) / 1e9;
    }
    qsort(rate, (size_t)runs, sizeof *rate, by_size);
    printf("%-30s %7.1f [%.1f-%.1f] ", name, rate[runs / 2], rate[0], rate[runs - 1]);
    if (is_bytes)
        printf("GB/s\n");
    else
        printf("GFLOP/s %4.0f%% of %.1f\n", 100e9 * rate[runs / 2] / peak, peak / 1e9);
    fflush(stdout);
}

static void run_forward(Work *w)
{
    PW_KERNEL(matmul_forward)(w->y, w->x, w->w, NULL, w->n, w->out, w->in, w->scratch);
}

static void run_dx(Work *w)
{
    PW_KERNEL(matmul_backward_dx)(w->x, w->y, w->w, w->n, w->out, w->in, w->scratch);
}

static void run_dw(Work *w)
{
    PW_KERNEL(matmul_backward_dw)(w->w, w->y, w->x, w->n, w->out, w->in, 0, w->scratch);
}

/* cblas_sgemm of a BLAS that can be loaded, one thread. */
static void (*peer)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                    const void *a, int lda, const void *b, int ldb, float beta, void *c, int ldc);

static const char *load_peer(void)
{
    static const char *const names[] = {"libopenblas.so.0", "libblis.so.4", "libblas.so.3"};
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_NOW);
        void *symbol  = library ? dlsym(library, "cblas_sgemm") : NULL;
        if (symbol) {
            memcpy(&peer, &symbol, sizeof symbol);
            return names[i];
        }
    }
    return NULL;
}

static void run_peer(Work *w)
{
    enum { ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112 };
    peer(ROW_MAJOR, AS_IT_IS, TRANSPOSED, (int)w->n, (int)w->out, (int)w->in, 1, w->x, (int)w->in,
         w->w, (int)w->in, 0, w->y, (int)w->out);
}

static void measure_products(int64_t n, int64_t out, int64_t in)
{
    static const char *const kinds[] = {"NT", "NN", "TN"};
    char                     name[3][64];
    const int64_t            scratch = MATMUL_SCRATCH(MATMUL_ROWS, MATMUL_COLUMNS, MATMUL_DEPTH, 1);
    double                   flops   = 2.0 * (double)n * (double)out * (double)in;
    Work                     work    = {
                               .n       = n,
                               .out     = out,
                               .in      = in,
                               .x       = reals(n * in),
                               .w       = reals(out * in),
                               .y       = reals(n * out),
                               .scratch = reals(scratch),
    };
    for (int i = 0; i < 3; i++)
        snprintf(name[i], sizeof name[i], "%s %ld x %ld -> %ld", kinds[i], (long)n, (long)in,
                 (long)out);
    measure(name[0], run_forward, &work, flops, 0);
    if (peer && sizeof(real) == sizeof(float))
        measure("   peer", run_peer, &work, flops, 0);
    measure(name[1], run_dx, &work, flops, 0);
    measure(name[2], run_dw, &work, flops, 0);
    free(work.x);
    free(work.w);
    free(work.y);
    free(work.scratch);
}

static void run_attention(Work *w)
{
    PW_KERNEL(attention_forward)(w->y, w->small, w->x, &w->call, w->scratch);
}

static void run_attention_backward(Work *w)
{
    PW_KERNEL(attention_backward)(w->w, w->y, w->x, w->y, w->small, &w->call, w->scratch);
}

/* `nsegments` documents of `length` tokens. */
static void measure_attention(int64_t nsegments, int64_t length)
{
    char       name[64];
    int64_t    n = nsegments * length, size = n * HEADS * HEAD_DIM;
    int64_t    kv_bytes = n * KV_ROW * (int64_t)sizeof(real);
    PwSegment *segments = calloc((size_t)nsegments, sizeof *segments);
    double     pairs    = (double)n * (double)(length + 1) / 2 * HEADS;
    Work       work     = {
                  .x       = reals(size),
                  .w       = reals(size),
                  .y       = reals(size),
                  .small   = reals(n * HEADS),
                  .scratch = reals(ATTENTION_BACKWARD_SCRATCH(HEAD_DIM, 1) +
                                   n * ATTENTION_FORWARD_TOKEN_SCRATCH(HEADS, 1)),
                  .call    = {.arena     = (unsigned char *)reals(2 * n * KV_ROW),
                              .tokens    = n,
                              .segments  = segments,
                              .nsegments = nsegments,
                              .heads     = HEADS,
                              .kv_heads  = KV_HEADS},
    };
    for (int64_t s = 0; s < nsegments; s++) {
        int64_t at  = s * length * KV_ROW * (int64_t)sizeof(real);
        segments[s] = (PwSegment){.row    = (int32_t)(s * length),
                                  .tokens = (int32_t)length,
                                  .flags  = PW_SEGMENT_DKV_FIRST,
                                  .kv     = at,
                                  .dkv    = at + kv_bytes};
    }
    snprintf(name, sizeof name, "attention %ld x %ld", (long)nsegments, (long)length);
    measure(name, run_attention, &work, pairs * 4 * HEAD_DIM, 0);
    snprintf(name, sizeof name, "attention backward %ld x %ld", (long)nsegments, (long)length);
    measure(name, run_attention_backward, &work, pairs * 8 * HEAD_DIM, 0);
    free(work.x);
    free(work.w);
    free(work.y);
    free(work.small);
    free(work.scratch);
    free(work.call.arena);
    free(segments);
}

static void run_swiglu(Work *w)
{
    PW_KERNEL(swiglu_forward)(w->y, w->x, w->n);
}

static void run_swiglu_backward(Work *w)
{
    PW_KERNEL(swiglu_backward)(w->w, w->y, w->x, w->n);
}

static void run_rmsnorm(Work *w)
{
    PW_KERNEL(rmsnorm_forward)(w->y, w->small, w->x, w->w, w->n);
}

static void run_rmsnorm_backward(Work *w)
{
    PW_KERNEL(rmsnorm_backward)(w->y, w->w, w->x, w->x, w->small, w->w, NULL, w->n, PW_CALL_FIRST);
}

static void run_rope(Work *w)
{
    PW_KERNEL(rope_forward)(w->y, w->x, w->w, &w->call);
}

static void run_adamw(Work *w)
{
    const double factor = 1;
    PW_KERNEL(adamw)(w->x, w->y, w->w, w->small, &factor, w->n, 1, &w->step);
}

static void free_rows(Work *work)
{
    free(work->x);
    free(work->w);
    free(work->y);
    free(work->small);
    free(work->call.arena);
}

/* Bytes that must be read and written, once each. */
static void measure_rows(void)
{
    enum { N = 512, WIDE = N * 2 * FFN, WEIGHTS = 4000000 };
    const double bytes   = sizeof(real);
    PwSegment    segment = {.tokens = N};
    Work         work    = {
                   .n     = N,
                   .x     = reals(WIDE),
                   .w     = reals(WIDE),
                   .y     = reals(WIDE),
                   .small = reals(N),
                   .call  = {.arena     = (unsigned char *)reals(N * KV_ROW),
                             .tokens    = N,
                             .segments  = &segment,
                             .nsegments = 1,
                             .heads     = HEADS,
                             .kv_heads  = KV_HEADS},
    };
    measure("swiglu", run_swiglu, &work, 3.0 * N * FFN * bytes, 1);
    measure("swiglu backward", run_swiglu_backward, &work, 5.0 * N * FFN * bytes, 1);
    measure("rmsnorm", run_rmsnorm, &work, 2.0 * N * HIDDEN * bytes, 1);
    measure("rmsnorm backward", run_rmsnorm_backward, &work, 3.0 * N * HIDDEN * bytes, 1);
    measure("rope", run_rope, &work, 2.0 * N * QKV * bytes, 1);
    free_rows(&work);
    work = (Work){
        .n     = WEIGHTS,
        .x     = reals(WEIGHTS),
        .w     = reals(WEIGHTS),
        .y     = reals(WEIGHTS),
        .small = reals(WEIGHTS),
        .step  = {.learning_rate  = 1e-3,
                  .beta1          = 0.9,
                  .beta2          = 0.95,
                  .epsilon        = 1e-8,
                  .correction1    = 1,
                  .correction2    = 1,
                  .inverse_weight = 1},
    };
    for (int64_t i = 0; i < WEIGHTS; i++)
        work.w[i] *= work.w[i]; /* the second moment */
    measure("adamw", run_adamw, &work, 7.0 * WEIGHTS * bytes, 1);
    free_rows(&work);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][2] = {{256, 704},  {704, 256},  {256, 256}, {512, 1024},
                                        {512, 2816}, {1408, 512}, {512, 8192}};
    if (argc > 1)
        seconds_per_row = atof(argv[1]);
    const char *name = load_peer();
    printf("one core: %.1f GFLOP/s; vectors of %d reals of %zu bytes; peer: %s\n",
           probe_peak() / 1e9, (int)LANES, sizeof(real), name ? name : "none found");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        measure_products(256, shapes[i][1], shapes[i][0]);
    measure_products(64, 1024, 512);
    measure_products(2048, 1024, 512);
    measure_attention(1, 2048);
    measure_attention(1, 1024);
    measure_attention(2, 512);
    measure_attention(8, 200);
    measure_rows();
    return 0;
}
