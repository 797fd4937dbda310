/* gaps: see the header. A walk over all that lives beside a buffer would make the time of allocate
 * grow with the square of a step. Here runs of PER_LEAF operations are the leaves of a binary tree
 * (a segment tree: leaf i is node `nleaves + i`, node n's parent is n / 2). What is taken stands
 *   in the leaves of its first and its last instruction, with both: `edges`;
 *   on the few largest nodes that together are the leaves between them: `throughout`;
 *   on all of these nodes and on all above: `sometime`.
 * So a life meets the edges in its own two outer leaves, what is taken throughout a node above
 * them, and what is taken at some time in the largest nodes between. Ranges that touch are joined:
 * an arena is nearly full for most of its time, so such lists are short. */
#include "gen/step/gaps.h"

#include <stdbool.h>
#include <string.h>

enum { PER_LEAF = 4, DEPTH = 32, MOST_MET = 4 * DEPTH };

typedef struct Range {
    int64_t start, past;
} Range;

/* Rising, with free bytes between each two. */
typedef struct Ranges {
    Range *items;
    int    count, room;
} Ranges;

/* What is taken from or until the midst of a leaf. */
typedef struct Edge {
    int64_t start, past;
    int     first, last;
} Edge;

typedef struct Edges {
    Edge *items; /* by start */
    int   count, room;
} Edges;

struct Gaps {
    Region    *region;
    const int *operation;             /* [ninstructions]                                          */
    int        nleaves;               /* a power of two                                           */
    Ranges    *throughout, *sometime; /* [2 nleaves] by node                                      */
    Edges     *edges;                 /* [nleaves]                                                */
    bool       settled;
    int        joined_leaf; /* when settled: the leaf last asked for; -1: none                    */
    Ranges     joined;      /* what is taken throughout it                                        */
};

/* What a life meets; of each list, what stands above the place that was reached. */
typedef struct Met {
    int64_t      at, bytes;
    int          first, last;
    const Range *range[MOST_MET], *range_past[MOST_MET];
    int          nranges;
    const Edge  *edge[2], *edge_past[2];
    int          nedges;
} Met;

Gaps *gaps_new(Region *region, const int *operation, int ninstructions)
{
    Gaps *gaps      = REGION_NEW(region, Gaps);
    gaps->region    = region;
    gaps->operation = operation;
    gaps->nleaves   = 1;
    while (ninstructions && gaps->nleaves <= operation[ninstructions - 1] / PER_LEAF)
        gaps->nleaves *= 2;
    gaps->throughout = REGION_ARRAY(region, Ranges, 2 * gaps->nleaves);
    gaps->sometime   = REGION_ARRAY(region, Ranges, 2 * gaps->nleaves);
    gaps->edges      = REGION_ARRAY(region, Edges, gaps->nleaves);
    return gaps;
}

void gaps_clear(Gaps *gaps)
{
    for (int node = 0; node < 2 * gaps->nleaves; node++)
        gaps->throughout[node].count = gaps->sometime[node].count = 0;
    for (int leaf = 0; leaf < gaps->nleaves; leaf++)
        gaps->edges[leaf].count = 0;
    gaps->settled = false;
}

void gaps_settle(Gaps *gaps)
{
    gaps->settled     = true;
    gaps->joined_leaf = -1;
}

static int leaf_of(const Gaps *gaps, int instruction)
{
    return gaps->operation[instruction] / PER_LEAF;
}

/* The largest nodes that together are all leaves between two, both excluded. */
static int nodes_between(int left, int right, int *nodes)
{
    int count = 0;
    for (; left / 2 != right / 2; left /= 2, right /= 2) {
        if (left % 2 == 0)
            nodes[count++] = left + 1;
        if (right % 2 == 1)
            nodes[count++] = right - 1;
    }
    return left == right ? 0 : count;
}

/* ---- taking ---- */

