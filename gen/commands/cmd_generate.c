/* generate: text from a trained run. A program of its own: a prompt, then one token a chunk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"
#include "gen/data/tokenizer.h"

static const Option options[] = {
    {"prompt", "TEXT", "what the text begins with"},
    {"tokens", "N", "how many new tokens; default 200"},
    {"seed", "S", "of the sampling; default 1"},
    {"temperature", "T", "0 takes the likeliest token; default 0.8"},
    {0},
};

/* Compiles and stores the one program. */
static bool store_program(Region *region, Compilation *job, const char *path, int64_t prompt,
                          int64_t tokens, Error *error)
{
    Text     stored = text_new(region);
    Program *program =
        expand_generate(region, prompt, tokens, job->model, job->codelets, job->layout, error);
    if (!program || !compile_forward(job, program, NULL, error))
        return false;
    program_store(program, job->codelets, &stored);
    return file_write(path, stored.at, stored.length, error);
}

/* The prompt as the trainer reads it: numbers. */
static const char *prompt_numbers(Region *region, const Tokenizer *tokenizer, const char *prompt,
                                  int64_t *count)
{
    size_t   length = strlen(prompt);
    int32_t *tokens = REGION_ARRAY(region, int32_t, length);
    Text     text   = text_new(region);
    *count          = tokenizer->encode(tokenizer, prompt, length, tokens);
    for (int64_t i = 0; i < *count; i++)
        text_add(&text, "%d ", tokens[i]);
    return text.at;
}

/* Prints the numbers that the trainer wrote as text, up to an end of document. */
static void print_answer(Region *region, const Tokenizer *tokenizer, const char *prompt,
                         const char *numbers)
{
    Text  text = text_new(region);
    char *end;
    for (const char *at = numbers;; at = end) {
        int32_t token = (int32_t)strtol(at, &end, 10);
        if (end == at || token == tokenizer->end_of_document)
            break;
        tokenizer->decode(tokenizer, &token, 1, &text);
    }
    fputs(prompt, stdout);
    fwrite(text.at, 1, text.length, stdout);
    printf("\n");
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region   = arguments->region;
    const char *run_path = arguments->words[0];
    const char *prompt   = argument(arguments, "prompt");
    const char *artifact = run_artifact(region, run_path, error);
    int64_t     tokens, seed;
    Compilation job;
    if (!artifact || !argument_number(arguments, "tokens", 1, 200, &tokens, error) ||
        !argument_number(arguments, "seed", 0, 1, &seed, error) ||
        !open_artifact(region, artifact, &job, error))
        return false;
    if (!prompt || !*prompt)
        return error_input(error,
                           "pipewright generate: --prompt \"...\" is missing; the model goes "
                           "on from it, byte by byte");
    if ((int64_t)strlen(prompt) + tokens > job.model->context)
        return error_input(error,
                           "--tokens: found %lld after a prompt of %zu bytes, expected "
                           "together at most the context, %lld",
                           (long long)tokens, strlen(prompt), (long long)job.model->context);
    int64_t          count;
    const Tokenizer *tokenizer = tokenizer_named(job.model->tokenizer, error);
    if (!tokenizer)
        return false;
    const char *numbers     = prompt_numbers(region, tokenizer, prompt, &count);
    Text        answer      = text_new(region);
    const char *program     = region_format(region, "%s/generate.%d.pw", run_path, (int)getpid());
    const char *text        = region_format(region, "%s/prompt.%d.txt", run_path, (int)getpid());
    const char *temperature = argument(arguments, "temperature");
    const char *argv[]      = {path_join(region, artifact, "train"),
                               "--generate",
                               program,
                               "--prompt-file",
                               text,
                               "--out",
                               run_path,
                               "--seed",
                               region_format(region, "%lld", (long long)seed),
                               "--temperature",
                          temperature ? temperature : "0.8",
                               NULL};
    bool        good        = file_write(text, numbers, strlen(numbers), error) &&
                store_program(region, &job, program, count, tokens, error) &&
                process_must_read(argv, &answer, error);
    if (good)
        print_answer(region, tokenizer, prompt, answer.at);
    unlink(program);
    unlink(text);
    return good;
}

const Command command_generate = {
    .name      = "generate",
    .words     = "RUN",
    .min_words = 1,
    .max_words = 1,
    .summary   = "lets a trained model write on from a prompt",
    .options   = options,
    .run       = run,
};
