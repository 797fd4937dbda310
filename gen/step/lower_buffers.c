/* lower_buffers: a rank's buffers by name, while its program is written. */
#include <stdlib.h>
#include <string.h>

#include "gen/step/lower.h"

static void add_number(Text *text, int number)
{
    char digits[16], *at = digits + sizeof digits;
    int  rest = number;
    do {
        *--at = (char)('0' + abs(rest % 10));
        rest /= 10;
    } while (rest);
    if (number < 0)
        *--at = '-';
    text_bytes(text, at, (size_t)(digits + sizeof digits - at));
}

/* By hand: printf and a copy for each operand took a quarter of all lowering. */
const char *lower_name(Lowering *lowering, char letter, int number, int layer, const char *what)
{
    Text *name   = &lowering->name;
    name->length = 0;
    text_bytes(name, &letter, 1);
    add_number(name, number);
    if (layer != NO_LAYER) {
        text_bytes(name, ".L", 2);
        add_number(name, layer);
    }
    text_bytes(name, ".", 1);
    text_bytes(name, what, strlen(what));
    return name->at;
}

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash;
}

static int *slot_of(const RankWriter *writer, const char *name)
{
    uint64_t at = hash_name(name) & (uint64_t)(writer->nslots - 1);
    while (writer->slots[at] >= 0 &&
           strcmp(writer->rank->buffers[writer->slots[at]].name, name) != 0)
        at = (at + 1) & (uint64_t)(writer->nslots - 1);
    return &writer->slots[at];
}

static void grow_slots(Region *region, RankWriter *writer)
{
    if (2 * (writer->rank->nbuffers + 1) <= writer->nslots)
        return;
    writer->nslots = writer->nslots ? 2 * writer->nslots : 256;
    writer->slots  = REGION_ARRAY(region, int, writer->nslots);
    for (int i = 0; i < writer->nslots; i++)
        writer->slots[i] = -1;
    for (int i = 0; i < writer->rank->nbuffers; i++)
        *slot_of(writer, writer->rank->buffers[i].name) = i;
}

int lower_add_buffer(Region *region, RankWriter *writer, const char *name, int64_t rows,
                     int64_t row_bytes)
{
    RankProgram *rank = writer->rank;
    int64_t      room = writer->buffer_room;
    int          n    = rank->nbuffers;
    Buffer       made = {.name      = region_copy(region, name),
                         .rows      = rows,
                         .row_bytes = row_bytes,
                         .bytes     = pw_align(rows * row_bytes),
                         .offset    = -1};
    grow_slots(region, writer);
    REGION_APPEND(region, rank->buffers, rank->nbuffers, writer->buffer_room, made);
    if (room != writer->buffer_room) {
        writer->newest  = region_grow(region, writer->newest, sizeof(int) * (size_t)n,
                                      sizeof(int) * (size_t)writer->buffer_room);
        writer->written = region_grow(region, writer->written, sizeof(bool) * (size_t)n,
                                      sizeof(bool) * (size_t)writer->buffer_room);
    }
    *slot_of(writer, made.name) = n;
    writer->newest[n]           = n;
    return n;
}

int lower_find(const Lowering *lowering, int rank, const char *name)
{
    const RankWriter *writer = &lowering->writers[rank];
    int               found  = writer->nslots ? *slot_of(writer, name) : -1;
    return found < 0 ? -1 : writer->newest[found];
}

int lower_buffer(Lowering *lowering, int rank, const char *name, int64_t rows, int64_t row_bytes)
{
    int found = lower_find(lowering, rank, name);
    return found >= 0 ? found
                      : lower_add_buffer(lowering->region, &lowering->writers[rank], name, rows,
                                         row_bytes);
}

/* A value is written again: it moves to a new buffer, "C2.L4.q'". */
static int renew_buffer(Lowering *lowering, int rank, const char *name)
{
    RankWriter   *writer = &lowering->writers[rank];
    int           plain  = *slot_of(writer, name);
    const Buffer *old    = &writer->rank->buffers[writer->newest[plain]];
    const char   *next   = region_format(lowering->region, "%s'", old->name);
    int made = lower_add_buffer(lowering->region, writer, next, old->rows, old->row_bytes);
    writer->newest[plain] = made;
    return made;
}

bool lower_is_written(const Lowering *lowering, int rank, int buffer)
{
    return lowering->writers[rank].written[buffer];
}

void lower_set_written(Lowering *lowering, int rank, int buffer)
{
    lowering->writers[rank].written[buffer] = true;
}

Operand lower_operand(const Lowering *lowering, int rank, int buffer, Access access)
{
    return (Operand){buffer, 0, lowering->program->ranks[rank].buffers[buffer].rows, access};
}

int lower_written_buffer(Lowering *lowering, int rank, const char *name, int64_t rows,
                         int64_t row_bytes)
{
    int buffer = lower_buffer(lowering, rank, name, rows, row_bytes);
    if (lower_is_written(lowering, rank, buffer))
        buffer = renew_buffer(lowering, rank, name);
    lower_set_written(lowering, rank, buffer);
    return buffer;
}
