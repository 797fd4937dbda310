/* allocate: gives every buffer of a rank its place in the rank's arena.
 *   reads    a program with messages: its buffers, and how long each of their parts lives
 *   writes   Buffer.offset, Buffer.parts, RankProgram.peak and peak_instruction; nothing else
 *   fails    peak above the capacity: how much is missing, and where; the driver may go back
 *   stands   after overlap, because a receive that is posted early lengthens a life
 * Buffer after buffer, each in the lowest gap that is free while its parts live (greedy, Pisarchyk
 * and Lee 2020, arXiv 2001.03288). No order of buffers is best for every program: each of these is
 * tried, the least peak stays; ties go to the earlier key, and within one to the lower number. What
 * lives longer than one operation goes first; the rest of each operation then meets only what is
 * there in it. What is placed stands in lists by address, one for each slice of the program: a gap
 * is found in one walk from below.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen/step/lives.h"
#include "gen/step/step_passes.h"

/* A buffer as the keys see it. */
typedef struct Item {
    int     buffer, first, last; /* over all of its parts                                  */
    int     operation;           /* the one in which it lives and dies; -1: it lives longer */
    int64_t bytes;
    double  key; /* larger ones are placed first                                           */
} Item;

/* A part in its place. */
typedef struct Placed {
    int64_t start, past;
    int     first, last;
} Placed;

/* What is placed, by start. */
typedef struct Shelf {
    Placed *placed;
    int     count, room;
} Shelf;

/* A rank's operations are cut into slices, finer from level to level down to a few operations each;
 * level 0 is all of them. What lives within one slice looks for a gap among those alone that are
 * there in it. */
enum { MOST_LEVELS = 6, MOST_SLICES = 1 << 2 * (MOST_LEVELS - 1), PER_SLICE = 2 };

typedef struct Arena {
    Region            *region;
    const RankProgram *rank;
    Item              *items; /* [nitems] */
    int                nitems;
    const int         *operation; /* [ninstructions] of the rank                              */
    int                noperations, nlevels;
    Shelf              long_lived[MOST_LEVELS][MOST_SLICES]; /* whatever lives longer than that */
    Shelf              local; /* all that is there in one operation                          */
} Arena;

typedef double (*Key)(const Item *item);

static double by_size(const Item *item)
{
    return (double)item->bytes;
}

static double by_size_and_life(const Item *item)
{
    return (double)item->bytes * (item->last - item->first + 1);
}

static double by_start(const Item *item)
{
    return -item->first;
}

static double by_end(const Item *item)
{
    return item->last;
}

static double by_life(const Item *item)
{
    return item->last - item->first;
}

static int by_key(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->operation != y->operation)
        return x->operation < y->operation ? -1 : 1;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static int64_t align(int64_t bytes)
{
    return (bytes + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN;
}

static int slice_at(const Arena *arena, int level, int instruction)
{
    int slices = 1 << 2 * level; /* four times as many a level */
    return (int)((int64_t)arena->operation[instruction] * slices / arena->noperations);
}

static const Shelf *finest_slice(const Arena *arena, int first, int last)
{
    int level = arena->nlevels - 1;
    while (slice_at(arena, level, first) != slice_at(arena, level, last))
        level--;
    return &arena->long_lived[level][slice_at(arena, level, first)];
}

/* The lowest place at or above `least` where so many bytes are free from `first` to `last`. */
static int64_t lowest_gap(const Shelf *shelf, int64_t least, int64_t bytes, int first, int last)
{
    int64_t at = least;
    for (int i = 0; i < shelf->count && shelf->placed[i].start < at + bytes; i++) {
        const Placed *other = &shelf->placed[i];
        if (other->past > at && other->first <= last && first <= other->last)
            at = other->past;
    }
    return at;
}

/* Where the whole buffer fits: each part pushes it up until none does. `local`: it lives and dies
 * in the operation whose shelf stands. */
static int64_t find_place(const Arena *arena, bool local, const Buffer *buffer)
{
    int64_t base = arena->rank->static_bytes;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < buffer->nparts; i++) {
            const BufferPart *part  = &buffer->parts[i];
            int64_t           start = part_start(buffer, part);
            const Shelf      *shelf =
                local ? &arena->local : finest_slice(arena, part->first, part->last);
            int64_t at = lowest_gap(shelf, base + start, part_past(buffer, part) - start,
                                    part->first, part->last);
            if (at > base + start) {
                base  = align(at - start);
                moved = true;
            }
        }
    }
    return base;
}

