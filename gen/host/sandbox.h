/* sandbox: runs scripts in a child process that can do nothing but answer.
 * The child has no descriptor but a pipe, budgets in instructions and bytes that are counted (so a
 * script ends, or not, in the same place everywhere), and limits on processor time and memory that
 * only kill. Scripts see a library without a clock, an address, a hash order or a file
 * (lua/sandbox.lua). A fresh child for every run: nothing goes from one to the next. */
#ifndef PIPEWRIGHT_SANDBOX_H
#define PIPEWRIGHT_SANDBOX_H

#include <jansson.h>
#include <lua.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

typedef struct Sandbox {
    /* Runs in the child, protected, its one argument a light userdata: `context`. Registers what it
     * likes, loads scripts, calls them, returns one value: the answer. What it raises is the error:
     * a text that begins with "file:line: ", or a table with the fields of Complaint beside `file`
     * and `line`, or one with `text`. */
    lua_CFunction main;
    void         *context;
    const char   *folder; /* what `include` may read from; NULL: includes are refused          */
    uint64_t      seed;   /* of math.random                                                    */
    int64_t       instructions; /* budget; 0: the default, 20 million                          */
    int64_t       bytes;        /* most memory of all scripts; 0: the default, 192 MiB         */
    double        seconds;      /* of processor time, kills; 0: the default, 1                 */
} Sandbox;

typedef struct SandboxFile {
    const char *name, *hash; /* as it was included, SHA-256                                    */
} SandboxFile;

typedef struct SandboxResult {
    json_t      *answer; /* a new reference                                                    */
    SandboxFile *included;
    int          nincluded;
    bool         used_up; /* there is no answer, since a budget or a limit was used up           */
} SandboxResult;

/* What scripts print goes to stderr. False: the error is the script's (status 2), or fork
 * failed. */
bool sandbox_run(Region *region, const Sandbox *sandbox, SandboxResult *result, Error *error);

/* For `main` and the C functions that it registers; errors are raised in Lua. */

/* Pushes the function of one of our files, "job.lua" in lua/ of the data folder. It reads and
 * writes the globals that users' scripts read: a function set there is a builtin. */
void sandbox_load_ours(lua_State *lua, const char *name);
/* Pushes the function of a user's file: globals of its own over the builtins, which it cannot
 * change; an undefined name is an error with the nearest right one. `path` stands in errors. */
void sandbox_load_users(lua_State *lua, const char *path);
/* Errors that no line of a user's script stands behind are given the line where the function at
 * `index` begins; nothing happens where it is none. */
void sandbox_blame(lua_State *lua, int index);
/* The text of a file under the sandbox's folder, recorded as included; NULL, and why: it cannot be
 * read. It may have bytes of 0 in it. */
const char *sandbox_read(lua_State *lua, const char *name, size_t *length, const char **why);
/* The text of a user's file that was loaded, by its lua_Debug.short_src; or NULL. */
const char *sandbox_source(lua_State *lua, const char *name);
/* Takes from the budget of instructions what a C function is going to do; ends the child if it is
 * used up; a negative number is one that became too large. Every function whose work a script
 * chooses must call it. */
void sandbox_charge(lua_State *lua, int64_t instructions);

#endif
