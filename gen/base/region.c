/* region: blocks in a list; an allocation is cut from the newest block, a large one gets a block of
 * its own. Nothing is freed before the region is. */
#include "gen/base/region.h"

#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK = 1 << 14, LARGEST_BLOCK = 1 << 20 };

typedef struct Block {
    struct Block *next;
    size_t        used, room; /* bytes of `memory` */
    _Alignas(ALIGNMENT) unsigned char memory[];
} Block;

struct Region {
    Block *newest; /* where the next allocation is tried */
    Block *large;  /* blocks of one allocation           */
};

static void *memory_or_leave(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory) {
        fprintf(stderr, "pipewright: out of memory (%zu bytes more were needed)\n", bytes);
        exit(1);
    }
    return memory;
}

static Block *block_new(Block *next, size_t room)
{
    if (room > SIZE_MAX - sizeof(Block))
        room = SIZE_MAX - sizeof(Block); /* cannot be had; fails with the message */
    Block *block = memory_or_leave(sizeof(Block) + room);
    block->next  = next;
    block->room  = room;
    return block;
}

/* What one step's region gave back the next one's takes: kept in the heap, it is not fetched from
 * the kernel page by page each time, which took a fifth of all lowering. */
static void keep_heap(void)
{
#ifdef M_MMAP_THRESHOLD
    static bool done;
    if (!done) {
        mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that glibc takes */
        mallopt(M_TRIM_THRESHOLD, INT_MAX);
    }
    done = true;
#endif
}

Region *region_new(void)
{
    keep_heap();
    return memory_or_leave(sizeof(Region));
}

static void free_blocks(Block *block)
{
    while (block) {
        Block *next = block->next;
        free(block);
        block = next;
    }
}

void region_free(Region *region)
{
    if (!region)
        return;
    free_blocks(region->newest);
    free_blocks(region->large);
    free(region);
}

static size_t next_room(const Block *newest)
{
    if (!newest)
        return FIRST_BLOCK;
    return newest->room < LARGEST_BLOCK ? 2 * newest->room : LARGEST_BLOCK;
}

void *region_alloc(Region *region, size_t bytes)
{
    size_t rounded =
        bytes > SIZE_MAX - ALIGNMENT ? SIZE_MAX : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded > FIRST_BLOCK / 2) {
        region->large = block_new(region->large, rounded);
        return region->large->memory;
    }
    if (!region->newest || region->newest->room - region->newest->used < rounded)
        region->newest = block_new(region->newest, next_room(region->newest));
    void *memory = region->newest->memory + region->newest->used;
    region->newest->used += rounded;
    return memory;
}

char *region_copy(Region *region, const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(region_alloc(region, bytes), text, bytes);
}

char *region_format(Region *region, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    char  brief[128]; /* most are: printed once */
    int   length = vsnprintf(brief, sizeof brief, format, arguments);
    char *text   = region_alloc(region, (size_t)length + 1);
    if ((size_t)length < sizeof brief)
        memcpy(text, brief, (size_t)length);
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void *region_grow(Region *region, const void *old, size_t old_bytes, size_t new_bytes)
{
    void *memory = region_alloc(region, new_bytes);
    if (old_bytes)
        memcpy(memory, old, old_bytes);
    return memory;
}
