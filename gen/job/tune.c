/* tune: see tune.h. */
#include "gen/job/tune.h"

#include <jansson.h>

#include "gen/base/file.h"
#include "gen/forms/layout.h"

enum { MAX_GRID = 40, CONTEXTS = 4, SHORTEST = 16, PACKED_TOKENS = 512, REPEATS = 7 };

/* One thing to measure, and where the answer goes. */
typedef struct Point {
    int     codelet;
    int64_t tokens, count; /* count: elements of an update                                      */
    int64_t segments, length, context;
    double *seconds; /* of the whole call, divided by `segments` where it is attention           */
} Point;

struct Tuning {
    Region         *region;
    const Model    *model;
    const Codelets *codelets;
    int64_t         longest; /* tokens of the longest sequence that there may be                */
    Cost           *cost;
    Point          *points;
    int             npoints, room;
    int64_t         grid[MAX_GRID]; /* tokens of a chunk                                        */
    int             ngrid;
};

static void add_point(Tuning *t, Point point)
{
    REGION_APPEND(t->region, t->points, t->npoints, t->room, point);
}

/* Tokens of a chunk: from SHORTEST by halves and thirds (16, 24, 32, 48, ..) to the longest
 * sequence. Between two such points the line is within 2% of a square. */
static void make_grid(Tuning *t)
{
    for (int64_t n = SHORTEST; t->ngrid < MAX_GRID - 1 && n < t->longest;
         n += n & (n - 1) ? n / 3 : n / 2)
        t->grid[t->ngrid++] = n;
    t->grid[t->ngrid++] = t->longest > SHORTEST ? t->longest : SHORTEST;
    if (t->ngrid < 2)
        t->grid[t->ngrid++] = 2 * SHORTEST;
}

static void plan_line(Tuning *t, CodeletCost *row, int codelet)
{
    row->npoints = t->ngrid;
    row->points  = REGION_ARRAY(t->region, CostPoint, t->ngrid);
    for (int i = 0; i < t->ngrid; i++) {
        row->points[i].tokens = t->grid[i];
        add_point(t, (Point){.codelet  = codelet,
                             .tokens   = t->grid[i],
                             .segments = 1,
                             .length   = t->grid[i],
                             .seconds  = &row->points[i].seconds});
    }
}

/* Attention: short segments are measured packed, as chunks have them. Along the context the time is
 * a line but for the caches: quarters will do. */
static void plan_table(Tuning *t, CodeletCost *row, int codelet)
{
    int64_t last   = t->longest - SHORTEST; /* the shortest may stand at the end */
    last           = last > CONTEXTS ? last : CONTEXTS;
    row->nlengths  = t->ngrid;
    row->ncontexts = CONTEXTS + 1;
    row->lengths   = REGION_ARRAY(t->region, int64_t, row->nlengths);
    row->contexts  = REGION_ARRAY(t->region, int64_t, row->ncontexts);
    row->seconds   = REGION_ARRAY(t->region, double, (int64_t)row->nlengths * row->ncontexts);
    for (int j = 0; j < row->ncontexts; j++)
        row->contexts[j] = j * last / CONTEXTS;
    for (int i = 0; i < row->nlengths; i++) {
        int64_t length   = t->grid[i];
        int64_t segments = length < PACKED_TOKENS ? PACKED_TOKENS / length : 1;
        row->lengths[i]  = length;
        for (int j = 0; j < row->ncontexts; j++)
            add_point(t, (Point){.codelet  = codelet,
                                 .tokens   = segments * length,
                                 .segments = segments,
                                 .length   = length,
                                 .context  = row->contexts[j],
                                 .seconds  = &row->seconds[i * row->ncontexts + j]});
    }
}

