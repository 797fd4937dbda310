/* sandbox: a child process, a pipe, and Lua within budgets.
 *   reads    what `main` loads; files under `folder` that scripts include
 *   writes   the answer as JSON, over the pipe
 *   stands   under parse (jobs) and decide (policies)
 * The child tells everything in frames: a kind, a length, bytes. When a budget is used up it says
 * so and ends at once, so no pcall, finalizer or handler of a script can go on. What no count sees
 * (one C function that runs for long) is ended by the limit on processor time; the last line that
 * the count hook or sandbox_charge saw stands in shared memory. The attacks that it holds
 * against: tests/unit/test_sandbox.c. */
#include "gen/host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/base/text.h"
#include "gen/host/values.h"

#if defined(__SANITIZE_ADDRESS__)
enum { HAS_SHADOW = 1 }; /* AddressSanitizer's memory is terabytes of addresses */
#else
enum { HAS_SHADOW = 0 };
#endif

enum {
    HOOK_INTERVAL    = 1000,
    BYTES_A_CHARGE   = 8, /* of an allocation cost as much as an instruction */
    DEFAULT_BUDGET   = 20 * 1000 * 1000,
    DEFAULT_BYTES    = 192 << 20,
    BESIDE_LUA       = 48 << 20, /* for the answer's JSON, included files, libc */
    SCRIPT_BYTES_MAX = 1 << 20,
    ANSWER_BYTES_MAX = 64 << 20,
    INCLUDE_CHARGE   = 10 * 1000,
};

/* Where the script is; shared with the parent, which reads it when the child was killed. */
typedef struct Whereabouts {
    volatile int line;
    char         source[LUA_IDSIZE];
} Whereabouts;

/* A user's file that was loaded. */
typedef struct Source {
    const char    *name, *text;
    struct Source *next;
} Source;

/* State of the child, found through lua_getextraspace. */
typedef struct Child {
    const Sandbox *sandbox;
    Region        *region;
    Whereabouts   *place;
    Source        *sources;
    int            pipe;
    int64_t        instructions, limit; /* left; at the start */
    int64_t        bytes, bytes_limit;  /* used; at most      */
    int            builtins, users;     /* registry references */
} Child;

static Child *child_of(lua_State *lua)
{
    return *(Child **)lua_getextraspace(lua);
}

/* --- The child's side of the pipe --- */

enum FrameKind { FRAME_ANSWER = 'a', FRAME_ERROR = 'e', FRAME_INCLUDE = 'i', FRAME_PRINT = 'p' };

typedef struct FrameHead {
    uint32_t kind, length;
} FrameHead;

static void send_bytes(const Child *child, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(child->pipe, at, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(EXIT_FAILED);
        at += written;
        count -= (size_t)written;
    }
}

static void send_frame(const Child *child, enum FrameKind kind, const char *bytes, size_t count)
{
    FrameHead head = {.kind = kind, .length = (uint32_t)count};
    send_bytes(child, &head, sizeof head);
    send_bytes(child, bytes, count);
}

/* Says what is wrong and ends the child. */
_Noreturn static void end_with_error(const Child *child, const char *message)
{
    json_t *error = json_pack("{s:s}", "text", message);
    char   *text  = error ? json_dumps(error, JSON_COMPACT) : NULL;
    if (text)
        send_frame(child, FRAME_ERROR, text, strlen(text));
    _exit(0);
}

/* --- Budgets --- */

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
    end_with_error(child, message);
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
    if (instructions > child->instructions)
        used_up(lua, child);
    child->instructions -= instructions;
}

/* Growth is charged as work too: a loop that makes and drops large strings ends. It cannot end the
 * child from here, in the middle of an allocation; the hook does. */
static void *allocate_counted(void *context, void *old, size_t old_bytes, size_t bytes)
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

/* --- What scripts and `main` call --- */

/* Chunk names: users' begin with '@', ours with '='. Lua cuts long ones; the file's name is enough.
 */
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
        if (strstr(lua_tostring(lua, -1), "'}' expected"))
            lua_pushfstring(lua, "%s; is a comma missing before it?", lua_tostring(lua, -1));
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

