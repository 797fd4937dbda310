/* values: Lua values as JSON and back. Objects are made in the order of their keys, so that the
 * text does not depend on Lua's hashing. */
#include "gen/host/values.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "gen/host/sandbox.h"

enum { DEPTH_MAX = 64, PATH_BYTES = 200, VALUE_CHARGE = 10 };

/* Where in the value we are, for messages: "chunks[3].order". */
typedef struct Path {
    char text[PATH_BYTES];
    int  depth;
} Path;

static const char *const too_large = "more values than there is memory for";

static json_t *take(lua_State *lua, int index, Path *path);

static json_t *refuse(lua_State *lua, const Path *path, const char *what)
{
    luaL_error(lua, "%s%s%s", path->text, path->text[0] ? ": " : "", what);
    return NULL;
}

static size_t enter(Path *path, const char *name, lua_Integer number)
{
    size_t length = strlen(path->text);
    char  *end    = path->text + length;
    if (name)
        snprintf(end, sizeof path->text - length, "%s%s", length ? "." : "", name);
    else
        snprintf(end, sizeof path->text - length, "[%lld]", (long long)number);
    path->depth++;
    return length;
}

static void leave(Path *path, size_t length)
{
    path->text[length] = 0;
    path->depth--;
}

static bool is_marked_array(lua_State *lua, int index)
{
    if (luaL_getmetafield(lua, index, "__name") == LUA_TNIL)
        return false;
    bool marked = lua_type(lua, -1) == LUA_TSTRING && strcmp(lua_tostring(lua, -1), "array") == 0;
    lua_pop(lua, 1);
    return marked;
}

static json_t *take_array(lua_State *lua, int index, lua_Integer count, Path *path)
{
    json_t *array = json_array();
    for (lua_Integer i = 1; i <= count; i++) {
        size_t length = enter(path, NULL, i);
        lua_rawgeti(lua, index, i);
        if (json_array_append_new(array, take(lua, lua_gettop(lua), path)) != 0)
            return refuse(lua, path, too_large);
        lua_pop(lua, 1);
        leave(path, length);
    }
    return array;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *take_object(lua_State *lua, int index, size_t count, Path *path)
{
    const char **keys = lua_newuserdatauv(lua, (count + 1) * sizeof *keys, 0);
    size_t       n    = 0;
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1)) {
        if (lua_type(lua, -2) != LUA_TSTRING)
            return refuse(lua, path, "a table with both numbers and names as keys");
        keys[n++] = lua_tostring(lua, -2); /* the table holds it */
    }
    qsort(keys, n, sizeof *keys, compare_texts);
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        size_t length = enter(path, keys[i], 0);
        lua_pushstring(lua, keys[i]);
        lua_rawget(lua, index);
        if (json_object_set_new(object, keys[i], take(lua, lua_gettop(lua), path)) != 0)
            return refuse(lua, path, too_large);
        lua_pop(lua, 1);
        leave(path, length);
    }
    lua_pop(lua, 1);
    return object;
}

static json_t *take_table(lua_State *lua, int index, Path *path)
{
    if (path->depth >= DEPTH_MAX)
        return refuse(lua, path, "tables nested too deeply, or in themselves");
    luaL_checkstack(lua, 8, "tables nested too deeply");
    size_t count = 0;
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1))
        count++;
    lua_Integer last = 0;
    while (last < (lua_Integer)count && lua_rawgeti(lua, index, last + 1) != LUA_TNIL) {
        lua_pop(lua, 1);
        last++;
    }
    if (last < (lua_Integer)count)
        lua_pop(lua, 1);
    if (count == 0)
        return is_marked_array(lua, index) ? json_array() : json_object();
    return last == (lua_Integer)count ? take_array(lua, index, last, path)
                                      : take_object(lua, index, count, path);
}

static json_t *take(lua_State *lua, int index, Path *path)
{
    sandbox_charge(lua, VALUE_CHARGE);
    switch (lua_type(lua, index)) {
    case LUA_TNIL:
        return json_null();
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(lua, index));
    case LUA_TNUMBER:
        if (lua_isinteger(lua, index))
            return json_integer(lua_tointeger(lua, index));
        if (!isfinite(lua_tonumber(lua, index)))
            return refuse(lua, path, "a number that is not finite");
        return json_real(lua_tonumber(lua, index));
    case LUA_TSTRING: {
        size_t      length;
        const char *text  = lua_tolstring(lua, index, &length);
        json_t     *value = json_stringn(text, length);
        return value ? value : refuse(lua, path, "a text that is not UTF-8");
    }
    case LUA_TTABLE:
        return take_table(lua, index, path);
    default: {
        lua_pushfstring(lua, "a %s", luaL_typename(lua, index));
        return refuse(lua, path, lua_tostring(lua, -1));
    }
    }
}

json_t *values_take(lua_State *lua, int index)
{
    Path path = {.depth = 0};
    return take(lua, lua_absindex(lua, index), &path);
}

static void push_object(lua_State *lua, const json_t *value)
{
    const char *key;
    json_t     *element;
    lua_createtable(lua, 0, (int)json_object_size(value));
    json_object_foreach((json_t *)value, key, element)
    {
        values_push(lua, element);
        lua_setfield(lua, -2, key);
    }
}

void values_push(lua_State *lua, const json_t *value)
{
    luaL_checkstack(lua, 8, "values nested too deeply");
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        push_object(lua, value);
        return;
    case JSON_ARRAY:
        lua_createtable(lua, (int)json_array_size(value), 0);
        for (size_t i = 0; i < json_array_size(value); i++) {
            values_push(lua, json_array_get(value, i));
            lua_rawseti(lua, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_STRING:
        lua_pushlstring(lua, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        lua_pushinteger(lua, json_integer_value(value));
        return;
    case JSON_REAL:
        lua_pushnumber(lua, json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(lua, json_is_true(value));
        return;
    default:
        lua_pushnil(lua);
    }
}
