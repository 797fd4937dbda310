/* sandbox_library: how scripts are loaded, which files they may read, and the functions of C that
 * lua/sandbox.lua makes their library of. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/text.h"
#include "gen/host/sandbox_child.h"

enum { INCLUDE_CHARGE = 10 * 1000 };

/* Lua's message, "NAME:LINE: WORDS", in better words where there are some. */
static void explain(lua_State *lua, const char *text, const char *name)
{
    const char *said   = lua_tostring(lua, -1);
    size_t      length = strlen(name);
    char       *words;
    if (strncmp(said, name, length) != 0 || said[length] != ':')
        return;
    int         line = (int)strtol(said + length + 1, &words, 10);
    const char *hint =
        *words == ':' ? syntax_hint(child_of(lua)->region, text, line, words + 2) : NULL;
    if (hint)
        lua_pushfstring(lua, "%s:%d: %s", name, line, hint);
}

/* Chunk names: users' begin with '@', ours with '='. Lua cuts long ones; the file's name is
 * enough. */
static void load_text(lua_State *lua, const char *text, size_t length, const char *name, char mark)
{
    const char *shown = strlen(name) < LUA_IDSIZE - 2 ? name : path_name(name);
    if (mark == '@') {
        Child  *child  = child_of(lua);
        Source *source = REGION_NEW(child->region, Source);
        *source        = (Source){region_copy(child->region, shown), text, child->sources};
        child->sources = source;
    }
    lua_pushfstring(lua, "%c%s", mark, shown);
    if (luaL_loadbufferx(lua, text, length, lua_tostring(lua, -1), "t") != LUA_OK) {
        explain(lua, text, shown);
        lua_error(lua);
    }
    lua_remove(lua, -2);
}

static void load_file(lua_State *lua, const char *path, const char *name, char mark)
{
    Error  error;
    size_t length;
    char  *text = file_read(child_of(lua)->region, path, SCRIPT_BYTES_MAX, &length, &error);
    if (!text)
        luaL_error(lua, "%s", error.text);
    load_text(lua, text, length, name, mark);
}

void sandbox_load_ours(lua_State *lua, const char *name)
{
    Region     *region = child_of(lua)->region;
    const char *path   = path_join(region, path_join(region, data_folder(), "lua"), name);
    load_file(lua, path, region_format(region, "lua/%s", name), '=');
}

static void use_users_globals(lua_State *lua)
{
    lua_rawgeti(lua, LUA_REGISTRYINDEX, child_of(lua)->users);
    lua_setupvalue(lua, -2, 1);
}

void sandbox_load_users(lua_State *lua, const char *path)
{
    load_file(lua, path, path, '@');
    use_users_globals(lua);
}

/* A file under the sandbox's folder, component by component, through no link. -1, and why. */
static int open_below(const char *folder, const char *name, const char **why)
{
    int  at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char part[256];
    *why = "write its path without \".\", \"..\" or links";
    while (at >= 0) {
        size_t length = strcspn(name, "/");
        if (length == 0 || length >= sizeof part || name[0] == '.')
            break;
        memcpy(part, name, length);
        part[length] = 0;
        int kind     = name[length] ? O_DIRECTORY : O_NONBLOCK;
        int next     = openat(at, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind);
        if (next < 0 && errno == ENOENT)
            *why = "there is no such file";
        close(at);
        if (!name[length])
            return next;
        at = next;
        name += length + 1;
    }
    if (at >= 0)
        close(at);
    return -1;
}

static char *read_regular(Region *region, int file, size_t *length, const char **why)
{
    struct stat about;
    *why = "it is no plain file of at most 1 MiB";
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > SCRIPT_BYTES_MAX)
        return NULL;
    char *text = region_alloc(region, (size_t)about.st_size + 1);
    *length    = 0;
    for (ssize_t got = 1; got > 0 && *length < (size_t)about.st_size; *length += (size_t)got)
        if ((got = read(file, text + *length, (size_t)about.st_size - *length)) < 0)
            return NULL;
    return text;
}