/* A file under the sandbox's folder, component by component, through no link. -1: there is none. */
static int open_below(const char *folder, const char *name)
{
    int  at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char part[256];
    while (at >= 0) {
        size_t length = strcspn(name, "/");
        if (length == 0 || length >= sizeof part || name[0] == '.')
            break;
        memcpy(part, name, length);
        part[length] = 0;
        int kind     = name[length] ? O_DIRECTORY : O_NONBLOCK;
        int next     = openat(at, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind);
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

static char *read_regular(Region *region, int file, size_t *length)
{
    struct stat about;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > SCRIPT_BYTES_MAX)
        return NULL;
    char *text = region_alloc(region, (size_t)about.st_size + 1);
    *length    = 0;
    for (ssize_t got = 1; got > 0 && *length < (size_t)about.st_size; *length += (size_t)got)
        if ((got = read(file, text + *length, (size_t)about.st_size - *length)) < 0)
            return NULL;
    return text;
}

const char *sandbox_read(lua_State *lua, const char *name)
{
    Child *child  = child_of(lua);
    size_t length = 0;
    sandbox_charge(lua, INCLUDE_CHARGE);
    int   file = child->sandbox->folder ? open_below(child->sandbox->folder, name) : -1;
    char *text = file >= 0 ? read_regular(child->region, file, &length) : NULL;
    if (file >= 0)
        close(file);
    if (!text)
        return NULL;
    const char *hash  = hash_bytes(child->region, text, length);
    const char *frame = region_format(child->region, "%s %s", hash, name);
    send_frame(child, FRAME_INCLUDE, frame, strlen(frame));
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
    const char *name = luaL_checklstring(lua, 1, &length);
    const char *text = strlen(name) == length ? sandbox_read(lua, name) : NULL;
    if (!text)
        return luaL_error(lua,
                          "include: found \"%s\", expected a file of at most 1 MiB in the script's "
                          "folder or below it, by a path without \".\", \"..\" or links",
                          name);
    load_text(lua, text, strlen(text), name, '@');
    use_users_globals(lua);
    lua_call(lua, 0, 1);
    return 1;
}

static int write_printed(lua_State *lua)
{
    size_t      length;
    const char *text = luaL_checklstring(lua, 1, &length);
    sandbox_charge(lua, (int64_t)length + HOOK_INTERVAL);
    send_frame(child_of(lua), FRAME_PRINT, text, length);
    return 0;
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

/* --- The child --- */

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

/* Leaves the builtins and the users' globals in the registry; Lua's own libraries stay reachable
 * only for lua/sandbox.lua. */
static void open_library(lua_State *lua, Child *child)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table},
                                         {LUA_MATHLIBNAME, luaopen_math}};
    static const luaL_Reg host[]      = {{"charge", charge},
                                         {"write", write_printed},
                                         {"include", include},
                                         {"nearest", nearest},
                                         {NULL, NULL}};
    for (int i = 0; i < COUNT(libraries); i++) {
        luaL_requiref(lua, libraries[i].name, libraries[i].func, 1);
        lua_pop(lua, 1);
    }
    sandbox_load_ours(lua, "sandbox.lua");
    luaL_newlib(lua, host);
    lua_pushinteger(lua, (lua_Integer)child->sandbox->seed);
    lua_setfield(lua, -2, "seed");
    lua_call(lua, 1, 2);
    child->users = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_pushvalue(lua, -1);
    child->builtins = luaL_ref(lua, LUA_REGISTRYINDEX);
    lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

