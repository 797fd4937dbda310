/* layout: prints and reads the layout's table, numbers the tensors, and makes the static map.
 *   reads    homes (who is home to which part of which layer)
 *   writes   RankLayout.buffers: one address map of the static part, the same for all programs
 * By rank: weights, then gradients, then both moments, each in order of tensors; then the constants
 * that every rank has. Every buffer begins at a multiple of PW_ALIGN. */
#include "gen/forms/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernel.h"

const char *const static_names[NSTATICS] = {"master", "gradient", "moment1", "moment2",
                                            "rope",   "norms",    "clip"};

bool layout_has_tensor(const Model *model, int weight, int layer)
{
    Part part = model->weights[weight].part;
    if (model->weights[weight].tied >= 0)
        return false;
    if (layer < 0)
        return part == PART_EMBED;
    return layer == model->layers ? part == PART_HEAD : part != PART_EMBED && part != PART_HEAD;
}

/* How many tensors one layer has, in the model's order; up to `wanted` where it is met: its
 * place. */
static int tensors_of_layer(const Model *model, int layer, int wanted)
{
    int count = 0;
    for (int w = 0; w < model->nweights; w++) {
        if (!layout_has_tensor(model, w, layer))
            continue;
        if (w == wanted)
            return count;
        count++;
    }
    return count;
}

int layout_tensors(const Model *model)
{
    return tensors_of_layer(model, -1, -1) + (int)model->layers * tensors_of_layer(model, 0, -1) +
           tensors_of_layer(model, (int)model->layers, -1);
}

int layout_tensor(const Model *model, int weight, int layer)
{
    if (model->weights[weight].tied >= 0)
        bug("weight %s is tied: it has no tensor of its own", model->weights[weight].name);
    int before =
        layer < 0 ? 0 : tensors_of_layer(model, -1, -1) + layer * tensors_of_layer(model, 0, -1);
    return before + tensors_of_layer(model, layer, weight);
}

int layout_home(const Layout *layout, const Model *model, int weight, int layer)
{
    const ModelWeight *tensor = &model->weights[weight];
    if (tensor->tied >= 0)
        return layout_home(layout, model, tensor->tied, -1);
    return layout->homes[2 * (layer + 1) + (tensor->part == PART_POST)];
}

const StaticBuffer *layout_static(const Layout *layout, int rank, StaticKind kind, int weight,
                                  int layer)
{
    const RankLayout *at = &layout->ranks[rank];
    for (int i = 0; i < at->nbuffers; i++)
        if (at->buffers[i].kind == kind && at->buffers[i].weight == weight &&
            at->buffers[i].layer == layer)
            return &at->buffers[i];
    return NULL;
}

static const char *buffer_name(Region *region, const Model *model, StaticKind kind, int weight,
                               int layer)
{
    if (weight < 0)
        return static_names[kind];
    const char *name = model->weights[weight].name;
    if (layer < 0)
        return region_format(region, "embed.%s.%s", name, static_names[kind]);
    if (layer == model->layers)
        return region_format(region, "head.%s.%s", name, static_names[kind]);
    return region_format(region, "L%d.%s.%s", layer, name, static_names[kind]);
}

typedef struct Filling {
    Region      *region;
    const Model *model;
    RankLayout  *rank;
    int          room;
} Filling;

static void add_static(Filling *filling, StaticKind kind, int weight, int layer, int64_t bytes)
{
    RankLayout  *rank   = filling->rank;
    StaticBuffer buffer = {.kind   = kind,
                           .weight = weight,
                           .layer  = layer,
                           .name =
                               buffer_name(filling->region, filling->model, kind, weight, layer),
                           .offset = rank->static_bytes,
                           .bytes  = bytes};
    REGION_APPEND(filling->region, rank->buffers, rank->nbuffers, filling->room, buffer);
    rank->static_bytes += pw_align(bytes);
}

