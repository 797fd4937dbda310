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
    {"prompt-tokens", "\"1 2 3\"", "the same as token numbers; the answer is numbers then"},
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
    if (!program)
        return false;
    if (!compile_lower_forward(job, program, error))
        return program_peak(program) < 0
                   ? false
                   : error_input(error,
                                 "%s; fewer --tokens after a shorter prompt take less, or train "
                                 "with cluster.memory = %lld",
                                 region_copy(region, error->text),
                                 (long long)program_peak(program));
    if (!compile_end_forward(job, program, NULL, error))
        return false;
    program_store(program, job->codelets, &stored);
    return file_write(path, stored.at, stored.length, error);
}

/* What to go on from, as the trainer reads it: numbers, and how many. */
typedef struct Prompt {
    const Tokenizer *tokenizer; /* of the answer; NULL: it stays numbers                        */
    const char      *text;      /* NULL where numbers were given                                */
    const char      *numbers;
    int64_t          count;
} Prompt;

static bool numbers_of_text(Region *region, const Model *model, Prompt *prompt, Error *error)
{
    prompt->tokenizer = tokenizer_named(model->tokenizer, error);
    if (!prompt->tokenizer)
        return error_input(error,
                           "--prompt: the model's vocabulary is %lld numbers of a tokenizer that "
                           "is not here; give the prompt as numbers, --prompt-tokens \"1 2 3\"",
                           (long long)model->vocabulary);
    size_t   length = strlen(prompt->text);
    int32_t *tokens = REGION_ARRAY(region, int32_t, length);
    Text     text   = text_new(region);
    prompt->count   = prompt->tokenizer->encode(prompt->tokenizer, prompt->text, length, tokens);
    for (int64_t i = 0; i < prompt->count; i++)
        text_add(&text, "%d ", tokens[i]);
    prompt->numbers = text.at;
    return true;
}

/* Numbers with spaces or commas between them. */
static bool numbers_as_given(Region *region, const Model *model, const char *given, Prompt *prompt,
                             Error *error)
{
    Text text = text_new(region);
    for (const char *at = given + strspn(given, " ,"); *at; at += strspn(at, " ,")) {
        char     *end;
        long long number = strtoll(at, &end, 10);
        if (end == at || number < 0 || number >= model->vocabulary || !strchr(" ,", *end))
            return error_input(error,
                               "--prompt-tokens: found \"%.20s\", expected numbers from 0 to %lld",
                               at, (long long)model->vocabulary - 1);
        text_add(&text, "%lld ", number);
        prompt->count++;
        at = end;
    }
    prompt->numbers = text.at;
    return true;
}

static bool read_prompt(const Arguments *arguments, const Model *model, int64_t tokens,
                        Prompt *prompt, Error *error)
{
    const char *given = argument(arguments, "prompt-tokens");
    *prompt           = (Prompt){.text = argument(arguments, "prompt")};
    if (given && prompt->text)
        return error_input(error, "--prompt-tokens: takes the place of --prompt; give one of them");
    if (!(given ? numbers_as_given(arguments->region, model, given, prompt, error)
                : !prompt->text || numbers_of_text(arguments->region, model, prompt, error)))
        return false;
    if (prompt->count == 0)
        return error_input(error,
                           "pipewright generate: --prompt \"...\" is missing; the model goes on "
                           "from it");
    if (prompt->count + tokens > model->context)
        return error_input(error,
                           "--tokens: found %lld after a prompt of %s, expected together at most "
                           "the context, %lld",
                           (long long)tokens, text_count(arguments->region, prompt->count, "token"),
                           (long long)model->context);
    return true;
}

/* Prints what the trainer wrote: as text, up to an end of document, or as it is. */
static void print_answer(Region *region, const Prompt *prompt, const char *numbers)
{
    Text  text = text_new(region);
    char *end;
    if (!prompt->tokenizer) {
        printf("%s", numbers);
        return;
    }
    for (const char *at = numbers;; at = end) {
        int32_t token = (int32_t)strtol(at, &end, 10);
        if (end == at || token == prompt->tokenizer->end_of_document)
            break;
        prompt->tokenizer->decode(prompt->tokenizer, &token, 1, &text);
    }
    fputs(prompt->text, stdout);
    fwrite(text.at, 1, text.length, stdout);
    printf("\n");
}

/* Program and prompt lie in the run's folder as long as the trainer needs them. */
static bool ask_trainer(const Arguments *arguments, Compilation *job, const char *artifact,
                        const Prompt *prompt, int64_t tokens, Text *answer, Error *error)
{
    Region     *region      = arguments->region;
    const char *run_path    = arguments->words[0];
    const char *program     = region_format(region, "%s/generate.%d.pw", run_path, (int)getpid());
    const char *text        = region_format(region, "%s/prompt.%d.txt", run_path, (int)getpid());
    const char *temperature = argument(arguments, "temperature");
    const char *seed        = argument(arguments, "seed");
    const char *argv[]      = {path_join(region, artifact, "train"),
                               "--generate",
                               program,
                               "--prompt-file",
                               text,
                               "--out",
                               run_path,
                               "--seed",
                          seed ? seed : "1",
                               "--temperature",
                          temperature ? temperature : "0.8",
                               NULL};
    bool        good        = file_write(text, prompt->numbers, strlen(prompt->numbers), error) &&
                store_program(region, job, program, prompt->count, tokens, error) &&
                process_must_read(argv, answer, error);
    unlink(program);
    unlink(text);
    return good;
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region   = arguments->region;
    const char *artifact = run_artifact(region, arguments->words[0], error);
    Text        answer   = text_new(region);
    int64_t     tokens, seed;
    Compilation job;
    Prompt      prompt;
    if (!artifact || !argument_number(arguments, "tokens", 1, 200, &tokens, error) ||
        !argument_number(arguments, "seed", 0, 1, &seed, error) ||
        !open_artifact(region, artifact, &job, error) ||
        !read_prompt(arguments, job.model, tokens, &prompt, error) ||
        !ask_trainer(arguments, &job, artifact, &prompt, tokens, &answer, error))
        return false;
    print_answer(region, &prompt, answer.at);
    return true;
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