/* Everything that may raise an error. Leaves the answer's JSON text. */
static int run_main(lua_State *lua)
{
    Child *child = child_of(lua);
    open_library(lua, child);
    lua_pushcfunction(lua, child->sandbox->main);
    lua_pushlightuserdata(lua, child->sandbox->context);
    lua_call(lua, 1, 1);
    json_t *answer = values_take(lua, -1);
    char   *text   = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return luaL_error(lua, "the answer is too large");
    if (child->instructions < 0)
        used_up(lua, child);
    send_frame(child, FRAME_ANSWER, text, strlen(text));
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

/* An error's text begins with where the script was, whoever raised it. */
static int add_place(lua_State *lua)
{
    if (lua_type(lua, 1) != LUA_TSTRING)
        return 1;
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
        end_with_error(child, lua_type(lua, 1) == LUA_TSTRING
                                  ? lua_tostring(lua, 1)
                                  : lua_pushfstring(lua, "the script raised a %s as its error",
                                                    luaL_typename(lua, 1)));
    json_t *error = values_take(lua, 1);
    char   *text  = json_dumps(error, JSON_COMPACT);
    if (!text)
        return luaL_error(lua, "the script raised an error that cannot be shown");
    send_frame(child, FRAME_ERROR, text, strlen(text));
    return 0;
}

_Noreturn static void live(const Sandbox *sandbox, int pipe, Whereabouts *place)
{
    Child child = {.sandbox      = sandbox,
                   .region       = region_new(),
                   .place        = place,
                   .pipe         = pipe,
                   .instructions = sandbox->instructions ? sandbox->instructions : DEFAULT_BUDGET,
                   .bytes_limit  = sandbox->bytes ? sandbox->bytes : DEFAULT_BYTES};
    child.limit = child.instructions;
    confine(pipe, child.bytes_limit, sandbox->seconds > 0 ? sandbox->seconds : 1);

    lua_State *lua = lua_newstate(allocate_counted, &child);
    if (!lua)
        end_with_error(&child, "there is no memory for Lua");
    *(Child **)lua_getextraspace(lua) = &child;
    lua_sethook(lua, count_hook, LUA_MASKCOUNT, HOOK_INTERVAL);
    lua_pushcfunction(lua, add_place);
    lua_pushcfunction(lua, run_main);
    if (lua_pcall(lua, 0, 0, 1) == LUA_OK)
        _exit(0);
    lua_pushcfunction(lua, send_error);
    lua_insert(lua, -2);
    if (lua_pcall(lua, 1, 0, 0) != LUA_OK)
        end_with_error(&child, lua_tostring(lua, -1));
    _exit(0);
}

/* --- The parent --- */

typedef struct Listener {
    Region        *region;
    SandboxResult *result;
    int            room; /* of result->included */
    bool           answered, failed;
    Error         *error;
} Listener;

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool report(Listener *listener, const char *bytes, size_t length)
{
    json_t *complaint = json_loadb(bytes, length, 0, NULL);
    Place   place     = {.file = text_of(complaint, "file"),
                         .line = (int)json_integer_value(json_object_get(complaint, "line"))};
    listener->failed  = true;
    if (text_of(complaint, "text"))
        error_input(listener->error, "%s", text_of(complaint, "text"));
    else
        error_at(listener->error, place, .field = text_of(complaint, "field"),
                 .found = text_of(complaint, "found"), .expected = text_of(complaint, "expected"),
                 .remedy = text_of(complaint, "remedy"));
    json_decref(complaint);
    return false;
}

static bool take_frame(Listener *listener, uint32_t kind, const char *bytes, size_t length)
{
    SandboxResult *result = listener->result;
    switch (kind) {
    case FRAME_PRINT:
        fprintf(stderr, "%.*s\n", (int)length, bytes);
        return true;
    case FRAME_INCLUDE: {
        SandboxFile file = {.hash = region_format(listener->region, "%.64s", bytes),
                            .name = region_copy(listener->region, bytes + 65)};
        REGION_APPEND(listener->region, result->included, result->nincluded, listener->room, file);
        return true;
    }
    case FRAME_ANSWER:
        result->answer = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        listener->answered = result->answer != NULL;
        return true;
    default:
        return report(listener, bytes, length);
    }
}

/* False at the end of the pipe. */
static bool read_whole(int pipe, void *bytes, size_t count)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t got = read(pipe, at, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        count -= (size_t)got;
    }
    return true;
}

/* Until the child has said all; memory of one frame at a time. */
static void listen_to(Listener *listener, int pipe)
{
    FrameHead head;
    bool      more = true;
    while (more && read_whole(pipe, &head, sizeof head) && head.length <= ANSWER_BYTES_MAX) {
        char *bytes = calloc((size_t)head.length + 1, 1);
        more        = bytes && read_whole(pipe, bytes, head.length) &&
               take_frame(listener, head.kind, bytes, head.length);
        free(bytes);
    }
}

/* The child ended without an answer and without an error: something killed it. */
static bool report_killed(const Whereabouts *place, int status, Error *error)
{
    bool time = WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGXCPU);
    const char *why = time ? "the script takes too much processor time; does a loop, or the search "
                             "for a pattern, never end?"
                           : "the script takes too much memory, or broke its process";
    if (place->line > 0)
        return error_input(error, "%s:%d: %s", place->source, place->line, why);
    return error_input(error, "%s", why);
}

bool sandbox_run(Region *region, const Sandbox *sandbox, SandboxResult *result, Error *error)
{
    int ends[2];
    *result = (SandboxResult){0};
    Whereabouts *place =
        mmap(NULL, sizeof *place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0)
        return error_fail(error, "cannot start a script: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0)
        live(sandbox, ends[1], place);
    close(ends[1]);
    Listener listener = {.region = region, .result = result, .error = error};
    int      status   = 0;
    if (child > 0) {
        listen_to(&listener, ends[0]);
        close(ends[0]); /* a child that still writes ends by SIGPIPE */
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    } else {
        close(ends[0]);
        error_fail(error, "cannot start a script: %s", strerror(errno));
        listener.failed = true;
    }
    if (!listener.answered && !listener.failed)
        report_killed(place, status, error);
    munmap(place, sizeof *place);
    if (!listener.answered && result->answer)
        json_decref(result->answer);
    return listener.answered;
}
