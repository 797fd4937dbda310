/* init: a commented starter job made from what the user has, and .luarc.json for editors. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/job_command.h"

static const Option options[] = {
    {"model", "config.json", "a Hugging Face config: the shape, no weights needed"},
    {"data", "PREFIX.idx|DIR", "a token set in Megatron's format, a folder of text, or FILE.jsonl"},
    {"cluster", "cpu:N", "N ranks of this machine; default cpu:2"},
    {"context", "TOKENS", "longest sequence; default 2K"},
    {"force", NULL, "overwrites an existing job file"},
    {0},
};

enum { STARTER_LAYERS = 6, RANKS_MAX = 4096 };

static void add_data(Text *text, const char *data, const char *context)
{
    text_add(text,
             "  -- documents: a folder or a glob of UTF-8 text; jsonl { files = ... }; or a token "
             "set in Megatron's\n  -- format. What is longer than the context is split; "
             "\"cut\" and \"error\" are the others.\n");
    if (text_ends(data, ".idx"))
        text_add(text,
                 "  data    = token_set { prefix = \"%.*s\", context = \"%s\", long = \"split\", "
                 "held_out = \"1%%\" },\n",
                 (int)(strlen(data) - 4), data, context);
    else
        text_add(text,
                 "  data    = %s { files = \"%s\", context = \"%s\", long = \"split\", "
                 "held_out = \"1%%\" },\n",
                 text_ends(data, ".jsonl") ? "jsonl" : "text", data, context);
}

static void add_job(Text *text, const char *model, const char *data, int64_t ranks,
                    const char *context)
{
    text_add(text,
             "-- A Pipewright job. `pipewright plan %s` shows what it will do, `pipewright run` "
             "trains.\nreturn job {\n",
             "THIS_FILE");
    if (model)
        text_add(text,
                 text_ends(data, ".idx")
                     ? "  -- the shape; weights start from the seed\n  model   = hf \"%s\",\n"
                     : "  -- the shape, for a vocabulary of bytes as documents are read; weights "
                       "start from the seed\n"
                       "  model   = hf { config = \"%s\", vocab = \"bytes\" },\n",
                 model);
    else
        text_add(text,
                 "  -- a Llama-style decoder; \"bytes\": 256 bytes and an end of document\n"
                 "  model   = llama { layers = %d, hidden = 256, heads = 4, kv_heads = 4, "
                 "ffn = 704, vocab = \"bytes\" },\n",
                 STARTER_LAYERS);
    add_data(text, data, context);
    text_add(text,
             "  cluster = cpu { ranks = %lld, memory = \"1 GiB\" },  -- memory of one rank\n"
             "  layout  = { stages = %lld },                       -- pipeline stages\n"
             "  policy  = { \"seq1f1b\", slices = 4 },            -- or \"gpipe\", \"1f1b\", "
             "\"zb1p\", or "
             "\"mine.lua\"\n"
             "  train   = { batch = tokens \"32K\", steps = 300, seed = 1, clip = 1.0,\n"
             "              optimizer = adamw { lr = \"1e-3\", weight_decay = 0.1 },\n"
             "              curve = cosine { warmup = 20, final = \"1e-4\" },\n"
             "              save = { every = 100, keep = 2 }, evaluate = { every = 50 } },\n}\n",
             (long long)ranks, (long long)ranks);
}

/* What the user names, seen from here, as the job file names it, seen from its own folder. */
static const char *from_folder(Region *region, const char *option, const char *path,
                               const char *folder, Error *error)
{
    char whole[PATH_MAX], base[PATH_MAX];
    if (!path)
        return "";
    if (!realpath(path, whole))
        return error_input(error, "--%s: %s: %s", option, path, strerror(errno)), NULL;
    if (!strcmp(folder, ".") && path[0] != '/')
        return path;
    size_t length = realpath(folder, base) ? strlen(base) : 0;
    bool   below  = length > 0 && !strncmp(whole, base, length) && whole[length] == '/';
    return region_format(region, "%s", whole + (below ? length + 1 : 0));
}

/* Job files read nothing outside their folder. */
static bool check_model(const char *model, const char *job, Error *error)
{
    return (model[0] != '/' && !strstr(model, "..")) ||
           error_input(error, "--model: %s lies outside the folder of %s; copy it there", model,
                       job);
}

/* A rank has a stage of its own, and a stage at least half a layer; how many layers a config has is
 * seen when the job is read. */
static bool parse_cluster(const char *text, bool has_model, int64_t *ranks, Error *error)
{
    char   *end  = NULL;
    int64_t most = has_model ? RANKS_MAX : 2 * STARTER_LAYERS;
    if (!text)
        return true;
    if (!strncmp(text, "cpu:", 4) && (*ranks = strtoll(text + 4, &end, 10)) > 0 && *ranks <= most &&
        !*end)
        return true;
    return error_input(error,
                       "--cluster: found \"%s\", expected cpu:N, such as cpu:2, with at most %lld "
                       "ranks%s",
                       text, (long long)most,
                       has_model ? "" : ", two for each layer of the starter's model");
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region  = arguments->region;
    const char *path    = arguments->words[0];
    const char *data    = argument(arguments, "data");
    const char *context = argument(arguments, "context");
    const char *folder  = path_folder(region, path);
    int64_t     ranks   = 2, tokens;
    if (!text_ends(path, ".lua"))
        return error_input(error, "pipewright init: found \"%s\", expected a name ending in .lua",
                           path);
    if (file_exists(path) && !argument(arguments, "force"))
        return error_input(error, "%s: exists; --force overwrites it", path);
    if (!parse_cluster(argument(arguments, "cluster"), argument(arguments, "model"), &ranks, error))
        return false;
    if (context && (!text_to_tokens(context, &tokens) || tokens < 1))
        return error_input(error, "--context: found \"%s\", expected tokens, such as 4K", context);
    const char *model = from_folder(region, "model", argument(arguments, "model"), folder, error);
    const char *given = model ? from_folder(region, "data", data, folder, error) : NULL;
    if (!given || !check_model(model, path, error))
        return false;
    Text job = text_new(region);
    add_job(&job, *model ? model : NULL, data ? given : "corpus", ranks, context ? context : "2K");
    char *named = strstr(job.at, "THIS_FILE");
    Text  text  = text_new(region);
    text_add(&text, "%.*s%s%s", (int)(named - job.at), job.at, path_name(path),
             named + strlen("THIS_FILE"));
    Text luarc = text_new(region);
    text_add(
        &luarc,
        "{\n  \"runtime.version\": \"Lua 5.4\",\n  \"workspace.library\": [\"%s/lua/meta\"]\n}\n",
        data_folder());
    const char *editor = path_join(region, folder, ".luarc.json");
    if (!file_make_folders(folder, error) || !file_write(path, text.at, text.length, error) ||
        (!file_exists(editor) && !file_write(editor, luarc.at, luarc.length, error)))
        return false;
    printf("%s: a starter job; next: pipewright %s %s\n", path,
           data && text_ends(data, ".idx") ? "plan" : "data", path);
    return true;
}

const Command command_init = {
    .name      = "init",
    .words     = "FILE.lua",
    .min_words = 1,
    .max_words = 1,
    .summary   = "writes a commented starter job from what you have",
    .options   = options,
    .run       = run,
};
