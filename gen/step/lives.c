/* lives: from the instructions that touch a buffer to its parts.
 * Rows that are always touched together are one part; a write after the last use begins another
 * life of the same rows, a part of its own. */
#include "gen/step/lives.h"

#include <stdlib.h>

#include "gen/step/touch.h"

/* One touch of a buffer, in the order of instructions. */
typedef struct Use {
    int64_t row, past;
    int     instruction;
    bool    writes;
} Use;

typedef struct Uses {
    Use *items;
    int  count, room;
} Uses;

int64_t part_start(const Buffer *buffer, const BufferPart *part)
{
    return part->row * buffer->row_bytes;
}

int64_t part_past(const Buffer *buffer, const BufferPart *part)
{
    int64_t past = part->row + part->rows;
    return past == buffer->rows ? buffer->bytes : past * buffer->row_bytes;
}

static void add_use(Region *region, Uses *uses, int64_t row, int64_t rows, int instruction,
                    bool writes)
{
    REGION_APPEND(region, uses->items, uses->count, uses->room,
                  ((Use){row, row + rows, instruction, writes}));
}

/* The instruction that opened each message of this rank, by number. */
static const Instruction **openers(Region *region, const RankProgram *rank)
{
    const Instruction **opened = REGION_ARRAY(region, const Instruction *, rank->ninstructions);
    for (int i = 0; i < rank->ninstructions; i++) {
        const Instruction *at = &rank->instructions[i];
        if (at->kind == PW_SEND || at->kind == PW_RECEIVE)
            opened[at->message] = at;
    }
    return opened;
}

static void collect_uses(Region *region, const RankProgram *rank, const Codelets *codelets,
                         Uses *uses)
{
    const Instruction **opened  = openers(region, rank);
    Touches             touches = {.region = region};
    for (int i = 0; i < rank->ninstructions; i++) {
        const Instruction *at      = &rank->instructions[i];
        bool               closes  = at->kind == PW_SENT || at->kind == PW_WAIT;
        const Instruction *touched = closes ? opened[at->message] : at;
        find_touches(&touches, touched, codelets);
        for (int k = 0; k < touches.count; k++) {
            const Touch *item = &touches.items[k];
            if (!rank->buffers[item->buffer].is_static)
                add_use(region, &uses[item->buffer], item->row, item->rows, i,
                        item->access == ACCESS_WRITE && !closes);
        }
    }
    static const char *const lasting[] = {"losses", "next"};
    for (int i = 0; i < COUNT(lasting); i++) {
        int buffer = program_buffer(rank, lasting[i]);
        if (buffer >= 0 && uses[buffer].count)
            add_use(region, &uses[buffer], 0, rank->buffers[buffer].rows, rank->ninstructions - 1,
                    false);
    }
}

static int by_row(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* All rows at which a use begins or ends, rising, each once. */
static int64_t *find_borders(Region *region, const Uses *uses, int *count)
{
    int64_t *borders = REGION_ARRAY(region, int64_t, 2 * uses->count);
    int      n       = 0;
    for (int i = 0; i < uses->count; i++) {
        borders[n++] = uses->items[i].row;
        borders[n++] = uses->items[i].past;
    }
    qsort(borders, (size_t)n, sizeof *borders, by_row);
    *count = 0;
    for (int i = 0; i < n; i++)
        if (!*count || borders[*count - 1] != borders[i])
            borders[(*count)++] = borders[i];
    return borders;
}

/* The lives of rows [row, past), all of which every use takes or leaves. */
static void add_parts(Region *region, Buffer *buffer, int *room, const Uses *uses, int64_t row,
                      int64_t past)
{
    BufferPart part = {row, past - row, -1, -1};
    for (int i = 0; i < uses->count; i++) {
        const Use *use = &uses->items[i];
        if (use->row >= past || use->past <= row)
            continue;
        if (part.first >= 0 && use->writes && use->instruction > part.last) {
            REGION_APPEND(region, buffer->parts, buffer->nparts, *room, part);
            part.first = -1;
        }
        part.first = part.first < 0 ? use->instruction : part.first;
        part.last  = use->instruction;
    }
    if (part.first >= 0)
        REGION_APPEND(region, buffer->parts, buffer->nparts, *room, part);
}

static void find_parts(Region *region, Buffer *buffer, const Uses *uses)
{
    int      nborders, room = 0;
    int64_t *borders = find_borders(region, uses, &nborders);
    buffer->parts    = NULL;
    buffer->nparts   = 0;
    for (int i = 0; i + 1 < nborders; i++)
        add_parts(region, buffer, &room, uses, borders[i], borders[i + 1]);
}

/* Instruction.live. */
static void count_live(Region *region, RankProgram *rank)
{
    int64_t *change = REGION_ARRAY(region, int64_t, rank->ninstructions + 1);
    int64_t  live   = rank->static_bytes;
    for (int i = 0; i < rank->nbuffers; i++) {
        const Buffer *buffer = &rank->buffers[i];
        for (int k = 0; k < buffer->nparts; k++) {
            const BufferPart *part  = &buffer->parts[k];
            int64_t           bytes = part_past(buffer, part) - part_start(buffer, part);
            change[part->first] += bytes;
            change[part->last + 1] -= bytes;
        }
    }
    for (int i = 0; i < rank->ninstructions; i++)
        rank->instructions[i].live = live += change[i];
}

void find_lives(Region *region, RankProgram *rank, const Codelets *codelets)
{
    Uses *uses = REGION_ARRAY(region, Uses, rank->nbuffers);
    collect_uses(region, rank, codelets, uses);
    for (int i = 0; i < rank->nbuffers; i++)
        if (!rank->buffers[i].is_static)
            find_parts(region, &rank->buffers[i], &uses[i]);
    count_live(region, rank);
}

int64_t largest_live_bytes(const RankProgram *rank, int *instruction)
{
    int64_t largest = rank->static_bytes;
    *instruction    = 0;
    for (int i = 0; i < rank->ninstructions; i++)
        if (rank->instructions[i].live > largest) {
            largest      = rank->instructions[i].live;
            *instruction = i;
        }
    return largest;
}
