/* allocate: gives every buffer of a rank its place in the rank's arena.
 *   reads    a program with messages: its buffers, and how long each of their parts lives
 *   writes   Buffer.offset and parts, Instruction.live, RankProgram.peak and peak_instruction
 *   fails    peak above the capacity: how much is missing, and where; the driver may go back
 *   stands   after overlap, because a receive that is posted early lengthens a life
 * Buffer after buffer, each in the lowest gap that is free while its parts live (greedy, Pisarchyk
 * and Lee 2020, arXiv 2001.03288). No order of buffers is best for every program: each of these is
 * tried until one is close to the least that is possible, and the least peak stays; ties go to the
 * earlier key, and within one to the lower number. What lives longer than one operation goes first:
 * the rest of each operation then fills what is left there.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "gen/step/gaps.h"
#include "gen/step/lives.h"
#include "gen/step/step_passes.h"

enum { CLOSE = 256 }; /* an order within this part of the least that is possible is the last */

/* A buffer as the keys see it. */
typedef struct Item {
    int     buffer, first, last; /* over all of its parts                                  */
    int     operation;           /* the one in which it lives and dies; -1: it lives longer */
    int64_t bytes;
    double  key; /* larger ones are placed first                                           */
} Item;

typedef struct Arena {
    const RankProgram *rank;
    Item             **items; /* [nitems] by operation; within one in the order of the last key */
    int                nitems;
    Gaps              *gaps;
} Arena;

typedef double (*Key)(const Item *item);

static double by_size(const Item *item)
{
    return (double)item->bytes;
}

static double by_end(const Item *item)
{
    return item->last;
}

/* Lives of about one length side by side, as they come: powers of two, each before the shorter. */
static double by_life_then_start(const Item *item)
{
    int length = 0;
    while ((item->last - item->first) >> length)
        length++;
    return length * (double)INT_MAX - item->first;
}

static int by_operation(const void *a, const void *b)
{
    const Item *x = *(const Item *const *)a, *y = *(const Item *const *)b;
    if (x->operation != y->operation)
        return x->operation < y->operation ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static int by_key(const void *a, const void *b)
{
    const Item *x = *(const Item *const *)a, *y = *(const Item *const *)b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* Where the whole buffer fits: each part pushes it up until none does. */
static int64_t find_place(const Arena *arena, const Buffer *buffer)
{
    int64_t base = arena->rank->static_bytes;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < buffer->nparts; i++) {
            const BufferPart *part  = &buffer->parts[i];
            int64_t           start = part_start(buffer, part);
            int64_t at = gaps_lowest(arena->gaps, base + start, part_past(buffer, part) - start,
                                     part->first, part->last);
            if (at > base + start) {
                base  = pw_align(at - start);
                moved = buffer->nparts > 1 || base + start > at;
            }
        }
    }
    return base;
}

static void sort_items(Arena *arena, Key key)
{
    for (int from = 0, past = 0; from < arena->nitems; from = past) {
        for (;
             past < arena->nitems && arena->items[past]->operation == arena->items[from]->operation;
             past++)
            arena->items[past]->key = key(arena->items[past]);
        qsort(&arena->items[from], (size_t)(past - from), sizeof *arena->items, by_key);
    }
}

/* Places all buffers in the order of the key; offsets [nbuffers] are written. Returns the peak; an
 * order that comes to `enough` is given up there. */
static int64_t fill_arena(Arena *arena, Key key, int64_t enough, int64_t *offsets)
{
    int64_t peak = arena->rank->static_bytes;
    sort_items(arena, key);
    gaps_clear(arena->gaps);
    for (int i = 0; i < arena->nitems && peak < enough; i++) {
        if (arena->items[i]->operation >= 0 && (i == 0 || arena->items[i - 1]->operation < 0))
            gaps_settle(arena->gaps);
        int           number = arena->items[i]->buffer;
        const Buffer *buffer = &arena->rank->buffers[number];
        int64_t       at     = find_place(arena, buffer);
        for (int k = 0; k < buffer->nparts; k++) {
            const BufferPart *part = &buffer->parts[k];
            gaps_take(arena->gaps, at + part_start(buffer, part), at + part_past(buffer, part),
                      part->first, part->last);
        }
        offsets[number] = at;
        peak            = at + buffer->bytes > peak ? at + buffer->bytes : peak;
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

static Item *new_item(Region *region, const RankProgram *rank, const int *operation, int number)
{
    const Buffer *buffer = &rank->buffers[number];
    Item         *item   = REGION_NEW(region, Item);
    *item = (Item){.buffer = number, .first = buffer->parts[0].first, .bytes = buffer->bytes};
    for (int k = 0; k < buffer->nparts; k++) {
        const BufferPart *part = &buffer->parts[k];
        item->first            = part->first < item->first ? part->first : item->first;
        item->last             = part->last > item->last ? part->last : item->last;
    }
    item->operation = operation[item->first] == operation[item->last] ? operation[item->first] : -1;
    return item;
}

static Arena *new_arena(Region *region, const RankProgram *rank)
{
    const int *operation = count_operations(region, rank);
    Arena     *arena     = REGION_NEW(region, Arena);
    arena->rank          = rank;
    arena->gaps          = gaps_new(region, operation, rank->ninstructions);
    arena->items         = REGION_ARRAY(region, Item *, rank->nbuffers);
    for (int i = 0; i < rank->nbuffers; i++)
        if (!rank->buffers[i].is_static && rank->buffers[i].nparts)
            arena->items[arena->nitems++] = new_item(region, rank, operation, i);
    qsort(arena->items, (size_t)arena->nitems, sizeof *arena->items, by_operation);
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
    static const Key keys[]  = {by_life_then_start, by_size, by_end};
    int              fullest = 0;
    Arena           *arena   = new_arena(region, rank);
    int64_t          least   = largest_live_bytes(rank, &fullest);
    int64_t          enough  = least + (least - rank->static_bytes) / CLOSE;
    int64_t         *offset  = REGION_ARRAY(region, int64_t, rank->nbuffers);
    rank->peak               = INT64_MAX;
    for (int k = 0; k < COUNT(keys) && rank->peak > enough; k++) {
        int64_t peak = fill_arena(arena, keys[k], rank->peak, offset);
        if (peak >= rank->peak)
            continue;
        rank->peak = peak;
        for (int i = 0; i < arena->nitems; i++)
            rank->buffers[arena->items[i]->buffer].offset = offset[arena->items[i]->buffer];
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
    static const char *const of_what[] = {
        [PW_TRAIN] = "step", [PW_EVALUATE] = "evaluation program", [PW_GENERATE] = "generation"};
    const RankProgram *rank    = &program->ranks[number];
    Region            *region  = program->region;
    int                fullest = 0;
    largest_live_bytes(rank, &fullest);
    const Instruction *at = &rank->instructions[fullest];
    const char        *what =
        at->kind == PW_CALL ? codelets->items[at->codelet].name : instruction_names[at->kind];
    return error_input(
        error,
        "%s %" PRId64 ": rank %d needs %s (%" PRId64 " bytes) and may take %s (%" PRId64
        "): %" PRId64
        " bytes are missing. Most is in use at instruction %d (%s, chunk %d, layer %d): %s for "
        "weights and their like, and the largest of the rest %s",
        of_what[program->kind], program->step, number, text_size(region, rank->peak), rank->peak,
        text_size(region, rank->capacity), rank->capacity, rank->peak - rank->capacity, fullest,
        what, at->chunk, at->layer, text_size(region, rank->static_bytes),
        largest_buffers(region, rank, fullest));
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
