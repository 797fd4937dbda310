/* prove_memory: what the addresses of a rank hold, who may touch them, and the tokens that a sum
 * has in it. Extents lie in one sorted array: few live at a time, and most writes replace one. */
#include "gen/step/prove_state.h"

#include <string.h>

int name_of(Prover *prover, const char *name)
{
    for (int i = 0; i < prover->nnames; i++)
        if (strcmp(prover->names[i], name) == 0)
            return i;
    REGION_APPEND(prover->region, prover->names, prover->nnames, prover->name_room, name);
    return prover->nnames - 1;
}

static uint64_t hash_of(const Thing *thing)
{
    const int64_t fields[] = {thing->kind, thing->name, thing->layer,    thing->sequence,
                              thing->low,  thing->high, thing->row_bytes};
    uint64_t      hash     = 0;
    for (int i = 0; i < COUNT(fields); i++) {
        hash = (hash ^ (uint64_t)fields[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

static bool same(const Thing *a, const Thing *b)
{
    return a->kind == b->kind && a->name == b->name && a->layer == b->layer &&
           a->sequence == b->sequence && a->low == b->low && a->high == b->high &&
           a->row_bytes == b->row_bytes;
}

/* The slot of an equal thing, or the free one where it belongs. */
static int *slot_of(const Prover *prover, const Thing *thing)
{
    uint64_t slot = hash_of(thing);
    for (;; slot++) {
        int *at = &prover->slots[slot & (uint64_t)(prover->nslots - 1)];
        if (*at == 0 || same(&prover->things[*at - 1], thing))
            return at;
    }
}

int thing_of(Prover *prover, Thing thing)
{
    if (2 * (prover->nthings + 1) > prover->nslots) {
        prover->nslots = prover->nslots ? 2 * prover->nslots : 1024;
        prover->slots  = REGION_ARRAY(prover->region, int, prover->nslots);
        for (int i = 0; i < prover->nthings; i++)
            *slot_of(prover, &prover->things[i]) = i + 1;
    }
    int *slot = slot_of(prover, &thing);
    if (*slot == 0) {
        REGION_APPEND(prover->region, prover->things, prover->nthings, prover->thing_room, thing);
        *slot = prover->nthings;
    }
    return *slot - 1;
}

int share_new(Prover *prover, int weight, int layer)
{
    REGION_APPEND(prover->region, prover->covers, prover->ncovers, prover->cover_room, (Cover){0});
    return thing_of(
        prover,
        (Thing){.kind = THING_SHARE, .name = weight, .layer = layer, .low = prover->ncovers - 1});
}

int memory_find(const Memory *memory, int64_t at)
{
    int low = 0, past = memory->count;
    while (low < past) {
        int middle = low + (past - low) / 2;
        if (memory->extents[middle].past > at)
            past = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Puts `count` extents in the place of [from, past). */
static void replace(Prover *prover, Memory *memory, int from, int past, const Extent *extents,
                    int count)
{
    int needed = memory->count - (past - from) + count;
    if (needed > memory->room) {
        int room = 2 * needed + 16;
        memory->extents =
            region_grow(prover->region, memory->extents, sizeof(Extent) * (size_t)memory->count,
                        sizeof(Extent) * (size_t)room);
        memory->room = room;
    }
    memmove(&memory->extents[from + count], &memory->extents[past],
            sizeof(Extent) * (size_t)(memory->count - past));
    memcpy(&memory->extents[from], extents, sizeof(Extent) * (size_t)count);
    memory->count = needed;
}

static bool continues(const Extent *a, const Extent *b)
{
    return a->thing == b->thing && a->origin == b->origin && a->writer == b->writer &&
           a->past == b->at;
}

void memory_write(Prover *prover, Memory *memory, Extent extent)
{
    Extent kept[3];
    int    nkept = 0;
    int    from  = memory_find(memory, extent.at);
    int    past  = from;
    if (from > 0 && continues(&memory->extents[from - 1], &extent))
        extent.at = memory->extents[--from].at;
    if (past < memory->count && memory->extents[past].at < extent.at) {
        kept[nkept]        = memory->extents[past];
        kept[nkept++].past = extent.at;
    }
    while (past < memory->count && memory->extents[past].at < extent.past)
        past++;
    kept[nkept++] = extent;
    if (past > from && memory->extents[past - 1].past > extent.past) {
        kept[nkept]      = memory->extents[past - 1];
        kept[nkept++].at = extent.past;
    }
    replace(prover, memory, from, past, kept, nkept);
}

/* A sum that is copied is a sum of its own from then on. */
static int copied(Prover *prover, int thing)
{
    Thing old = prover->things[thing];
    if (old.kind != THING_SHARE)
        return thing;
    int    copy = share_new(prover, old.name, old.layer);
    Cover *to   = &prover->covers[prover->things[copy].low];
    Cover  from = prover->covers[old.low];
    for (int i = 0; i < from.count; i++)
        cover_add(prover, to, from.ranges[i][0], from.ranges[i][1]);
    return copy;
}

void memory_copy(Prover *prover, const Memory *from, int64_t at, Memory *to, int64_t to_at,
                 int64_t bytes, int writer)
{
    int64_t distance = to_at - at;
    for (int i = memory_find(from, at); i < from->count && from->extents[i].at < at + bytes; i++) {
        Extent extent = from->extents[i];
        extent.at     = extent.at < at ? at : extent.at;
        extent.past   = extent.past > at + bytes ? at + bytes : extent.past;
        extent.at += distance;
        extent.past += distance;
        extent.origin += distance;
        extent.thing  = copied(prover, extent.thing);
        extent.writer = writer;
        memory_write(prover, to, extent);
    }
}

bool cover_add(Prover *prover, Cover *cover, int64_t first, int64_t past)
{
    int i = 0;
    while (i < cover->count && cover->ranges[i][1] <= first)
        i++;
    if (i < cover->count && cover->ranges[i][0] < past)
        return false;
    bool after  = i > 0 && cover->ranges[i - 1][1] == first;
    bool before = i < cover->count && cover->ranges[i][0] == past;
    if (after && before) {
        cover->ranges[i - 1][1] = cover->ranges[i][1];
        memmove(cover->ranges[i], cover->ranges[i + 1],
                sizeof *cover->ranges * (size_t)(cover->count - i - 1));
        cover->count--;
    } else if (after) {
        cover->ranges[i - 1][1] = past;
    } else if (before) {
        cover->ranges[i][0] = first;
    } else {
        if (cover->count == cover->room) {
            size_t bytes  = sizeof *cover->ranges * (size_t)cover->count;
            cover->room   = cover->room ? 2 * cover->room : 8;
            cover->ranges = region_grow(prover->region, cover->ranges, bytes,
                                        sizeof *cover->ranges * (size_t)cover->room);
        }
        memmove(cover->ranges[i + 1], cover->ranges[i],
                sizeof *cover->ranges * (size_t)(cover->count - i));
        cover->ranges[i][0] = first;
        cover->ranges[i][1] = past;
        cover->count++;
    }
    return true;
}

bool cover_is(const Cover *cover, int64_t first, int64_t past)
{
    return cover->count == 1 && cover->ranges[0][0] == first && cover->ranges[0][1] == past;
}

const char *found_at(Site site, int64_t at)
{
    Prover       *prover = site.prover;
    const Memory *memory = &prover->ranks[site.rank].memory;
    int           i      = memory_find(memory, at);
    if (i == memory->count || memory->extents[i].at > at)
        return "bytes that nothing has written";
    return extent_words(prover, &memory->extents[i]);
}

bool expect(Site site, const char *what, int thing, int64_t at, int64_t past, int64_t origin)
{
    const Memory *memory = &site.prover->ranks[site.rank].memory;
    int64_t       done   = at;
    for (int i = memory_find(memory, at); done < past && i < memory->count; i++) {
        const Extent *extent = &memory->extents[i];
        if (extent->at > done || extent->thing != thing || extent->origin != origin)
            break;
        done = extent->past;
    }
    if (done >= past)
        return true;
    return refuse(site, "%s at 0x%llx: found %s, expected %s", what, (long long)done,
                  found_at(site, done), rows_words(site.prover, thing, at, past, origin));
}

bool expect_written(Site site, const char *what, int64_t at, int64_t past)
{
    const Memory *memory = &site.prover->ranks[site.rank].memory;
    int64_t       done   = at;
    for (int i = memory_find(memory, at); done < past && i < memory->count; i++) {
        if (memory->extents[i].at > done)
            break;
        done = memory->extents[i].past;
    }
    return done >= past || refuse(site, "%s at 0x%llx: found %s, expected a value", what,
                                  (long long)done, found_at(site, done));
}

bool may_touch(Site site, const char *what, int64_t at, int64_t past, bool writes)
{
    const ProvenRank *rank = &site.prover->ranks[site.rank];
    for (int i = 0; i < rank->nlocks; i++) {
        const Lock *lock = &rank->locks[i];
        if (past <= lock->at || at >= lock->past || (!writes && !lock->incoming))
            continue;
        return refuse(site, "%s at 0x%llx: found bytes of the %s at %d, expected its %s before",
                      what, (long long)(at > lock->at ? at : lock->at),
                      lock->incoming ? "receive" : "send", lock->instruction,
                      lock->incoming ? "wait" : "sent");
    }
    return true;
}

bool may_write(Site site, const char *what, int64_t at, int64_t past)
{
    const Memory *memory = &site.prover->ranks[site.rank].memory;
    for (int i = memory_find(memory, at); i < memory->count && memory->extents[i].at < past; i++)
        if (memory->extents[i].writer < 0)
            return refuse(site, "%s at 0x%llx: found %s, expected bytes that may be written", what,
                          (long long)at, extent_words(site.prover, &memory->extents[i]));
    return true;
}

bool buffer_range(Site site, const char *what, int number, int64_t row, int64_t rows, int64_t *at,
                  int64_t *past)
{
    const RankProgram *rank = &site.prover->program->ranks[site.rank];
    if (number < 0 || number >= rank->nbuffers)
        return refuse(site, "%s: found buffer %d, expected one of %d", what, number,
                      rank->nbuffers);
    const Buffer *buffer = &rank->buffers[number];
    if (row < 0 || rows <= 0 || rows > buffer->rows || row > buffer->rows - rows)
        return refuse(site, "%s: found rows [%lld, %lld) of %s, expected rows of its [0, %lld)",
                      what, (long long)row, (long long)(row + rows), buffer->name,
                      (long long)buffer->rows);
    *at           = buffer->offset + row * buffer->row_bytes;
    *past         = *at + rows * buffer->row_bytes;
    int64_t first = buffer->is_static ? 0 : rank->static_bytes;
    int64_t limit = buffer->is_static ? rank->static_bytes : rank->peak;
    return (buffer->offset >= first && *past <= limit) ||
           refuse(site, "%s: found %s at [0x%llx, 0x%llx), expected it within [0x%llx, 0x%llx)",
                  what, buffer->name, (long long)*at, (long long)*past, (long long)first,
                  (long long)limit);
}

bool operand_range(Site site, const char *what, const Operand *operand, int64_t *at, int64_t *past)
{
    return buffer_range(site, what, operand->buffer, operand->row, operand->rows, at, past);
}
