/* arena: all memory of one rank, taken once. The capacity is reserved as addresses; what the
 * programs need is touched before a step needs it, so that no page fault and no shortage of memory
 * comes in the middle of one. */
#ifndef PW_ARENA_H
#define PW_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/failure.h"

typedef struct PwArena {
    unsigned char *at;
    int64_t        capacity, touched;
    void          *map; /* what was mapped: a little more, so that the arena begins a big page */
    size_t         map_bytes;
} PwArena;

bool pw_arena_open(PwArena *arena, int rank, int64_t capacity, PwError *error);
void pw_arena_touch(PwArena *arena, int64_t needed); /* needed <= capacity */
void pw_arena_close(PwArena *arena);

/* Watermarks, for tests: bytes [from, to) are filled with a pattern; later the highest byte that is
 * another one is found. The pattern is all ones: as a number it is not one, so whoever reads what
 * nobody wrote is found as well. */
void    pw_arena_paint(PwArena *arena, int64_t from, int64_t to);
int64_t pw_arena_highest(const PwArena *arena, int64_t from,
                         int64_t to); /* one past; `from`: none */

#endif