static void add_tensors(Filling *filling, const Layout *layout, int rank, StaticKind kind,
                        int real_bytes)
{
    const Model *model = filling->model;
    for (int layer = -1; layer <= model->layers; layer++)
        for (int w = 0; w < model->nweights; w++) {
            if (layout_has_tensor(model, w, layer) && layout_home(layout, model, w, layer) == rank)
                add_static(filling, kind, w, layer,
                           model->weights[w].rows * model->weights[w].columns * real_bytes);
        }
}

void layout_place_statics(Region *region, Layout *layout, const Model *model)
{
    int real_bytes = layout->real_bytes ? layout->real_bytes : (int)sizeof(float);
    for (int r = 0; r < layout->nranks; r++) {
        Filling filling            = {region, model, &layout->ranks[r], 0};
        filling.rank->nbuffers     = 0;
        filling.rank->buffers      = NULL;
        filling.rank->static_bytes = 0;
        for (StaticKind kind = STATIC_WEIGHT; kind <= STATIC_MOMENT2; kind++)
            add_tensors(&filling, layout, r, kind, real_bytes);
        add_static(&filling, STATIC_TABLE, -1, -1,
                   model->context * (model->head_dim / 2) * 2 * real_bytes);
        add_static(&filling, STATIC_NORMS, -1, -1, layout_tensors(model) * (int64_t)sizeof(double));
        add_static(&filling, STATIC_CLIP, -1, -1, 2 * (int64_t)sizeof(double));
    }
}

void layout_print(const Layout *layout, const Model *model, Text *out)
{
    text_add(out, "layout: %d ranks, %d stages, %" PRId64 " layers, reals of %d bytes\n",
             layout->nranks, layout->nstages, model->layers,
             layout->real_bytes ? layout->real_bytes : (int)sizeof(float));
    for (int s = 0; s < layout->nstages; s++)
        text_add(out, "stage %d: rank %d, layers %g to %g\n", s, layout->stages[s].rank,
                 layout->stages[s].first / 2.0, layout->stages[s].past / 2.0);
    text_add(out, "homes:");
    for (int i = 0; i < 2 * ((int)model->layers + 2); i++)
        text_add(out, " %d", layout->homes[i]);
    text_add(out, "\n");
    for (int r = 0; r < layout->nranks; r++) {
        const RankLayout *rank = &layout->ranks[r];
        text_add(out, "rank %d: capacity %" PRId64 ", static %" PRId64 ", %d buffers\n", r,
                 rank->capacity, rank->static_bytes, rank->nbuffers);
        for (int i = 0; i < rank->nbuffers; i++)
            text_add(out, "  %10" PRId64 " %10" PRId64 "  weight %2d layer %2d  %-8s %s\n",
                     rank->buffers[i].offset, rank->buffers[i].bytes, rank->buffers[i].weight,
                     rank->buffers[i].layer, static_names[rank->buffers[i].kind],
                     rank->buffers[i].name);
    }
}

/* A table's text, read line by line. */
typedef struct Lines {
    Region     *region;
    const char *at, *name;
    int         line;
    Error      *error;
} Lines;

static const char *next_line(Lines *lines)
{
    if (!*lines->at)
        return "";
    size_t      length = strcspn(lines->at, "\n");
    const char *line   = region_format(lines->region, "%.*s", (int)length, lines->at);
    lines->at += length + (lines->at[length] == '\n');
    lines->line++;
    return line;
}

static bool bad_line(const Lines *lines, const char *expected)
{
    return error_input(lines->error, "%s:%d: expected %s", lines->name, lines->line, expected);
}

