/* sandbox_child: what the files of the sandbox share: the frames that go over the pipe, and the
 * child's state. The way down: sandbox.c forks and listens; sandbox_child.c lives and answers;
 * sandbox_library.c is what its scripts call; sandbox_budget.c counts and ends it. */
#ifndef PIPEWRIGHT_SANDBOX_CHILD_H
#define PIPEWRIGHT_SANDBOX_CHILD_H

#include "gen/host/sandbox.h"

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
    int            users;               /* in the registry: the globals of their scripts */
} Child;

static inline Child *child_of(lua_State *lua)
{
    return *(Child **)lua_getextraspace(lua);
}

/* The child's life; it ends the process. */
_Noreturn void child_live(const Sandbox *sandbox, int pipe, Whereabouts *place);

/* sandbox_frames.c: what goes over the pipe. */
typedef enum FrameKind {
    FRAME_ANSWER  = 'a', /* JSON                                                               */
    FRAME_ERROR   = 'e', /* JSON: the fields of Complaint, or `text`                           */
    FRAME_INCLUDE = 'i', /* SHA-256, a blank, the name                                         */
    FRAME_PRINT   = 'p', /* a line for the user                                                */
    FRAME_USED_UP = 'u', /* as FRAME_ERROR: a budget was used up                               */
} FrameKind;
void frame_send(const Child *child, FrameKind kind, const char *bytes, size_t count);
/* Says what is wrong, as an error or as used up, and ends the child. */
_Noreturn void frame_end(const Child *child, FrameKind kind, const char *message);
/* The next frame, its bytes closed by a 0, to be freed; NULL at the end of the pipe. */
char *frame_read(int pipe, FrameKind *kind, size_t *length);

/* sandbox_budget.c */
enum { HOOK_INTERVAL = 1000 }; /* instructions */
void  budget_start(lua_State *lua);
void  budget_check(lua_State *lua);
void *budget_allocate(void *child, void *old, size_t old_bytes, size_t bytes); /* a lua_Alloc */

/* sandbox_syntax.c: what is wrong with a text that Lua refuses on this line, as people say it, or
 * NULL; `said`: Lua's words, without the place. */
const char *syntax_hint(Region *region, const char *text, int line, const char *said);

/* sandbox_library.c: makes lua/sandbox.lua's library the state's globals. */
enum { SCRIPT_BYTES_MAX = 1 << 20 };
void library_open(lua_State *lua);

#endif
