/* arena: addresses from mmap, pages by writing to each. */
#include "runtime/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, BIG_PAGE = 1 << 21, PAINT = 0xff };

bool pw_arena_open(PwArena *arena, int rank, int64_t capacity, PwError *error)
{
    *arena = (PwArena){.capacity = capacity};
    if (capacity <= 0)
        return pw_input(error, "rank %d: a capacity of %lld bytes", rank, (long long)capacity);
    arena->map_bytes = (size_t)capacity + BIG_PAGE;
    arena->map       = mmap(NULL, arena->map_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena->map == MAP_FAILED)
        return pw_fail(error, "rank %d: cannot reserve %lld bytes: %s", rank, (long long)capacity,
                       strerror(errno));
    arena->at = (unsigned char *)arena->map + (-(uintptr_t)arena->map & (BIG_PAGE - 1));
    return true;
}

void pw_arena_touch(PwArena *arena, int64_t needed)
{
    if (needed <= arena->touched)
        return;
    int64_t whole = needed / BIG_PAGE * BIG_PAGE;
    if (whole > 0) /* only advice: without big pages the arena is slower, not smaller */
        madvise(arena->at, (size_t)whole, MADV_HUGEPAGE);
    for (int64_t i = arena->touched; i < needed; i += PAGE) {
        volatile unsigned char *page = arena->at + i;
        *page                        = *page;
    }
    volatile unsigned char *last = arena->at + needed - 1;
    *last                        = *last;
    arena->touched               = needed;
}

void pw_arena_close(PwArena *arena)
{
    if (arena->at)
        munmap(arena->map, arena->map_bytes);
    *arena = (PwArena){0};
}

void pw_arena_paint(PwArena *arena, int64_t from, int64_t to)
{
    memset(arena->at + from, PAINT, (size_t)(to - from));
}

int64_t pw_arena_highest(const PwArena *arena, int64_t from, int64_t to)
{
    while (to > from && arena->at[to - 1] == PAINT)
        to--;
    return to;
}
