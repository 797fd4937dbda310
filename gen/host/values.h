/* values: Lua values as JSON and back. A table with keys 1 .. n is an array, one with text keys an
 * object, an empty one an object, unless `array` of lua/sandbox.lua marked it. Integers stay
 * integers. null is nil. */
#ifndef PIPEWRIGHT_VALUES_H
#define PIPEWRIGHT_VALUES_H

#include <jansson.h>
#include <lua.h>

void values_push(lua_State *lua, const json_t *value);

/* A new reference; only in a sandbox, whose budget it charges. Raises an error that names the place
 * of what has no JSON form (a function, a key of another type, NaN, a table in itself):
 * "chunks[3].order: a function". */
json_t *values_take(lua_State *lua, int index);

#endif