static void put(Region *region, Shelf *shelf, Placed placed)
{
    int low = 0, high = shelf->count;
    REGION_APPEND(region, shelf->placed, shelf->count, shelf->room, placed);
    while (low < high) {
        int middle = (low + high) / 2;
        if (shelf->placed[middle].start <= placed.start)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&shelf->placed[low + 1], &shelf->placed[low],
            (size_t)(shelf->count - 1 - low) * sizeof placed);
    shelf->placed[low] = placed;
}

static void put_long_lived(Arena *arena, Placed placed)
{
    for (int level = 0; level < arena->nlevels; level++) {
        int last = slice_at(arena, level, placed.last);
        for (int i = slice_at(arena, level, placed.first); i <= last; i++)
            put(arena->region, &arena->long_lived[level][i], placed);
    }
}

static void clear_shelves(Arena *arena)
{
    for (int level = 0; level < arena->nlevels; level++)
        for (int i = 0; i < 1 << 2 * level; i++)
            arena->long_lived[level][i].count = 0;
}

/* Fills `local` with the long-lived parts that are there in the operation of these instructions. */
static void fetch_local(Arena *arena, const Item *item)
{
    int first = item->first, last = item->last;
    while (first > 0 && arena->operation[first - 1] == item->operation)
        first--;
    while (last + 1 < arena->rank->ninstructions && arena->operation[last + 1] == item->operation)
        last++;
    const Shelf *slice = finest_slice(arena, first, last);
    arena->local.count = 0;
    for (int i = 0; i < slice->count; i++)
        if (slice->placed[i].first <= last && first <= slice->placed[i].last)
            REGION_APPEND(arena->region, arena->local.placed, arena->local.count, arena->local.room,
                          slice->placed[i]);
}

/* Places all buffers in the order of the key; offsets [nbuffers] are written. Returns the peak; an
 * order that comes to `enough` is given up there. */
static int64_t fill_arena(Arena *arena, Key key, int64_t enough, int64_t *offsets)
{
    int64_t peak = arena->rank->static_bytes;
    for (int i = 0; i < arena->nitems; i++)
        arena->items[i].key = key(&arena->items[i]);
    qsort(arena->items, (size_t)arena->nitems, sizeof *arena->items, by_key);
    clear_shelves(arena);
    for (int i = 0, operation = -1; i < arena->nitems && peak < enough; i++) {
        const Item   *item   = &arena->items[i];
        const Buffer *buffer = &arena->rank->buffers[item->buffer];
        bool          local  = item->operation >= 0;
        if (local && item->operation != operation)
            fetch_local(arena, item);
        operation             = item->operation;
        int64_t at            = find_place(arena, local, buffer);
        offsets[item->buffer] = at;
        for (int k = 0; k < buffer->nparts; k++) {
            const BufferPart *part   = &buffer->parts[k];
            Placed            placed = {at + part_start(buffer, part), at + part_past(buffer, part),
                                        part->first, part->last};
            if (local)
                put(arena->region, &arena->local, placed);
            else
                put_long_lived(arena, placed);
        }
        peak = at + buffer->bytes > peak ? at + buffer->bytes : peak;
    }
    return peak;
}

/* Marks passed, by instruction. */
static const int *count_operations(Region *region, const RankProgram *rank)
{
    int *operation = REGION_ARRAY(region, int, rank->ninstructions);
    for (int i = 0, marks = 0; i < rank->ninstructions; i++) {
        marks += rank->instructions[i].kind == PW_MARK;
        operation[i] = marks;
    }
    return operation;
}

static Item item_of(const Arena *arena, int number)
{
    const Buffer *buffer = &arena->rank->buffers[number];
    Item item = {.buffer = number, .first = buffer->parts[0].first, .bytes = buffer->bytes};
    for (int k = 0; k < buffer->nparts; k++) {
        item.first = buffer->parts[k].first < item.first ? buffer->parts[k].first : item.first;
        item.last  = buffer->parts[k].last > item.last ? buffer->parts[k].last : item.last;
    }
    bool within    = arena->operation[item.first] == arena->operation[item.last];
    item.operation = within ? arena->operation[item.first] : -1;
    return item;
}

static Arena *new_arena(Region *region, const RankProgram *rank)
{
    Arena *arena       = REGION_NEW(region, Arena);
    arena->region      = region;
    arena->rank        = rank;
    arena->items       = REGION_ARRAY(region, Item, rank->nbuffers);
    arena->operation   = count_operations(region, rank);
    arena->noperations = rank->ninstructions ? arena->operation[rank->ninstructions - 1] + 1 : 1;
    while (arena->nlevels < MOST_LEVELS &&
           (arena->nlevels == 0 || PER_SLICE << 2 * arena->nlevels <= arena->noperations))
        arena->nlevels++;
    for (int i = 0; i < rank->nbuffers; i++)
        if (!rank->buffers[i].is_static && rank->buffers[i].nparts)
            arena->items[arena->nitems++] = item_of(arena, i);
    return arena;
}

