/* gantt: draws a plan. Chunks of a chain are dark, chunks of whole sequences light; what is left of
 * a row's ground is waiting. Below, the chunks themselves: their length in tokens, cut where one
 * segment ends and the next begins. Hovering over a bar names it. */
#include "gen/pictures/gantt.h"

#include <inttypes.h>
#include <string.h>

#include "gen/cost/timeline.h"

enum { WIDTH = 1200, LEFT = 78, RIGHT = 24, TOP = 78, ROW = 44, BAR = 30, CHUNK = 26 };

typedef struct Colour {
    char        letter;
    const char *dark, *light, *ink, *meaning;
} Colour;

static const Colour colours[] = {
    {'F', "#3f6fb5", "#a9c4e8", "#ffffff", "forward"},
    {'B', "#3d8f5f", "#a8d8ba", "#ffffff", "backward"},
    {'W', "#d08a2e", "#f2d19c", "#ffffff", "gradient of weights"},
    {'R', "#8a5fb0", "#d2bce4", "#ffffff", "rebuilt ahead"},
};

static const Colour *colour_of(char letter)
{
    for (int i = 0; i < COUNT(colours); i++)
        if (colours[i].letter == letter)
            return &colours[i];
    bug("no colour for operation %c", letter);
}

static bool in_chain(const Plan *plan, int chunk)
{
    const Chunk *at = &plan->chunks[chunk];
    for (int i = 0; i < at->nsegments; i++)
        if (at->segments[i].length != plan->sequences[at->segments[i].sequence])
            return true;
    return false;
}

/* A length of time that people count in: 1, 2 or 5 times a power of ten, about an eighth of all. */
static double tick_seconds(double seconds)
{
    double tick = 1e-9;
    for (;;) {
        for (int i = 0; i < 3; i++)
            if (tick * (i == 0 ? 1 : i == 1 ? 2 : 5) * 9 >= seconds)
                return tick * (i == 0 ? 1 : i == 1 ? 2 : 5);
        tick *= 10;
    }
}

