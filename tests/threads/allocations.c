/* No rank allocates once its first step is done: malloc and its relatives are replaced by ones that
 * count the calls of rank threads. A program of its own, because it takes malloc's place. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/launch.h"
#include "runtime/learning_rate.h"
#include "tests/support/toy_trainer.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local bool in_rank;
static atomic_long        calls;

void *malloc(size_t size)
{
    atomic_fetch_add(&calls, in_rank);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&calls, in_rank);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    atomic_fetch_add(&calls, in_rank);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&calls, in_rank);
    return __libc_memalign(alignment, size);
}

static void mark_thread(PwWorker *worker, void *context)
{
    (void)worker;
    (void)context;
    in_rank = true;
}

static void allocate_once(PwWorker *worker, void *context)
{
    (void)worker;
    *(void *volatile *)context = malloc(1);
}

int main(void)
{
    const PwJob *job       = toy_job(2);
    PwTeam       team      = {0};
    PwTokens     tokens    = {0};
    PwError      error     = {{0}, 0};
    PwTransport *transport = pw_threads_open(2, false);
    PwRecorder   recorder;
    char         folder[64], data[128];
    void *volatile piece;
    toy_folder(folder);
    snprintf(data, sizeof data, "%s/tokens", folder);
    toy_tokens(data, 11);
    if (!pw_tokens_open(&tokens, data, job->vocabulary, &error) ||
        !pw_team_open(&team, job, transport, &tokens, &error) ||
        !pw_recorder_open(&recorder, transport, 3, 0, INT64_MAX, &error))
        return fprintf(stderr, "%s\n", error.text), 1;
    pw_team_do(&team, mark_thread, NULL);
    for (int step = 0; step < 10; step++) {
        size_t         bytes;
        unsigned char *program = toy_program(2, step, false, &bytes);
        PwStepNumbers  numbers = pw_step_numbers(job, step, TOY_TOKENS);
        PwRecord *records = pw_recorder_begin(&recorder, (const PwProgram *)(const void *)program);
        if (!pw_program_check(program, bytes, job, "toy", &error) ||
            !pw_team_step(&team, (const PwProgram *)(const void *)program, &numbers, records,
                          &error))
            return fprintf(stderr, "%s\n", error.text), 1;
        free(program);
    }
    long within = atomic_load(&calls);
    pw_team_do(&team, allocate_once, (void *)&piece);
    long seen = atomic_load(&calls) - within;
    printf("%ld allocations within steps; %ld of 2 seen when there were some\n", within, seen);
    pw_recorder_close(&recorder);
    pw_team_close(&team);
    transport->close(transport);
    pw_tokens_close(&tokens);
    return within != 0 || seen != 2;
}
