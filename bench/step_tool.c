/* step_tool: what bench/step needs and a shell cannot do.
 *
 *   step_tool peak THREADS
 *       fp32 operations (a multiply-add is two) of so many threads at once, each on a core of its
 *       own, in GFLOP/s: the best of some rounds
 *   step_tool data PREFIX KIND VOCABULARY WINDOW TOKENS
 *       a token set of random ids, TOKENS or a few more. KIND full: documents of WINDOW tokens;
 *       skewed: log-normal lengths, median 187, mean 374, cut at WINDOW */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gen/base/random.h"
#include "gen/base/region.h"
#include "gen/base/text.h"
#include "gen/data/index.h"
#include "templates/cpu/vector.h"

enum { MOST_THREADS = 64, TRIES = 10, ROUNDS = 2000000, CHAINS = 12 };

static int fail(const char *what)
{
    fprintf(stderr, "step_tool: %s\n", what);
    return 1;
}

/* ---- peak ---- */

typedef struct Prober {
    pthread_t          thread;
    pthread_barrier_t *barrier;
    int                core;
    double             rate; /* best of TRIES, operations a second                              */
} Prober;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Chains enough to fill both pipes. */
static void multiply_and_add(void)
{
    Vec sum[CHAINS], a = vec_all((real)0.999), b = vec_all((real)1e-3);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = vec_all((real)i); /* equal chains would be computed once */
    for (int round = 0; round < ROUNDS; round++) {
        VEC_UNROLL
        for (int i = 0; i < CHAINS; i++)
            sum[i] = vec_fma(sum[i], a, b);
        __asm__ volatile("" : "+x"(a), "+x"(b));
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] += sum[i];
    volatile real keep = vec_sum(sum[0]);
    (void)keep;
}

static void *probe(void *context)
{
    Prober   *prober = context;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(prober->core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    for (int i = 0; i < TRIES; i++) {
        pthread_barrier_wait(prober->barrier);
        double start = now();
        multiply_and_add();
        double rate  = 2.0 * LANES * CHAINS * ROUNDS / (now() - start);
        prober->rate = rate > prober->rate ? rate : prober->rate;
    }
    return NULL;
}

static int peak(int threads)
{
    Prober            probers[MOST_THREADS] = {0};
    pthread_barrier_t barrier;
    double            sum = 0;
    if (threads < 1 || threads > MOST_THREADS)
        return fail("1 to 64 threads");
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        probers[i] = (Prober){.barrier = &barrier, .core = i};
        if (pthread_create(&probers[i].thread, NULL, probe, &probers[i]) != 0)
            return fail("cannot start a thread");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(probers[i].thread, NULL);
        sum += probers[i].rate;
    }
    printf("%.1f\n", sum / 1e9);
    return 0;
}

/* ---- data ---- */

/* exp(ln 187 + sqrt(2 ln 2) z): the mean of a log-normal is its median times exp(s^2 / 2). */
static int64_t skewed_length(uint64_t *state, int64_t window)
{
    double u = 1 - random_unit(state), angle = 2 * M_PI * random_unit(state);
    double z      = sqrt(-2 * log(u)) * cos(angle);
    double length = 187 * exp(sqrt(2 * M_LN2) * z);
    return length < 2 ? 2 : length > (double)window ? window : (int64_t)length;
}

static int write_ids(const char *path, int64_t count, int64_t vocabulary, uint64_t *state)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return fail("cannot write the token set");
    for (int64_t i = 0; i < count; i++) {
        uint16_t id = (uint16_t)random_below(state, vocabulary);
        fwrite(&id, sizeof id, 1, file);
    }
    return ferror(file) | fclose(file) ? fail("cannot write the token set") : 0;
}

static int data(const char *prefix, const char *kind, int64_t vocabulary, int64_t window,
                int64_t tokens)
{
    Region  *region = region_new();
    Error    error;
    uint64_t state  = 1;
    int64_t *length = NULL, count = 0;
    int      documents = 0, room = 0;
    bool     skewed = strcmp(kind, "skewed") == 0;
    while (count < tokens) {
        int64_t n = skewed ? skewed_length(&state, window) : window;
        REGION_APPEND(region, length, documents, room, n);
        count += n;
    }
    if (!index_write(region_format(region, "%s.idx", prefix), length, documents, sizeof(uint16_t),
                     &error))
        return fail(error.text);
    return write_ids(region_format(region, "%s.bin", prefix), count, vocabulary, &state);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "peak") == 0)
        return peak(atoi(argv[2]));
    if (argc == 7 && strcmp(argv[1], "data") == 0)
        return data(argv[2], argv[3], atoll(argv[4]), atoll(argv[5]), atoll(argv[6]));
    return fail("usage: step_tool peak THREADS | data PREFIX KIND VOCABULARY WINDOW TOKENS");
}
