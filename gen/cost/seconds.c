/* seconds: looks up a cost table. Between its points a straight line; beyond the last, and before
 * the first, the line of the two nearest goes on, but never below nothing. */
#include "gen/cost/seconds.h"

#include <string.h>

const CodeletCost *cost_entry(const Cost *cost, const char *codelet)
{
    for (int i = 0; i < cost->ncodelets; i++)
        if (strcmp(cost->codelets[i].codelet, codelet) == 0)
            return &cost->codelets[i];
    return NULL;
}

bool cost_covers(const Cost *cost, const Codelets *codelets, Error *error)
{
    for (int i = 0; i < codelets->count; i++)
        if (!cost_entry(cost, codelets->items[i].name))
            return error_input(
                error, "the cost table \"%s\" has no entry for %s; run `pipewright tune` again",
                cost->name, codelets->items[i].name);
    return true;
}

/* The interval of a rising list, of at least two, whose line is used for x. */
static int interval(const int64_t *at, int count, int64_t x)
{
    int i = 0;
    while (i < count - 2 && x > at[i + 1])
        i++;
    return i;
}

static double line(double x, double x0, double y0, double x1, double y1)
{
    double y = y0 + (x - x0) * ((y1 - y0) / (x1 - x0));
    return y < 0 ? 0 : y;
}

static double from_points(const CodeletCost *entry, int64_t tokens)
{
    const CostPoint *point = entry->points;
    if (entry->npoints == 1)
        return point->tokens > 0 ? point->seconds * (double)tokens / (double)point->tokens
                                 : point->seconds;
    int i = 0;
    while (i < entry->npoints - 2 && tokens > point[i + 1].tokens)
        i++;
    return line((double)tokens, (double)point[i].tokens, point[i].seconds,
                (double)point[i + 1].tokens, point[i + 1].seconds);
}

/* One row of the table, at a context. */
static double at_context(const CodeletCost *entry, int row, int64_t context)
{
    const double *seconds = entry->seconds + (int64_t)row * entry->ncontexts;
    if (entry->ncontexts == 1)
        return seconds[0];
    int j = interval(entry->contexts, entry->ncontexts, context);
    return line((double)context, (double)entry->contexts[j], seconds[j],
                (double)entry->contexts[j + 1], seconds[j + 1]);
}

static double from_table(const CodeletCost *entry, const CostSegment *segment)
{
    if (entry->nlengths == 1)
        return at_context(entry, 0, segment->context) * (double)segment->tokens /
               (double)entry->lengths[0];
    int i = interval(entry->lengths, entry->nlengths, segment->tokens);
    return line((double)segment->tokens, (double)entry->lengths[i],
                at_context(entry, i, segment->context), (double)entry->lengths[i + 1],
                at_context(entry, i + 1, segment->context));
}

double seconds_of_entry(const CodeletCost *entry, int64_t tokens, const CostSegment *segments,
                        int nsegments)
{
    if (entry->npoints > 0)
        return from_points(entry, tokens);
    double seconds = entry->constant;
    for (int i = 0; i < nsegments; i++)
        seconds += from_table(entry, &segments[i]);
    return seconds;
}

double seconds_of_call(const Cost *cost, const char *codelet, int64_t tokens,
                       const CostSegment *segments, int nsegments)
{
    const CodeletCost *entry = cost_entry(cost, codelet);
    if (!entry)
        bug("the cost table has no entry for %s", codelet);
    return seconds_of_entry(entry, tokens, segments, nsegments);
}

double seconds_of_message(const Cost *cost, int64_t bytes)
{
    return cost->latency + (double)bytes * cost->seconds_per_byte;
}