/* The first instruction at which the highest byte is in use. */
static int find_peak(const RankProgram *rank)
{
    int instruction = rank->ninstructions - 1;
    for (int i = 0; i < rank->nbuffers; i++) {
        const Buffer *buffer = &rank->buffers[i];
        for (int k = 0; k < buffer->nparts; k++) {
            const BufferPart *part = &buffer->parts[k];
            if (buffer->offset + part_past(buffer, part) == rank->peak && part->first < instruction)
                instruction = part->first;
        }
    }
    return instruction;
}

static void place_buffers(Region *region, RankProgram *rank)
{
    static const Key keys[]  = {by_size_and_life, by_start, by_size, by_end, by_life};
    int              fullest = 0;
    Arena           *arena   = new_arena(region, rank);
    int64_t          least   = largest_live_bytes(region, rank, &fullest);
    int64_t         *offset  = REGION_ARRAY(region, int64_t, rank->nbuffers);
    rank->peak               = INT64_MAX;
    for (int k = 0; k < COUNT(keys) && rank->peak > least; k++) {
        int64_t peak = fill_arena(arena, keys[k], rank->peak, offset);
        if (peak >= rank->peak)
            continue;
        rank->peak = peak;
        for (int i = 0; i < arena->nitems; i++)
            rank->buffers[arena->items[i].buffer].offset = offset[arena->items[i].buffer];
    }
    rank->peak_instruction = find_peak(rank);
}

/* ---- the complaint ---- */

static bool lives_at(const Buffer *buffer, int instruction)
{
    for (int k = 0; k < buffer->nparts; k++)
        if (buffer->parts[k].first <= instruction && instruction <= buffer->parts[k].last)
            return true;
    return false;
}

/* "C2.L4.q 1.5 MiB, ...": the five largest that live there. */
static const char *largest_buffers(Region *region, const RankProgram *rank, int instruction)
{
    Text  text  = text_new(region);
    bool *named = REGION_ARRAY(region, bool, rank->nbuffers);
    for (int n = 0; n < 5; n++) {
        int best = -1;
        for (int i = 0; i < rank->nbuffers; i++)
            if (!named[i] && lives_at(&rank->buffers[i], instruction) &&
                (best < 0 || rank->buffers[i].bytes > rank->buffers[best].bytes))
                best = i;
        if (best < 0)
            break;
        named[best] = true;
        text_add(&text, "%s%s %s", n ? ", " : "", rank->buffers[best].name,
                 text_size(region, rank->buffers[best].bytes));
    }
    return text.at;
}

static bool too_small(const Program *program, int number, const Codelets *codelets, Error *error)
{
    const RankProgram *rank    = &program->ranks[number];
    Region            *region  = program->region;
    int                fullest = 0;
    int64_t            enough  = 0; /* for all ranks: they share the job's cluster.memory */
    for (int i = 0; i < program->nranks; i++)
        enough = program->ranks[i].peak > enough ? program->ranks[i].peak : enough;
    largest_live_bytes(region, rank, &fullest);
    const Instruction *at = &rank->instructions[fullest];
    const char        *what =
        at->kind == PW_CALL ? codelets->items[at->codelet].name : instruction_names[at->kind];
    return error_input(
        error,
        "step %" PRId64 ": rank %d needs %s (%" PRId64 " bytes) and may take %s: %" PRId64
        " bytes are missing. Most is in use at instruction %d (%s, chunk %d, layer %d): %s for "
        "weights and their like, and the largest of the rest %s. Recompute more, make chunks "
        "smaller or stages more, or let each rank take %" PRId64 " bytes",
        program->step, number, text_size(region, rank->peak), rank->peak,
        text_size(region, rank->capacity), rank->peak - rank->capacity, fullest, what, at->chunk,
        at->layer, text_size(region, rank->static_bytes), largest_buffers(region, rank, fullest),
        enough);
}

bool allocate(Program *program, const Codelets *codelets, Error *error)
{
    if (!program_check(program, codelets, NULL, error))
        return false;
    for (int rank = 0; rank < program->nranks; rank++) {
        find_lives(program->region, &program->ranks[rank], codelets);
        place_buffers(program->region, &program->ranks[rank]);
    }
    for (int rank = 0; rank < program->nranks; rank++)
        if (program->ranks[rank].peak > program->ranks[rank].capacity)
            return too_small(program, rank, codelets, error);
    return true;
}