/* Updates: the time by elements, from the smallest and the largest tensor. */
static void plan_update(Tuning *t, CodeletCost *row, int codelet)
{
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < t->model->nweights; i++) {
        int64_t elements = t->model->weights[i].rows * t->model->weights[i].columns;
        least            = elements < least ? elements : least;
        most             = elements > most ? elements : most;
    }
    row->npoints = 2;
    row->points  = REGION_ARRAY(t->region, CostPoint, 2);
    for (int i = 0; i < 2; i++) {
        row->points[i].tokens = i == 0 ? least : most > least ? most : least + 1;
        add_point(t, (Point){.codelet  = codelet,
                             .tokens   = 1,
                             .count    = row->points[i].tokens,
                             .segments = 1,
                             .length   = 1,
                             .seconds  = &row->points[i].seconds});
    }
}

static void plan_points(Tuning *t)
{
    const Codelets *table = t->codelets;
    t->cost->ncodelets    = table->count;
    t->cost->codelets     = REGION_ARRAY(t->region, CodeletCost, table->count);
    for (int i = 0; i < table->count; i++) {
        const Codelet *codelet = &table->items[i];
        CodeletCost   *row     = &t->cost->codelets[i];
        row->codelet           = codelet->name;
        if (codelet->direction == DIRECTION_UPDATE)
            plan_update(t, row, i);
        else if (codelet->part == PART_CORE)
            plan_table(t, row, i);
        else
            plan_line(t, row, i);
    }
}

/* Bytes of an operand in this call; 0: found through the segments. */
static int64_t operand_bytes(const Tuning *t, const Point *point, const CodeletOperand *operand)
{
    const Codelet *codelet = &t->codelets->items[point->codelet];
    int64_t        row     = operand->columns * operand->element_bytes;
    if (operand->role == ROLE_SCRATCH)
        return codelet_scratch(codelet, point->tokens);
    if (operand->role == ROLE_NORM || operand->role == ROLE_CLIP || operand->role == ROLE_LOSS)
        return (int64_t)sizeof(double) * (layout_tensors(t->model) + 2 + point->segments);
    if (operand->role == ROLE_TABLE)
        return t->model->context * t->model->head_dim * operand->element_bytes;
    switch (operand->rows) {
    case ROWS_TOKEN:
        return row * point->tokens;
    case ROWS_SEGMENT:
        return row * point->segments;
    case ROWS_CONTEXT:
        return 0;
    default:
        return codelet->direction == DIRECTION_UPDATE ? point->count * operand->element_bytes : row;
    }
}

static void print_point(const Tuning *t, const Point *point, Text *text)
{
    const Codelet *codelet = &t->codelets->items[point->codelet];
    text_add(text, "{\"codelet\": \"%s\", \"tokens\": %lld, \"repeat\": %d, \"count\": %lld, ",
             codelet->name, (long long)point->tokens, REPEATS,
             (long long)(codelet->direction == DIRECTION_UPDATE ? point->count : 0));
    text_add(text, "\"operands\": [");
    for (int i = 0; i < codelet->noperands; i++)
        text_add(text, "%s%lld", i ? ", " : "",
                 (long long)operand_bytes(t, point, &codelet->operands[i]));
    text_add(text, "], \"segments\": [");
    for (int64_t i = 0; i < point->segments; i++)
        text_add(text, "%s[%lld, %lld]", i ? ", " : "", (long long)point->length,
                 (long long)point->context);
    text_add(text, "]}");
}

/* A segment that with its context reaches beyond the longest sequence does not occur, but its
 * point keeps the table rectangular: the next shorter segment says what more context costs. */
static bool occurs(const Tuning *t, const Point *point)
{
    return point->length + point->context <= t->longest || point->context == 0;
}

void tune_print(const Tuning *t, Text *out)
{
    const char *before = "[\n";
    for (int i = 0; i < t->npoints; i++)
        if (occurs(t, &t->points[i])) {
            text_add(out, "%s", before);
            print_point(t, &t->points[i], out);
            before = ",\n";
        }
    text_add(out, "]\n");
}

