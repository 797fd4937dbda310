/* sandbox_child: the child's side: gives up all but the pipe, runs `main`, and tells the answer, or
 * what is wrong and on which line. */
#include "gen/host/sandbox_child.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "gen/host/values.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SHADOW = 1 }; /* a sanitizer's memory is terabytes of addresses */
#else
enum { HAS_SHADOW = 0 };
#endif

enum {
    DEFAULT_BUDGET = 20 * 1000 * 1000,
    DEFAULT_BYTES  = 192 << 20,
    BESIDE_LUA     = 48 << 20, /* for the answer's JSON, included files, libc */
};

/* Keeps nothing open but the pipe, and takes limits that kill. */
static void confine(int pipe, int64_t bytes, double seconds)
{
    setlocale(LC_ALL, "C");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGINT, SIG_IGN); /* the parent decides what an interrupt means */
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGPROF, SIG_DFL);
    if (pipe > 0)
        close_range(0, (unsigned)pipe - 1, 0);
    close_range((unsigned)pipe + 1, ~0u, 0);

    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    setitimer(ITIMER_PROF, &timer, NULL);
    rlim_t cpu = (rlim_t)seconds + 2;
    setrlimit(RLIMIT_CPU, &(struct rlimit){cpu, cpu});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (HAS_SHADOW)
        return;
    FILE     *file  = fopen("/proc/self/statm", "r");
    long long pages = 0;
    if (file && fscanf(file, "%lld", &pages) == 1) {
        rlim_t limit = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + bytes + BESIDE_LUA);
        setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit});
    }
    if (file)
        fclose(file);
}

/* Everything that may raise an error. Leaves the answer's JSON text. */
static int run_main(lua_State *lua)
{
    Child *child = child_of(lua);
    library_open(lua);
    lua_pushcfunction(lua, child->sandbox->main);
    lua_pushlightuserdata(lua, child->sandbox->context);
    lua_call(lua, 1, 1);
    json_t *answer = values_take(lua, -1);
    char   *text   = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return luaL_error(lua, "the answer is too large");
    budget_check(lua);
    frame_send(child, FRAME_ANSWER, text, strlen(text));
    return 0;
}

static const char blamed; /* its address is the key in Lua's registry */

void sandbox_blame(lua_State *lua, int index)
{
    lua_pushvalue(lua, index);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &blamed);
}

/* A tail call, as `return plan.pipeline { ... }` is one, leaves no frame of the user's. */
static int blame(lua_State *lua, const char *text)
{
    lua_Debug at;
    if (lua_rawgetp(lua, LUA_REGISTRYINDEX, &blamed) != LUA_TFUNCTION)
        return lua_settop(lua, 1), 1;
    lua_getinfo(lua, ">S", &at);
    lua_pushfstring(lua, "%s:%d: %s", at.short_src, at.linedefined, text);
    return 1;
}

/* A complaint of lua/job.lua or of the functions in C, which names its own place. */
static bool is_complaint(lua_State *lua)
{
    bool says = false;
    if (lua_type(lua, 1) != LUA_TTABLE)
        return false;
    for (int i = 0; i < 2; i++) {
        lua_pushstring(lua, i ? "text" : "expected");
        says |= lua_rawget(lua, 1) == LUA_TSTRING;
        lua_pop(lua, 1);
    }
    return says;
}

/* An error's text begins with where the script was, whoever raised it. */
static int add_place(lua_State *lua)
{
    if (is_complaint(lua))
        return 1;
    if (lua_type(lua, 1) != LUA_TSTRING) {
        lua_pushfstring(lua, "the script raised a %s as its error", luaL_typename(lua, 1));
        lua_replace(lua, 1);
    }
    const char *text  = lua_tostring(lua, 1);
    const char *colon = strchr(text, ':');
    bool        ours  = strncmp(text, "lua/", 4) == 0 && strstr(text, ": ");
    lua_Debug   at;
    if (colon && colon[1] >= '0' && colon[1] <= '9' && !ours)
        return 1;
    for (int level = 0; lua_getstack(lua, level, &at); level++) {
        lua_getinfo(lua, "Sl", &at);
        if (at.source[0] == '@' && at.currentline > 0) {
            lua_pushfstring(lua, "%s:%d: %s", at.short_src, at.currentline,
                            ours ? strstr(text, ": ") + 2 : text);
            return 1;
        }
    }
    return blame(lua, ours ? strstr(text, ": ") + 2 : text);
}

static int send_error(lua_State *lua)
{
    Child *child = child_of(lua);
    if (lua_type(lua, 1) != LUA_TTABLE)
        frame_end(child, FRAME_ERROR,
                  lua_type(lua, 1) == LUA_TSTRING
                      ? lua_tostring(lua, 1)
                      : lua_pushfstring(lua, "the script raised a %s as its error",
                                        luaL_typename(lua, 1)));
    json_t *error = values_take(lua, 1);
    char   *text  = json_dumps(error, JSON_COMPACT);
    if (!text)
        return luaL_error(lua, "the script raised an error that cannot be shown");
    frame_send(child, FRAME_ERROR, text, strlen(text));
    return 0;
}

/* Lua calls no handler then, and what was running is gone: the file is the one loaded last. */
_Noreturn static void end_for_memory(const Child *child)
{
    char text[LUA_IDSIZE + 160];
    snprintf(text, sizeof text,
             "%.60s: the script takes more memory than the %lld MiB that it may; does a table or a "
             "text grow without end?",
             child->sources ? child->sources->name : "lua", (long long)(child->bytes_limit >> 20));
    frame_end(child, FRAME_USED_UP, text);
}

_Noreturn void child_live(const Sandbox *sandbox, int pipe, Whereabouts *place)
{
    Child child = {.sandbox      = sandbox,
                   .region       = region_new(),
                   .place        = place,
                   .pipe         = pipe,
                   .instructions = sandbox->instructions ? sandbox->instructions : DEFAULT_BUDGET,
                   .bytes_limit  = sandbox->bytes ? sandbox->bytes : DEFAULT_BYTES};
    child.limit = child.instructions;
    confine(pipe, child.bytes_limit, sandbox->seconds > 0 ? sandbox->seconds : 1);

    lua_State *lua = lua_newstate(budget_allocate, &child);
    if (!lua)
        frame_end(&child, FRAME_ERROR, "there is no memory for Lua");
    *(Child **)lua_getextraspace(lua) = &child;
    budget_start(lua);
    lua_pushcfunction(lua, add_place);
    lua_pushcfunction(lua, run_main);
    int status = lua_pcall(lua, 0, 0, 1);
    if (status == LUA_OK)
        _exit(0);
    if (status == LUA_ERRMEM)
        end_for_memory(&child);
    lua_pushcfunction(lua, send_error);
    lua_insert(lua, -2);
    if (lua_pcall(lua, 1, 0, 0) != LUA_OK)
        frame_end(&child, FRAME_ERROR, lua_tostring(lua, -1));
    _exit(0);
}
