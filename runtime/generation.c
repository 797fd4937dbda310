/* generation: one program, a prompt in, sampled tokens out, all as numbers: the trainer knows no
 * tokenizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/disk.h"
#include "runtime/run.h"

enum { PROGRAM_LIMIT_MIB = 1024, PROMPT_LIMIT_MIB = 64 };

/* Whole numbers with space between them. */
static bool read_prompt(PwTokens *tokens, const char *path, PwError *error)
{
    int64_t length;
    char   *text = pw_disk_read(path, (int64_t)PROMPT_LIMIT_MIB << 20, &length, error);
    if (!text)
        return false;
    int32_t *numbers = malloc(((size_t)length / 2 + 1) * sizeof *numbers);
    bool     good    = numbers || pw_fail(error, "%s: no memory to read it", path);
    char    *at      = text;
    while (good && *(at += strspn(at, " \t\r\n"))) {
        char     *end;
        long long token = strtoll(at, &end, 10);
        if (end == at || token < 0 || token >= tokens->vocabulary)
            good = pw_input(error, "%s: found \"%.20s\", expected a token below %lld", path, at,
                            (long long)tokens->vocabulary);
        else
            numbers[tokens->ntyped++] = (int32_t)token;
        at = end;
    }
    free(text);
    tokens->typed_prompt = numbers;
    return good;
}

static const PwProgram *read_program(const char *path, const PwJob *job, char **bytes,
                                     PwError *error)
{
    int64_t length;
    *bytes = pw_disk_read(path, (int64_t)PROGRAM_LIMIT_MIB << 20, &length, error);
    if (!*bytes || !pw_program_check(*bytes, (uint64_t)length, job, path, error))
        return NULL;
    const PwProgram *program = (const PwProgram *)(const void *)*bytes;
    if (program->kind == PW_GENERATE)
        return program;
    pw_input(error, "%s: not a program that generates", path);
    return NULL;
}

static bool print_tokens(const PwTeam *team, const PwProgram *program, PwError *error)
{
    for (int number = 0; number < team->nranks; number++) {
        const PwRank *rank = pw_program_rank(program, number);
        if (rank->next < 0)
            continue;
        const int32_t *next =
            (const int32_t *)(const void *)(team->workers[number].arena.at + rank->next);
        for (int64_t i = 0; i < rank->nnext; i++)
            printf("%s%d", i ? " " : "", next[i]);
        printf("\n");
        return true;
    }
    return pw_input(error, "the program samples no token");
}

bool pw_generate(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error)
{
    PwRun         run;
    char         *bytes   = NULL;
    PwStepNumbers numbers = {
        .seed = (uint64_t)options->seed, .temperature = options->temperature, .inverse_weight = 1};
    bool good = pw_run_open(&run, job, transport, options, true, error) &&
                read_prompt(&run.tokens, options->prompt, error);
    const PwProgram *program = good ? read_program(options->program, job, &bytes, error) : NULL;
    good                     = program && pw_team_step(&run.team, program, &numbers, NULL, error) &&
           print_tokens(&run.team, program, error);
    free(bytes);
    free((void *)run.tokens.typed_prompt);
    pw_run_close(&run);
    return good;
}