/* Seconds of a point that was not measured, from its neighbours in the table. */
static double beyond(const Tuning *t, int i)
{
    const Point *point = &t->points[i], *shorter = point - CONTEXTS - 1;
    if (i <= CONTEXTS || shorter->codelet != point->codelet)
        return point->seconds[-1];
    double longer = (double)point->length / (double)shorter->length;
    return point->seconds[-1] + longer * (shorter->seconds[0] - shorter->seconds[-1]);
}

Cost *tune_read(Tuning *t, const char *answer, Error *error)
{
    json_error_t where;
    json_t      *root   = json_loads(answer, 0, &where);
    json_t      *list   = json_object_get(root, "points");
    size_t       number = 0;
    if (!root)
        return error_fail(error, "the trainer's measurements do not read: %s", where.text), NULL;
    for (int i = 0; i < t->npoints; i++) {
        Point *point = &t->points[i];
        if (occurs(t, point))
            *point->seconds =
                json_number_value(json_object_get(json_array_get(list, number++), "median")) /
                (double)(t->codelets->items[point->codelet].part == PART_CORE ? point->segments
                                                                              : 1);
        else
            *point->seconds = beyond(t, i);
    }
    t->cost->latency          = json_number_value(json_object_get(root, "latency"));
    t->cost->seconds_per_byte = json_number_value(json_object_get(root, "seconds_per_byte"));
    t->cost->probe            = json_number_value(json_object_get(root, "probe"));
    json_decref(root);
    return t->cost;
}

Tuning *tune_points(Region *region, const Job *job, const Codelets *codelets,
                    const Lengths *lengths)
{
    Tuning *t = REGION_NEW(region, Tuning);
    *t        = (Tuning){.region   = region,
                         .model    = job->model,
                         .codelets = codelets,
                         .longest  = lengths_quantile(lengths, 1.0),
                         .cost     = REGION_NEW(region, Cost)};
    if (t->longest > job->data.context)
        t->longest = job->data.context;
    t->cost->device = job->device;
    make_grid(t);
    plan_points(t);
    return t;
}

static int64_t documents_up_to(const Lengths *lengths, int64_t length)
{
    int64_t documents = 0;
    for (int i = 0; i < lengths->ncounts && lengths->counts[i].length <= length; i++)
        documents += lengths->counts[i].documents;
    return documents;
}

void tune_explain(const Tuning *t, const Lengths *lengths, Text *out)
{
    int core = codelet_find(t->codelets, PART_CORE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH);
    const CodeletCost *row   = &t->cost->codelets[core];
    int                calls = 0;
    for (int i = 0; i < t->npoints; i++)
        calls += occurs(t, &t->points[i]);
    text_add(
        out,
        "# Lengths %s: %lld documents, %lld tokens, the longest %lld; no sequence is longer "
        "than %lld.\n"
        "# `tune` measures %d calls. The codelets of embed, pre, post and head: at each of these "
        "tokens.\n# Those of core: at each as a segment's length, with",
        path_name(lengths->name), (long long)lengths->documents, (long long)lengths->tokens,
        (long long)lengths_quantile(lengths, 1.0), (long long)t->longest, calls);
    for (int i = 0; i < row->ncontexts; i++)
        text_add(out, "%s %lld", i ? "," : "", (long long)row->contexts[i]);
    text_add(out, " tokens ahead of it where a sequence has them.\n"
                  "# Updates: the smallest and the largest tensor.\n"
                  "#    tokens  documents of at most so many\n");
    for (int i = 0; i < t->ngrid && t->grid[i] < t->longest; i++)
        text_add(out, "# %9lld %10lld\n", (long long)t->grid[i],
                 (long long)documents_up_to(lengths, t->grid[i]));
    text_add(out, "# %9lld %10lld, longer ones in sequences of so many\n", (long long)t->longest,
             (long long)lengths->documents);
}