const char *sandbox_read(lua_State *lua, const char *name, size_t *length, const char **why)
{
    Child *child = child_of(lua);
    *why         = "no file may be read here";
    sandbox_charge(lua, INCLUDE_CHARGE);
    int   file = child->sandbox->folder ? open_below(child->sandbox->folder, name, why) : -1;
    char *text = file >= 0 ? read_regular(child->region, file, length, why) : NULL;
    if (file >= 0)
        close(file);
    if (!text)
        return NULL;
    const char *hash  = hash_bytes(child->region, text, *length);
    const char *frame = region_format(child->region, "%s %s", hash, name);
    frame_send(child, FRAME_INCLUDE, frame, strlen(frame));
    return text;
}

const char *sandbox_source(lua_State *lua, const char *name)
{
    const Source *source = child_of(lua)->sources;
    while (source && strcmp(source->name, name) != 0)
        source = source->next;
    return source ? source->text : NULL;
}

/* include "name": runs a file beside the script and returns its value. */
static int include(lua_State *lua)
{
    size_t      length;
    const char *why  = "a byte of 0 ends it";
    const char *name = luaL_checklstring(lua, 1, &length);
    const char *text = strlen(name) == length ? sandbox_read(lua, name, &length, &why) : NULL;
    if (!text)
        return luaL_error(lua,
                          "include: found \"%s\", expected a file in the script's folder or below "
                          "it; %s",
                          name, why);
    load_text(lua, text, length, name, '@');
    use_users_globals(lua);
    lua_call(lua, 0, 1);
    return 1;
}

static int write_printed(lua_State *lua)
{
    size_t      length;
    const char *text = luaL_checklstring(lua, 1, &length);
    sandbox_charge(lua, (int64_t)length + HOOK_INTERVAL);
    frame_send(child_of(lua), FRAME_PRINT, text, length);
    return 0;
}

/* line(): the text of the line that a user's script is at, or "". */
static int current_line(lua_State *lua)
{
    lua_Debug at;
    for (int level = 0; lua_getstack(lua, level, &at); level++) {
        lua_getinfo(lua, "Sl", &at);
        const char *text = at.source[0] == '@' ? sandbox_source(lua, at.short_src) : NULL;
        if (!text)
            continue;
        sandbox_charge(lua, (int64_t)strlen(text) / 8 + 1);
        for (int line = 1; line < at.currentline && *text; line++) {
            text += strcspn(text, "\n");
            text += *text == '\n';
        }
        lua_pushlstring(lua, text, strcspn(text, "\n"));
        return 1;
    }
    lua_pushliteral(lua, "");
    return 1;
}

static int charge(lua_State *lua)
{
    sandbox_charge(lua, luaL_checkinteger(lua, 1));
    return 0;
}

/* nearest(word, names): the name that was meant, or nil. */
static int nearest(lua_State *lua)
{
    const char *word = luaL_checkstring(lua, 1);
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_Unsigned count = lua_rawlen(lua, 2);
    sandbox_charge(lua, (int64_t)count * 100);
    const char **names = lua_newuserdatauv(lua, (count + 1) * sizeof *names, 0);
    for (lua_Unsigned i = 0; i < count; i++) {
        lua_rawgeti(lua, 2, (lua_Integer)i + 1);
        names[i] = luaL_checkstring(lua, -1); /* the list holds it */
        lua_pop(lua, 1);
    }
    names[count] = NULL;
    lua_pushstring(lua, strlen(word) < 100 ? text_nearest(word, names) : NULL);
    return 1;
}

/* The builtins become the state's globals, the users' globals stand in the registry; Lua's own
 * libraries stay reachable only for lua/sandbox.lua. */
void library_open(lua_State *lua)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table},
                                         {LUA_MATHLIBNAME, luaopen_math}};
    static const luaL_Reg host[]      = {{"charge", charge},   {"write", write_printed},
                                         {"include", include}, {"line", current_line},
                                         {"nearest", nearest}, {NULL, NULL}};
    for (int i = 0; i < COUNT(libraries); i++) {
        luaL_requiref(lua, libraries[i].name, libraries[i].func, 1);
        lua_pop(lua, 1);
    }
    sandbox_load_ours(lua, "sandbox.lua");
    luaL_newlib(lua, host);
    lua_pushinteger(lua, (lua_Integer)child_of(lua)->sandbox->seed);
    lua_setfield(lua, -2, "seed");
    lua_call(lua, 1, 2);
    child_of(lua)->users = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}
