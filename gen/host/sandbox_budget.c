/* sandbox_budget: counts instructions and bytes, so that a script ends, or does not, in the same
 * place everywhere; and ends the child where they are used up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/host/sandbox_child.h"

enum { BYTES_A_CHARGE = 8 }; /* of an allocation cost as much as an instruction */

/* The line of a user's script that is being run. Where tail calls hid it the last one stays, and
 * ours is better than none. */
static void note_place(lua_State *lua, Whereabouts *place)
{
    lua_Debug at;
    for (int level = 0; lua_getstack(lua, level, &at); level++) {
        lua_getinfo(lua, "Sl", &at);
        bool users = at.source[0] == '@';
        if (at.currentline <= 0 || (!users && place->line > 0))
            continue;
        place->line = at.currentline;
        memcpy(place->source, at.short_src, sizeof place->source);
        if (users)
            return;
    }
}

_Noreturn static void used_up(lua_State *lua, Child *child)
{
    char message[LUA_IDSIZE + 160];
    note_place(lua, child->place);
    snprintf(message, sizeof message,
             "%s:%d: the script does too much: found no end after %lld instructions; "
             "does a loop never end?",
             child->place->source, child->place->line, (long long)child->limit);
    frame_end(child, FRAME_USED_UP, message);
}

static void count_hook(lua_State *lua, lua_Debug *at)
{
    (void)at;
    Child *child = child_of(lua);
    note_place(lua, child->place);
    child->instructions -= HOOK_INTERVAL;
    if (child->instructions < 0)
        used_up(lua, child);
}

void sandbox_charge(lua_State *lua, int64_t instructions)
{
    Child *child = child_of(lua);
    note_place(lua, child->place);
    if (instructions < 0 || instructions > child->instructions)
        used_up(lua, child);
    child->instructions -= instructions;
}

/* Growth is charged as work too: a loop that makes and drops large strings ends. It cannot end the
 * child from here, in the middle of an allocation; the hook does. */
void *budget_allocate(void *context, void *old, size_t old_bytes, size_t bytes)
{
    Child *child = context;
    if (!old)
        old_bytes = 0; /* it is the kind of object then */
    if (bytes > old_bytes) {
        int64_t growth = (int64_t)(bytes - old_bytes);
        if (growth > child->bytes_limit - child->bytes)
            return NULL;
        child->instructions -= (int64_t)bytes / BYTES_A_CHARGE;
    }
    void *grown = NULL;
    if (bytes == 0)
        free(old);
    else if (!(grown = realloc(old, bytes)))
        return NULL;
    child->bytes += (int64_t)bytes - (int64_t)old_bytes;
    return grown;
}

void budget_start(lua_State *lua)
{
    lua_sethook(lua, count_hook, LUA_MASKCOUNT, HOOK_INTERVAL);
}

void budget_check(lua_State *lua)
{
    if (child_of(lua)->instructions < 0)
        used_up(lua, child_of(lua));
}