static void print_label(Text *out, double x, double y, const char *style, const char *text)
{
    text_add(out, "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, style, text);
}

static void print_heading(const Plan *plan, Text *out)
{
    Region *region = out->region;
    print_label(out, LEFT, 26, "class=\"title\"",
                region_format(region, "Step %" PRId64 "%s%s: %s in %s", plan->step,
                              plan->policy ? ", " : "",
                              plan->policy ? text_markup(region, plan->policy) : "",
                              text_count(region, plan->nsequences, "sequence"),
                              text_count(region, plan->nchunks, "chunk")));
    print_label(out, LEFT, 45, "class=\"note\"",
                region_format(region, "predicted %s; no order ends before %s; %.1f%% waiting",
                              text_seconds(region, plan->predicted.seconds),
                              text_seconds(region, plan->predicted.bound),
                              100 * plan->predicted.bubble));
    double x = LEFT;
    for (int i = 0; i < COUNT(colours); i++) {
        bool used = false;
        for (int r = 0; r < plan->nranks; r++)
            for (int k = 0; k < plan->order[r].count; k++)
                used |= plan->order[r].operations[k].letter == colours[i].letter;
        if (!used)
            continue;
        text_add(out,
                 "<rect x=\"%.1f\" y=\"56\" width=\"10\" height=\"12\" fill=\"%s\"/>"
                 "<rect x=\"%.1f\" y=\"56\" width=\"10\" height=\"12\" fill=\"%s\"/>\n",
                 x, colours[i].dark, x + 10, colours[i].light);
        print_label(out, x + 26, 66, "class=\"note\"", colours[i].meaning);
        x += 50 + 6.6 * (double)strlen(colours[i].meaning);
    }
    print_label(out, WIDTH - RIGHT, 66, "class=\"note\" text-anchor=\"end\"",
                "dark: part of a long sequence; light: whole sequences");
}

static void print_axis(double seconds, double scale, double bottom, Text *out)
{
    double tick = tick_seconds(seconds);
    for (int i = 0; i * tick <= seconds; i++) {
        double x = LEFT + i * tick * scale;
        text_add(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" class=\"tick\"/>\n", x,
                 TOP, x, bottom + 5);
        print_label(out, x, bottom + 18, "class=\"note\" text-anchor=\"middle\"",
                    i ? text_seconds(out->region, i * tick) : "0");
    }
}

/* "F3: 1400 tokens, sequence 2 [0, 1400); 12 ms" */
static const char *hover(const Plan *plan, const char *name, int chunk, double seconds,
                         Region *region)
{
    Text         text = text_new(region);
    const Chunk *at   = &plan->chunks[chunk];
    text_add(&text, "%s: %" PRId64 " tokens", name, at->tokens);
    for (int i = 0; i < at->nsegments && i < 8; i++)
        text_add(&text, ", sequence %d [%" PRId64 ", %" PRId64 ")", at->segments[i].sequence,
                 at->segments[i].start, at->segments[i].start + at->segments[i].length);
    if (at->nsegments > 8)
        text_add(&text, " and %d more", at->nsegments - 8);
    text_add(&text, "; %s", text_seconds(region, seconds));
    return text.at;
}

static void print_bar(const Plan *plan, int rank, const PlanOperation *o, double x, double y,
                      double width, double seconds, Text *out)
{
    const Colour *colour = colour_of(o->letter);
    bool          dark   = in_chain(plan, o->chunk);
    Text          name   = text_new(out->region);
    plan_operation_print(plan, rank, o, &name);
    text_add(out,
             "<g><title>%s</title><rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" "
             "fill=\"%s\" class=\"bar\"/>",
             hover(plan, name.at, o->chunk, seconds, out->region), x, y, width, BAR,
             dark ? colour->dark : colour->light);
    double needed = 6.6 * (double)(name.length - 1) + 4;
    if (width >= needed)
        text_add(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"number\" fill=\"%s\">%s</text>",
                 x + width / 2, y + BAR / 2.0 + 4, dark ? colour->ink : "#22303c", name.at + 1);
    text_add(out, "</g>\n");
}

static void print_rank(const Plan *plan, const PlanCosts *costs, const Timeline *timeline, int rank,
                       double scale, Text *out)
{
    double       y     = TOP + rank * ROW + (ROW - BAR) / 2.0;
    double       all   = timeline->seconds;
    const Order *order = &plan->order[rank];
    text_add(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" class=\"ground\"/>\n",
             LEFT, y, all * scale, BAR);
    for (int i = 0; i < order->count; i++) {
        double seconds = timeline->end[rank][i] - timeline->start[rank][i];
        print_bar(plan, rank, &order->operations[i], LEFT + timeline->start[rank][i] * scale, y,
                  seconds * scale, seconds, out);
    }
    text_add(out,
             "<g><title>gradients' norm and optimizer</title><rect x=\"%.2f\" y=\"%.1f\" "
             "width=\"%.2f\" height=\"%d\" fill=\"#7b8794\" class=\"bar\"/></g>\n",
             LEFT + all * scale, y, costs->end * scale, BAR);
    bool peak = plan->predicted.peak_bytes != NULL;
    print_label(out, LEFT - 10, y + (peak ? 13 : 19), "class=\"rank\" text-anchor=\"end\"",
                region_format(out->region, "rank %d", rank));
    if (peak)
        print_label(out, LEFT - 10, y + 27, "class=\"small\" text-anchor=\"end\"",
                    text_size(out->region, plan->predicted.peak_bytes[rank]));
}

/* The chunks in their order, as long as they have tokens. */
static void print_chunks(const Plan *plan, double y, Text *out)
{
    int64_t tokens = 0;
    for (int k = 0; k < plan->nchunks; k++)
        tokens += plan->chunks[k].tokens;
    double scale = (WIDTH - LEFT - RIGHT) / (double)(tokens ? tokens : 1);
    double x     = LEFT;
    print_label(out, LEFT - 10, y + CHUNK / 2.0 + 4, "class=\"rank\" text-anchor=\"end\"",
                "chunks");
    for (int k = 0; k < plan->nchunks; k++) {
        const Chunk *chunk = &plan->chunks[k];
        double       width = (double)chunk->tokens * scale, at = x;
        text_add(out, "<g><title>%s</title>",
                 hover(plan, region_format(out->region, "chunk %d", k), k, 0, out->region));
        for (int i = 0; i < chunk->nsegments; i++) {
            const Segment *segment = &chunk->segments[i];
            bool           part    = segment->length != plan->sequences[segment->sequence];
            text_add(out,
                     "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
                     "class=\"bar\"/>",
                     at, y, (double)segment->length * scale, CHUNK, part ? "#5b6b7b" : "#c9d2db");
            at += (double)segment->length * scale;
        }
        text_add(out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" class=\"frame\"/>",
                 x, y, width, CHUNK);
        if (width >= 16)
            text_add(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"number\" fill=\"%s\">%d</text>",
                     x + width / 2, y + CHUNK / 2.0 + 4, in_chain(plan, k) ? "#ffffff" : "#22303c",
                     k);
        text_add(out, "</g>\n");
        x += width;
    }
    print_label(out, LEFT, y + CHUNK + 15, "class=\"note\"",
                region_format(out->region, "%" PRId64 " tokens", tokens));
}

void gantt_print(const Plan *plan, const PlanCosts *costs, Text *out)
{
    Timeline timeline = timeline_of_plan(out->region, plan, costs, NULL);
    double   all      = timeline.seconds + costs->end;
    double   seconds  = all > 0 ? all : 1e-9;
    double   scale    = (WIDTH - LEFT - RIGHT) / seconds;
    double   bottom   = TOP + plan->nranks * ROW;
    text_add(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
             "font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n"
             "<style>.title{font-size:17px;font-weight:600;fill:#1c2733}"
             ".note{font-size:12px;fill:#52606d}.small{font-size:10px;fill:#7b8794}"
             ".rank{font-size:13px;fill:#1c2733}"
             ".number{font-size:11px;text-anchor:middle}"
             ".bar{stroke:#ffffff;stroke-width:.6}.ground{fill:#eceff2}"
             ".frame{fill:none;stroke:#1c2733;stroke-width:.8}"
             ".tick{stroke:#cbd2d9;stroke-width:1}</style>\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
             WIDTH, bottom + 92, WIDTH);
    print_heading(plan, out);
    print_axis(seconds, scale, bottom, out);
    for (int r = 0; r < plan->nranks; r++)
        print_rank(plan, costs, &timeline, r, scale, out);
    print_chunks(plan, bottom + 36, out);
    text_add(out, "</svg>\n");
}
