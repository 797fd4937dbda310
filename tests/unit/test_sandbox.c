/* The sandbox against every attack of the list that it was built from, each an error within its
 * limits of time and memory; and what scripts may rely on: order, stability, seeds. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/host/sandbox_child.h"
#include "tests/support/own_folder.h"

TestSuite(sandbox, .init = open_folder, .fini = close_folder);

static const char *write_script(const char *name, const char *text)
{
    Error       error;
    const char *path = path_join(region, folder, name);
    cr_assert(file_write(path, text, strlen(text), &error), "%s", error.text);
    return path;
}

static int run_script(lua_State *lua)
{
    sandbox_load_users(lua, lua_touserdata(lua, 1));
    lua_call(lua, 0, 1);
    return 1;
}

static bool run(const char *text, SandboxResult *result, Error *error)
{
    Sandbox sandbox = {.main    = run_script,
                       .context = (void *)write_script("script.lua", text),
                       .folder  = folder,
                       .seed    = 7};
    return sandbox_run(region, &sandbox, result, error);
}

/* The answer as JSON text. */
static const char *answer(const char *text)
{
    SandboxResult result;
    Error         error;
    cr_assert(run(text, &result, &error), "%s\n%s", text, error.text);
    char       *json = json_dumps(result.answer, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *kept = region_copy(region, json);
    free(json);
    json_decref(result.answer);
    return kept;
}

static void expect_answer(const char *text, const char *expected)
{
    const char *got = answer(text);
    cr_expect_str_eq(got, expected, "%s\ngives %s\nnot   %s", text, got, expected);
}

static double processor_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void expect_refused(const char *text, const char *expected)
{
    SandboxResult result;
    Error         error  = {.status = 0};
    double        before = processor_seconds();
    cr_expect(!run(text, &result, &error), "%s\nis not refused", text);
    double spent = processor_seconds() - before;
    cr_expect(strstr(error.text, expected), "%s\nsays    %s\nwithout %s", text, error.text,
              expected);
    cr_expect_eq(error.status, EXIT_INPUT);
    cr_expect_leq(spent, 1.1, "%s\ntakes %g s", text, spent);
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
#if !defined(__SANITIZE_ADDRESS__)
    cr_expect_leq(usage.ru_maxrss, 256 * 1024, "%s\ntakes %ld KiB", text, usage.ru_maxrss);
#endif
}

/* --- Attacks: the rows of the list, in its order --- */

Test(sandbox, endless_loops)
{
    expect_refused("local x = 1\nwhile true do end", "script.lua:2: the script does too much");
    expect_refused(
        "local x <close> = setmetatable({}, {__close = function()\nwhile true do end end})",
        "script.lua:2: the script does too much");
    expect_refused("coroutine.wrap(function() while true do end end)()", "no name 'coroutine'");
    expect_refused("local function f() return f() end\nreturn f()",
                   "script.lua:1: the script does");
}

Test(sandbox, pcall_does_not_go_on_after_the_limit)
{
    expect_refused("while true do pcall(function() while true do end end) end", "does too much");
    expect_refused("local function f() while true do end end\nxpcall(f, f)", "does too much");
}

Test(sandbox, no_finalizers)
{
    expect_refused("setmetatable({}, {__gc = function() while true do end end})", "__gc");
    expect_refused("setmetatable({}, {__mode = 'k'})", "__mode");
    expect_refused("return debug.setmetatable", "no name 'debug'");
    /* set later, it is never called: Lua looks when the metatable is given */
    expect_answer("local m = {} local t = setmetatable({}, m)\n"
                  "m.__gc = function() while true do end end t = nil\n"
                  "for i = 1, 1e3 do local s = ('x'):rep(i) end return 1",
                  "1");
}

Test(sandbox, patterns_end)
{
    expect_refused("string.find(('a'):rep(1e4), '.-.-.-.-b$')", "script.lua:1: ");
    expect_refused("\nlocal x = (('a'):rep(1e5)):match('(.-)(.-)(.-)(.-)(.-)(.-)b$')",
                   "script.lua:2: ");
    expect_refused("(('a'):rep(1e5)):gsub('.-.-.-b', '')", "script.lua:1: ");
    expect_refused("for x in (('a'):rep(1e5)):gmatch('.-.-.-b') do end", "script.lua:1: ");
}

Test(sandbox, table_functions_end)
{
    expect_refused("table.move({}, 1, 1 << 40, 2)", "does too much");
    expect_refused("local t = setmetatable({}, {__len = function() return 1 << 40 end})\n"
                   "table.insert(t, 1, 1)",
                   "does too much");
    expect_refused("local t = setmetatable({}, {__len = function() return 1 << 40 end})\n"
                   "table.remove(t, 1)",
                   "does too much");
    expect_refused("table.concat(setmetatable({}, {__index = type}), '', 1, 1 << 40)", "");
    expect_refused("table.unpack({}, 1, 1 << 40)", "too many results");
    expect_refused("table.sort(setmetatable({}, {__len = function() return 1 << 40 end}))",
                   "does too much");
}

Test(sandbox, work_on_strings_is_charged)
{
    expect_refused("while true do local s = string.rep('x', 1 << 24) end", "does too much");
    expect_refused("local s = 'x' while true do s = s .. s end", "memory");
    expect_refused("local s = ('x'):rep(1 << 20) while true do local r = s .. 'y' end",
                   "does too much");
    expect_refused("local t = {} for i = 1, 1e4 do t[i] = 'abcdefgh' end\n"
                   "while true do table.concat(t) end",
                   "does too much");
    expect_refused("local a, b = ('x'):rep(5e7), ('x'):rep(5e7) while true do local c = a == b end",
                   "script.lua:1: ");
    expect_refused("string.rep('', 1 << 40)", "");
    expect_refused("string.rep('x', 1 << 40)", "");
}

Test(sandbox, memory_is_bounded)
{
    expect_refused("local t = {} while true do t[#t + 1] = {t} end", "");
    expect_refused("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1 << 20) .. i end", "");
    expect_refused("local u, t = {}, {} for i = 1, 1e3 do u[i] = i end\n"
                   "for i = 1, 1e4 do t[i] = u end return t",
                   "too much"); /* under a sanitizer it may be time that ends first */
}

Test(sandbox, only_text_is_loaded)
{
    expect_refused("return string.dump(function() end)", "there is no such field");
    expect_answer("local f, why = load('\\27Lua') return why",
                  "\"attempt to load a binary chunk (mode "
                  "is 't')\"");
    expect_refused("return load(function() return 'x' end)", "string expected, got function");
    expect_answer("return load('return 1 + 1')()", "2");
    expect_refused("return load('return os')()", "no name 'os'");
}

Test(sandbox, no_address_is_seen)
{
    expect_refused("return string.format('%p', {})", "%p");
    expect_refused("return ('%5p'):format({})", "%p");
    expect_answer("return tostring({}) .. tostring(print) .. string.format('%s|%5s|%%', {}, 1)",
                  "\"tablefunctiontable|    1|%\"");
    static const char *const readers[] = {"return math[{}]", "math[print] = 1",
                                          "return load('return _ENV')()[{}]"};
    for (int i = 0; i < 3; i++)
        expect_answer(region_format(region,
                                    "local good, why = pcall(function() %s end)\n"
                                    "return {good, why:find('0x') == nil}",
                                    readers[i]),
                      "[false,true]");
}

Test(sandbox, nothing_is_undetermined)
{
    expect_answer("local t, r = {b = 1, a = 2, [3] = 3, [-1] = 4, [0.5] = 5}, {}\n"
                  "for k in pairs(t) do r[#r + 1] = tostring(k) end return table.concat(r, ' ')",
                  "\"-1 0.5 3 a b\"");
    expect_refused("for k in pairs({[{}] = 1}) do end", "a key is a table");
    expect_answer(
        "local t = {} for i = 1, 100 do t[i] = {i % 3, i} end\n"
        "table.sort(t, function(a, b) return a[1] < b[1] end)\n"
        "for i = 2, 100 do\n"
        "  assert(t[i - 1][1] < t[i][1] or t[i - 1][1] == t[i][1] and t[i - 1][2] < t[i][2])\n"
        "end return #t",
        "100");
    expect_answer("local t = {3, 1, 2} table.sort(t, function() return true end) return #t", "3");
    expect_refused("return collectgarbage('count')", "no name 'collectgarbage'");
    expect_refused("return os.time()", "no name 'os'");
    expect_refused("return math.sin(1)", "there is no such field");
    const char *random =
        "local t = {} for i = 1, 9 do t[i] = math.random(10) end\n"
        "t[10] = math.random() t[11] = math.random(-1 << 63, (1 << 63) - 1)\n"
        "for i = 1, 1e4 do local x = math.random(3, 5) assert(3 <= x and x <= 5) end\n"
        "return t";
    expect_answer(random, answer(random));
    cr_expect_null(strstr(answer(random), "null"));
}

Test(sandbox, the_library_is_read_only)
{
    expect_refused("string.format = print", "script.lua:1: string.format cannot be set");
    expect_refused("('x').rep = 1", "");
    expect_refused("getmetatable('').__index = {}", "");
    expect_refused("getmetatable(string).__index = {}", "");
    expect_refused("setmetatable(string, {})", "protected");
    expect_refused("rawset(string, 'rep', print)", "no name 'rawset'");
    expect_answer("pairs = 1 return load('return pairs')()",
                  "1"); /* a global of the script's own */
}

Test(sandbox, nesting_and_size_are_bounded)
{
    expect_refused("return load(('('):rep(1e5) .. ('x') .. (')'):rep(1e5))()", "");
    expect_refused("local t = {} t[1] = t return t", "nested too deeply");
    expect_answer("return (select(2, load(('x'):rep(2 << 20))))", "\"a text of more than 1 MiB\"");
    char *large = region_alloc(region, (2 << 20) + 1);
    memset(large, ' ', 2 << 20);
    expect_refused(large, "script.lua");
}

Test(sandbox, no_files_but_by_include)
{
    expect_refused("return io.open('/etc/passwd')", "no name 'io'");
    expect_refused("return require('os')", "no name 'require'");
    expect_refused("return dofile('/etc/passwd')", "no name 'dofile'");
    expect_refused("return include '/etc/passwd'", "script.lua:1: include: found \"/etc/passwd\"");
    expect_refused("return include '../x.lua'", "without \".\", \"..\"");
    expect_refused("return include 'a/../../x.lua'", "include: found");
    expect_refused("return include 'missing.lua'", "include: found");
    expect_refused("return include ''", "include: found");
    cr_assert(symlink("/etc/passwd", path_join(region, folder, "link")) == 0);
    expect_refused("return include 'link'", "links");
    cr_assert(symlink("/etc", path_join(region, folder, "etc")) == 0);
    expect_refused("return include 'etc/passwd'", "links");
    cr_assert(mkfifo(path_join(region, folder, "pipe"), 0600) == 0);
    expect_refused("return include 'pipe'", "include: found");
    write_script("self.lua", "return include 'self.lua'");
    expect_refused("return include 'self.lua'", "");
}

/* --- What scripts may rely on --- */

Test(sandbox, included_files_are_recorded)
{
    Error         error;
    SandboxResult result;
    write_script("rates.lua", "return { fast = 3 }");
    cr_assert(run("return include('rates.lua').fast", &result, &error), "%s", error.text);
    cr_expect_eq(json_integer_value(result.answer), 3);
    cr_expect_eq(result.nincluded, 1);
    cr_expect_str_eq(result.included[0].name, "rates.lua");
    cr_expect_eq(strlen(result.included[0].hash), 64);
    json_decref(result.answer);
}

/* What is hashed is what is run: all bytes, also behind a 0. */
Test(sandbox, included_files_are_read_to_their_end)
{
    static const char text[] = "local t = { rate = 1 } -- \0\nt.rate = 2 return t";
    Error             error;
    cr_assert(file_write(path_join(region, folder, "zero.lua"), text, sizeof text - 1, &error));
    expect_answer("return include('zero.lua').rate", "2");
    static const char wrong[] = "return 1\0 garbage";
    cr_assert(file_write(path_join(region, folder, "wrong.lua"), wrong, sizeof wrong - 1, &error));
    expect_refused("return include('wrong.lua')", "wrong.lua:1: ");
}

static int send_half_a_hash(lua_State *lua)
{
    frame_send(child_of(lua), FRAME_INCLUDE, "0123", 4);
    return 0;
}

/* A child that a script broke may send anything. */
Test(sandbox, a_frame_that_is_too_short_is_refused)
{
    Error         error = {.status = 0};
    SandboxResult result;
    Sandbox       sandbox = {.main = send_half_a_hash};
    cr_expect_not(sandbox_run(region, &sandbox, &result, &error));
    cr_expect(strstr(error.text, "broke its process"), "%s", error.text);
    cr_expect_eq(result.nincluded, 0);
}

static int end_by_signal(lua_State *lua)
{
    raise(*(int *)lua_touserdata(lua, 1));
    return 0;
}

/* As a region does that gets no memory. */
static int leave(lua_State *lua)
{
    (void)lua;
    _exit(EXIT_FAILED);
}

/* Whoever asks blames the size of the work only where it was too much. */
Test(sandbox, only_a_budget_is_used_up)
{
    static int        numbers[]  = {SIGABRT, SIGILL, SIGPROF, SIGXCPU, SIGKILL};
    static const bool expected[] = {false, false, true, true, true};
    Error             error      = {.status = 0};
    SandboxResult     result;
    for (int i = 0; i < COUNT(numbers); i++) {
        Sandbox sandbox = {.main = end_by_signal, .context = &numbers[i]};
        cr_expect_not(sandbox_run(region, &sandbox, &result, &error));
        cr_expect_eq(result.used_up, expected[i], "signal %d", numbers[i]);
    }
    cr_expect_not(sandbox_run(region, &(Sandbox){.main = send_half_a_hash}, &result, &error));
    cr_expect_not(result.used_up);
    cr_expect_not(sandbox_run(region, &(Sandbox){.main = leave}, &result, &error));
    cr_expect(result.used_up);
    cr_expect_not(run("while true do end", &result, &error));
    cr_expect(result.used_up);
    cr_expect_not(run("local t = {} while true do t[#t + 1] = {t} end", &result, &error));
    cr_expect(result.used_up);
}

Test(sandbox, errors_keep_their_line)
{
    expect_refused("local t\n\nreturn t.x", "script.lua:3: ");
    expect_refused("error('why')", "script.lua:1: why");
    expect_refused("x = = 1", "script.lua:1: ");
    expect_refused("\nmath.flor(1)", "script.lua:2: ");
    expect_refused("\nreturn mth.floor(1)",
                   "script.lua:2: there is no name 'mth'; the nearest right "
                   "one is 'math'");
    expect_refused("error({file = 'a.lua', line = 3, field = 'x.y', found = '1', expected = '2'})",
                   "a.lua:3: x.y: found \"1\", expected 2");
}

Test(sandbox, values_survive)
{
    expect_answer("return {a = {1, 2.5, 'x', true}, b = {}, c = array {}, d = 9007199254740993}",
                  "{\"a\":[1,2.5,\"x\",true],\"b\":{},\"c\":[],\"d\":9007199254740993}");
    expect_refused("return {a = {1, print}}", "a[2]: a function");
    expect_refused("return {0 / 0}", "[1]: a number that is not finite");
    expect_refused("return {1, x = 2}", "both numbers and names");
    expect_refused("return '\\xff'", "not UTF-8");
    expect_answer("return nil", "null");
}

Test(sandbox, table_functions_do_what_lua_s_do)
{
    expect_answer("local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return t",
                  "[0,1,2,3,4]");
    expect_answer("local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), t[1], #t}",
                  "[3,1,2,1]");
    expect_answer("local t = {} return {table.remove(t) == nil, #t}", "[true,0]");
    expect_answer("return table.move({1, 2, 3}, 1, 3, 2)", "[1,1,2,3]");
    expect_answer("return table.move({1, 2, 3}, 2, 3, 1)", "[2,3,3]");
    expect_answer("local k, v = next({b = 1, a = 2}) return {k, v, next({}) == nil}",
                  "[\"a\",2,true]");
    expect_answer("local u, r = {b = 1, a = 2, [3] = 3, [-1] = 4}, {}\n"
                  "for k in next, u do u[k] = nil r[#r + 1] = k end return {r, next(u) == nil}",
                  "[[-1,3,\"a\",\"b\"],true]");
    expect_refused("next({}, {})", "script.lua:1: bad argument #2 to 'next'");
    expect_refused("table.insert({}, 5, 1)", "script.lua:1: ");
}