/* The first range that ends at or above `at`. */
static int find_range(const Ranges *ranges, int64_t at)
{
    int low = 0, high = ranges->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (ranges->items[middle].past < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False where all of it was taken before. */
static bool add_range(Region *region, Ranges *ranges, Range range)
{
    int low = find_range(ranges, range.start), high = low;
    if (low < ranges->count && ranges->items[low].start <= range.start &&
        range.past <= ranges->items[low].past)
        return false;
    while (high < ranges->count && ranges->items[high].start <= range.past)
        high++; /* [low, high) become one with it */
    if (high > low) {
        const Range *lowest = &ranges->items[low], *highest = &ranges->items[high - 1];
        range.start = lowest->start < range.start ? lowest->start : range.start;
        range.past  = highest->past > range.past ? highest->past : range.past;
    } else {
        REGION_APPEND(region, ranges->items, ranges->count, ranges->room, range);
        ranges->count--;
    }
    if (high != low + 1)
        memmove(&ranges->items[low + 1], &ranges->items[high],
                (size_t)(ranges->count - high) * sizeof range);
    ranges->items[low] = range;
    ranges->count += 1 - (high - low);
    return true;
}

static void add_edge(Region *region, Edges *edges, Edge edge)
{
    REGION_APPEND(region, edges->items, edges->count, edges->room, edge);
    int at = edges->count - 1;
    for (; at > 0 && edges->items[at - 1].start > edge.start; at--)
        edges->items[at] = edges->items[at - 1];
    edges->items[at] = edge;
}

/* What is taken at some time in a node is so in all above it. */
static void add_upward(Gaps *gaps, int node, Range range)
{
    while (node && add_range(gaps->region, &gaps->sometime[node], range))
        node /= 2;
}

void gaps_take(Gaps *gaps, int64_t start, int64_t past, int first, int last)
{
    int   left = leaf_of(gaps, first), right = leaf_of(gaps, last), between[2 * DEPTH];
    Edge  edge  = {start, past, first, last};
    Range range = {start, past};
    add_edge(gaps->region, &gaps->edges[left], edge);
    if (gaps->settled)
        return;
    if (left != right)
        add_edge(gaps->region, &gaps->edges[right], edge);
    left += gaps->nleaves;
    right += gaps->nleaves;
    for (int i = nodes_between(left, right, between) - 1; i >= 0; i--) {
        add_range(gaps->region, &gaps->throughout[between[i]], range);
        add_upward(gaps, between[i], range);
    }
    add_upward(gaps, left, range);
    add_upward(gaps, right, range);
}

/* ---- asking ---- */

static void meet_ranges(Met *met, const Ranges *ranges)
{
    if (ranges->count) {
        met->range[met->nranges]        = ranges->items;
        met->range_past[met->nranges++] = ranges->items + ranges->count;
    }
}

static void meet_edges(Met *met, const Edges *edges)
{
    met->edge[met->nedges]        = edges->items;
    met->edge_past[met->nedges++] = edges->items + edges->count;
}

/* What is taken throughout a leaf, kept while the same one is asked for. */
static const Ranges *join_throughout(Gaps *gaps, int leaf)
{
    if (leaf != gaps->joined_leaf) {
        gaps->joined_leaf  = leaf;
        gaps->joined.count = 0;
        for (int node = gaps->nleaves + leaf; node; node /= 2)
            for (int i = 0; i < gaps->throughout[node].count; i++)
                add_range(gaps->region, &gaps->joined, gaps->throughout[node].items[i]);
    }
    return &gaps->joined;
}

static void meet_all(Gaps *gaps, Met *met)
{
    int left = leaf_of(gaps, met->first), right = leaf_of(gaps, met->last), between[2 * DEPTH];
    meet_edges(met, &gaps->edges[left]);
    if (gaps->settled) {
        meet_ranges(met, join_throughout(gaps, left));
        return;
    }
    if (left != right)
        meet_edges(met, &gaps->edges[right]);
    left += gaps->nleaves;
    right += gaps->nleaves;
    for (int i = nodes_between(left, right, between) - 1; i >= 0; i--)
        meet_ranges(met, &gaps->sometime[between[i]]);
    for (; left; left /= 2, right /= 2) {
        meet_ranges(met, &gaps->throughout[left]);
        if (left != right)
            meet_ranges(met, &gaps->throughout[right]);
    }
}

/* Goes above all that stands in the way; what lies below is not looked at again. */
static void climb(Met *met)
{
    for (int i = 0; i < met->nranges; i++)
        for (; met->range[i] < met->range_past[i] && met->range[i]->start < met->at + met->bytes;
             met->range[i]++)
            met->at = met->range[i]->past > met->at ? met->range[i]->past : met->at;
    for (int i = 0; i < met->nedges; i++)
        for (; met->edge[i] < met->edge_past[i] && met->edge[i]->start < met->at + met->bytes;
             met->edge[i]++)
            if (met->edge[i]->past > met->at && met->edge[i]->first <= met->last &&
                met->first <= met->edge[i]->last)
                met->at = met->edge[i]->past;
}

int64_t gaps_lowest(Gaps *gaps, int64_t least, int64_t bytes, int first, int last)
{
    Met met; /* the lists are too long to be cleared each time */
    met.at      = least;
    met.bytes   = bytes;
    met.first   = first;
    met.last    = last;
    met.nranges = met.nedges = 0;
    meet_all(gaps, &met);
    int64_t from;
    do {
        from = met.at;
        climb(&met);
    } while (met.at > from);
    return met.at;
}
