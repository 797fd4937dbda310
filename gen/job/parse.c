/* parse: the user's Lua file -> job.
 *   reads    the file, what it includes, lua/job.lua and what that needs
 *   writes   Job, its model; its tree with every field's origin
 *   fails    what lua/job.lua finds wrong: file, line, field, found, expected, nearest right name
 *   stands   first: everything else is made from what it returns
 * The file runs in the sandbox; lua/job.lua checks it and fills in defaults there. */
#include <string.h>

#include <lauxlib.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/forms/job.h"
#include "gen/host/sandbox.h"
#include "gen/host/values.h"
#include "gen/job/field_line.h"

enum { JOB_BYTES_MAX = 1 << 20 };

/* What the child needs to know. */
typedef struct Parsing {
    const char        *path;
    const char *const *sets;
    char             **policies, **families;
    int                npolicies, nfamilies;
} Parsing;

/* ours(name, ...): runs one of our Lua files and returns its value. */
static int run_ours(lua_State *lua)
{
    sandbox_load_ours(lua, luaL_checkstring(lua, 1));
    lua_replace(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

/* Calls the function that `constructor` was given with the place of the call before its arguments.
 * A C function, since a tail call to a Lua one would lose that place. */
static int construct(lua_State *lua)
{
    lua_Debug at = {.currentline = 0};
    int       n  = lua_gettop(lua);
    if (lua_getstack(lua, 1, &at))
        lua_getinfo(lua, "Sl", &at);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_pushstring(lua, at.short_src);
    lua_insert(lua, 2);
    lua_pushinteger(lua, at.currentline);
    lua_insert(lua, 3);
    lua_call(lua, n + 2, 1);
    return 1;
}

static int make_constructor(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    lua_settop(lua, 1);
    lua_pushcclosure(lua, construct, 1);
    return 1;
}

/* field_line(file, line, constructor, path): a line, or nil. */
static int find_field_line(lua_State *lua)
{
    const char *source = sandbox_source(lua, luaL_checkstring(lua, 1));
    int         line   = (int)luaL_checkinteger(lua, 2);
    if (!source)
        return 0;
    sandbox_charge(lua, (int64_t)strlen(source) / 8 + 1);
    line = field_line(source, line, luaL_checkstring(lua, 3), luaL_checkstring(lua, 4));
    if (line == 0)
        return 0;
    lua_pushinteger(lua, line);
    return 1;
}

/* config(name): a JSON file in the job's folder or below it, as a table; or nil and why not. */
static int read_config(lua_State *lua)
{
    size_t      length;
    const char *why  = NULL;
    const char *text = sandbox_read(lua, luaL_checkstring(lua, 1), &length, &why);
    json_t     *tree = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(tree)) {
        values_push(lua, tree);
        return 1;
    }
    lua_pushnil(lua);
    lua_pushstring(lua, text ? "it is no file that holds one JSON object" : why);
    return 2;
}

static void push_texts(lua_State *lua, const char *const *texts, int count)
{
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushstring(lua, texts[i]);
        lua_rawseti(lua, -2, i + 1);
    }
}

static int count_texts(const char *const *texts)
{
    int count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

static int run_job(lua_State *lua)
{
    static const luaL_Reg host[]  = {{"ours", run_ours},
                                     {"constructor", make_constructor},
                                     {"field_line", find_field_line},
                                     {"config", read_config},
                                     {NULL, NULL}};
    const Parsing        *parsing = lua_touserdata(lua, 1);
    sandbox_load_ours(lua, "job.lua");
    luaL_newlib(lua, host);
    lua_pushstring(lua, parsing->path);
    lua_setfield(lua, -2, "job");
    push_texts(lua, parsing->sets, count_texts(parsing->sets));
    lua_setfield(lua, -2, "sets");
    push_texts(lua, (const char *const *)parsing->policies, parsing->npolicies);
    lua_setfield(lua, -2, "policies");
    push_texts(lua, (const char *const *)parsing->families, parsing->nfamilies);
    lua_setfield(lua, -2, "families");
    lua_call(lua, 1, 1);
    sandbox_load_users(lua, parsing->path);
    lua_call(lua, 0, 1);
    lua_call(lua, 1, 1);
    return 1;
}

/* The names of lua/FOLDER/NAME.lua, in alphabetical order. */
static bool find_names(Region *region, const char *folder, char ***names, int *nnames, Error *error)
{
    const char *path  = path_join(region, path_join(region, data_folder(), "lua"), folder);
    int         count = 0;
    char      **files = file_names(region, path, &count, error);
    if (!files)
        return false;
    *names = REGION_ARRAY(region, char *, count + 1);
    for (int i = 0; i < count; i++)
        if (text_ends(files[i], ".lua"))
            (*names)[(*nnames)++] = path_without(region, files[i], ".lua");
    return true;
}

/* One hash of the job's file and of all that it included, in the order in which it did. */
static const char *hash_sources(Region *region, const char *path, const SandboxResult *result,
                                Error *error)
{
    const char *hash = hash_file(region, path, error);
    if (!hash || result->nincluded == 0)
        return hash;
    Text all = text_new(region);
    text_add(&all, "%s\n", hash);
    for (int i = 0; i < result->nincluded; i++)
        text_add(&all, "%s %s\n", result->included[i].hash, result->included[i].name);
    return hash_bytes(region, all.at, all.length);
}

static const char *const *copy_sets(Region *region, const char *const *sets)
{
    int          count = count_texts(sets);
    const char **copy  = REGION_ARRAY(region, const char *, count + 1);
    for (int i = 0; i < count; i++)
        copy[i] = region_copy(region, sets[i]);
    return copy;
}

/* Adds to the tree what lua/job.lua does not know. */
static Job *complete(Region *region, const Parsing *parsing, json_t *tree, const char *hash,
                     Error *error)
{
    json_t *sets = json_array();
    for (int i = 0; parsing->sets[i]; i++)
        json_array_append_new(sets, json_string(parsing->sets[i]));
    json_object_set_new(tree, "path", json_string(parsing->path));
    json_object_set_new(tree, "source_hash", json_string(hash));
    json_object_set_new(tree, "sets", sets);
    return job_from_tree(region, tree, parsing->path, error);
}

Job *job_parse(Region *region, const char *path, const char *const *sets, Error *error)
{
    SandboxResult result;
    Parsing       parsing = {.path = path, .sets = copy_sets(region, sets)};
    if (!find_names(region, "policies", &parsing.policies, &parsing.npolicies, error) ||
        !find_names(region, "models", &parsing.families, &parsing.nfamilies, error))
        return NULL;
    Sandbox sandbox = {
        .main = run_job, .context = &parsing, .folder = path_folder(region, path), .seed = 1};
    if (!sandbox_run(region, &sandbox, &result, error))
        return NULL;
    const char *hash = hash_sources(region, path, &result, error);
    Job        *job  = hash ? complete(region, &parsing, result.answer, hash, error) : NULL;
    json_decref(result.answer);
    return job;
}