static bool read_stages(Lines *lines, Layout *layout, int64_t layers)
{
    layout->stages = REGION_ARRAY(lines->region, LayoutStage, layout->nstages);
    for (int s = 0; s < layout->nstages; s++) {
        LayoutStage *stage = &layout->stages[s];
        int          number;
        double       first, past;
        if (sscanf(next_line(lines), "stage %d: rank %d, layers %lf to %lf", &number, &stage->rank,
                   &first, &past) != 4 ||
            number != s || stage->rank < 0 || stage->rank >= layout->nranks || first < 0 ||
            past > (double)layers || first > past)
            return bad_line(lines, "\"stage N: rank R, layers FIRST to PAST\"");
        stage->first = (int)(2 * first);
        stage->past  = (int)(2 * past);
    }
    return true;
}

static bool read_homes(Lines *lines, Layout *layout, int64_t layers)
{
    int         count = 2 * ((int)layers + 2);
    const char *line  = next_line(lines);
    layout->homes     = REGION_ARRAY(lines->region, int, count);
    if (strncmp(line, "homes:", 6) != 0)
        return bad_line(lines, "\"homes:\" and a rank for both halves of every layer");
    line += 6;
    for (int i = 0; i < count; i++) {
        int used;
        if (sscanf(line, " %d%n", &layout->homes[i], &used) != 1 || layout->homes[i] < 0 ||
            layout->homes[i] >= layout->nranks)
            return bad_line(lines, "a rank for both halves of every layer");
        line += used;
    }
    return true;
}

static bool read_buffer(Lines *lines, StaticBuffer *buffer)
{
    char kind[16], name[256];
    if (sscanf(next_line(lines), " %" SCNd64 " %" SCNd64 " weight %d layer %d %15s %255s",
               &buffer->offset, &buffer->bytes, &buffer->weight, &buffer->layer, kind, name) != 6)
        return bad_line(lines, "\"OFFSET BYTES weight W layer L KIND NAME\"");
    buffer->name = region_copy(lines->region, name);
    for (int k = 0; k < NSTATICS; k++)
        if (strcmp(kind, static_names[k]) == 0) {
            buffer->kind = (StaticKind)k;
            return true;
        }
    return bad_line(lines, "a kind of static buffer");
}

static bool read_rank(Lines *lines, int number, RankLayout *rank)
{
    int found;
    if (sscanf(next_line(lines), "rank %d: capacity %" SCNd64 ", static %" SCNd64 ", %d buffers",
               &found, &rank->capacity, &rank->static_bytes, &rank->nbuffers) != 4 ||
        found != number || rank->nbuffers < 0 || rank->nbuffers > 1 << 24)
        return bad_line(lines, "\"rank R: capacity BYTES, static BYTES, N buffers\"");
    rank->buffers = REGION_ARRAY(lines->region, StaticBuffer, rank->nbuffers);
    for (int i = 0; i < rank->nbuffers; i++)
        if (!read_buffer(lines, &rank->buffers[i]))
            return false;
    return true;
}

Layout *layout_read(Region *region, const char *text, const char *name, int64_t layers,
                    Error *error)
{
    Lines   lines  = {region, text, name, 0, error};
    Layout *layout = REGION_NEW(region, Layout);
    int64_t found;
    if (sscanf(next_line(&lines),
               "layout: %d ranks, %d stages, %" SCNd64 " layers, reals of %d bytes",
               &layout->nranks, &layout->nstages, &found, &layout->real_bytes) != 4 ||
        layout->nranks < 1 || layout->nranks > 1 << 20 || layout->nstages < 1 ||
        layout->nstages > 1 << 20) {
        bad_line(&lines, "\"layout: N ranks, N stages, N layers, reals of N bytes\"");
        return NULL;
    }
    if (found != layers) {
        error_input(error, "%s:1: found %" PRId64 " layers, expected the model's %" PRId64, name,
                    found, layers);
        return NULL;
    }
    if (!read_stages(&lines, layout, layers) || !read_homes(&lines, layout, layers))
        return NULL;
    layout->ranks = REGION_ARRAY(region, RankLayout, layout->nranks);
    for (int r = 0; r < layout->nranks; r++)
        if (!read_rank(&lines, r, &layout->ranks[r]))
            return NULL;
    return layout;
}
