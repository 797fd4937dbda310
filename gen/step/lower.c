/* lower: writes instructions of one rank after the other; see lower.h.
 *   reads    plan (chunks), codelet table, layout (homes, static map)
 *   writes   instructions without messages, buffers without addresses
 * Generic over the codelet table: what an operand is follows from its role, its rows and its name.
 */
#include "gen/step/lower.h"

#include <inttypes.h>
#include <string.h>

/* ---- buffers by name ---- */

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

static int add_buffer(Region *region, RankWriter *writer, const char *name, int64_t rows,
                      int64_t row_bytes)
{
    RankProgram *rank = writer->rank;
    int64_t      room = writer->buffer_room;
    int          n    = rank->nbuffers;
    Buffer       made = {.name      = region_copy(region, name),
                         .rows      = rows,
                         .row_bytes = row_bytes,
                         .bytes     = (rows * row_bytes + PW_ALIGN - 1) / PW_ALIGN * PW_ALIGN,
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
    return found >= 0
               ? found
               : add_buffer(lowering->region, &lowering->writers[rank], name, rows, row_bytes);
}

/* A value is written again: it moves to a new buffer, "C2.L4.q'". */
static int renew_buffer(Lowering *lowering, int rank, const char *name)
{
    RankWriter   *writer  = &lowering->writers[rank];
    int           plain   = *slot_of(writer, name);
    const Buffer *old     = &writer->rank->buffers[writer->newest[plain]];
    const char   *next    = region_format(lowering->region, "%s'", old->name);
    int           made    = add_buffer(lowering->region, writer, next, old->rows, old->row_bytes);
    writer->newest[plain] = made;
    return made;
}

bool lower_is_written(const Lowering *lowering, int rank, int buffer)
{
    return lowering->writers[rank].written[buffer];
}

static void set_written(Lowering *lowering, int rank, int buffer)
{
    lowering->writers[rank].written[buffer] = true;
}

Operand lower_operand(const Lowering *lowering, int rank, int buffer, Access access)
{
    return (Operand){buffer, 0, lowering->program->ranks[rank].buffers[buffer].rows, access};
}

/* ---- the start ---- */

static int64_t static_rows(const Lowering *lowering, const StaticBuffer *buffer)
{
    if (buffer->kind == STATIC_NORMS)
        return buffer->bytes / (int64_t)sizeof(double);
    return buffer->weight < 0 ? 1 : lowering->model->weights[buffer->weight].rows;
}

static void add_statics(Lowering *lowering, int rank)
{
    const RankLayout *from  = &lowering->layout->ranks[rank];
    RankProgram      *to    = &lowering->program->ranks[rank];
    *to                     = (RankProgram){.static_bytes     = from->static_bytes,
                                            .capacity         = from->capacity,
                                            .peak             = -1,
                                            .peak_instruction = -1};
    lowering->writers[rank] = (RankWriter){.rank = to, .number = rank};
    for (int i = 0; i < from->nbuffers; i++) {
        int64_t rows = static_rows(lowering, &from->buffers[i]);
        int added    = add_buffer(lowering->region, &lowering->writers[rank], from->buffers[i].name,
                                  rows, from->buffers[i].bytes / rows);
        to->buffers[added].offset    = from->buffers[i].offset;
        to->buffers[added].is_static = true;
    }
}

/* Every tensor's home and the names of its static buffers, once: from the map of each rank. */
static void find_tensors(Lowering *lowering)
{
    const Model  *model  = lowering->model;
    const Layout *layout = lowering->layout;
    lowering->ntensors   = layout_tensors(model);
    lowering->tensors    = REGION_ARRAY(lowering->region, LoweredTensor, lowering->ntensors);
    for (int rank = 0; rank < layout->nranks; rank++)
        for (int i = 0; i < layout->ranks[rank].nbuffers; i++) {
            const StaticBuffer *buffer = &layout->ranks[rank].buffers[i];
            if (buffer->weight < 0)
                continue;
            LoweredTensor *tensor =
                &lowering->tensors[layout_tensor(model, buffer->weight, buffer->layer)];
            tensor->weight                    = buffer->weight;
            tensor->layer                     = buffer->layer;
            tensor->home                      = rank;
            tensor->static_name[buffer->kind] = buffer->name;
        }
}

/* A segment in the list of its sequence's, from the last token to the first. */
typedef struct Link {
    int64_t start;
    int     chunk, segment, next; /* next: index of a link, or -1 */
} Link;

/* The segments of each sequence as lists; last [nsequences] is where they begin. */
static Link *link_segments(Lowering *lowering, int *last)
{
    const Plan *plan   = lowering->plan;
    int         nlinks = 0;
    for (int chunk = 0; chunk < plan->nchunks; chunk++)
        nlinks += plan->chunks[chunk].nsegments;
    Link *links = REGION_ARRAY(lowering->region, Link, nlinks);
    nlinks      = 0;
    for (int chunk = 0; chunk < plan->nchunks; chunk++)
        for (int s = 0; s < plan->chunks[chunk].nsegments; s++) {
            const Segment *segment = &plan->chunks[chunk].segments[s];
            int           *link    = &last[segment->sequence];
            while (*link >= 0 && links[*link].start > segment->start)
                link = &links[*link].next;
            links[nlinks] = (Link){segment->start, chunk, s, *link};
            *link         = nlinks++;
        }
    return links;
}

/* The chunks before and after each segment in its chain. */
static void find_chains(Lowering *lowering)
{
    const Plan *plan = lowering->plan;
    int        *last = REGION_ARRAY(lowering->region, int, plan->nsequences);
    for (int chunk = 0; chunk < plan->nchunks; chunk++) {
        int nsegments            = plan->chunks[chunk].nsegments;
        lowering->earlier[chunk] = REGION_ARRAY(lowering->region, int, nsegments);
        lowering->later[chunk]   = REGION_ARRAY(lowering->region, int, nsegments);
    }
    for (int sequence = 0; sequence < plan->nsequences; sequence++)
        last[sequence] = -1;
    const Link *links = link_segments(lowering, last);
    for (int sequence = 0; sequence < plan->nsequences; sequence++)
        for (int link = last[sequence], later = -1; link >= 0; link = links[link].next) {
            const Link *at                            = &links[link];
            lowering->earlier[at->chunk][at->segment] = at->next < 0 ? -1 : links[at->next].chunk;
            lowering->later[at->chunk][at->segment]   = later;
            later                                     = at->chunk;
        }
}

static void number_losses(Lowering *lowering)
{
    const Plan *plan    = lowering->plan;
    Program    *program = lowering->program;
    lowering->loss_row  = REGION_ARRAY(lowering->region, int64_t, plan->nchunks);
    for (int chunk = 0; chunk < plan->nchunks; chunk++) {
        lowering->loss_row[chunk] = program->nlosses;
        program->nlosses += plan->chunks[chunk].nsegments;
    }
    program->loss_sequence = REGION_ARRAY(lowering->region, int32_t, program->nlosses);
    for (int chunk = 0, row = 0; chunk < plan->nchunks; chunk++)
        for (int s = 0; s < plan->chunks[chunk].nsegments; s++)
            program->loss_sequence[row++] = plan->chunks[chunk].segments[s].sequence;
}

Lowering *lowering_new(Region *region, PwProgramKind kind, const Plan *plan, const Batch *batch,
                       const Model *model, const Codelets *codelets, const Layout *layout)
{
    Lowering *lowering  = REGION_NEW(region, Lowering);
    Program  *program   = REGION_NEW(region, Program);
    *lowering           = (Lowering){.region     = region,
                                     .plan       = plan,
                                     .batch      = batch,
                                     .model      = model,
                                     .codelets   = codelets,
                                     .layout     = layout,
                                     .real_bytes = layout->real_bytes ? layout->real_bytes : 4,
                                     .program    = program};
    program->region     = region;
    program->step       = plan->step;
    program->kind       = (int)kind;
    program->nranks     = layout->nranks;
    program->ranks      = REGION_ARRAY(region, RankProgram, layout->nranks);
    program->nsequences = plan->nsequences;
    for (int sequence = 0; sequence < plan->nsequences; sequence++)
        program->tokens += plan->sequences[sequence];
    if (batch) {
        program->weight   = batch->weight;
        program->position = batch->position;
    }
    lowering->writers = REGION_ARRAY(region, RankWriter, layout->nranks);
    lowering->earlier = REGION_ARRAY(region, int *, plan->nchunks);
    lowering->later   = REGION_ARRAY(region, int *, plan->nchunks);
    for (int rank = 0; rank < layout->nranks; rank++)
        add_statics(lowering, rank);
    find_tensors(lowering);
    find_chains(lowering);
    if (kind != PW_GENERATE)
        number_losses(lowering);
    return lowering;
}

/* ---- instructions ---- */

enum { LOADED_BYTES = 4 }; /* of a token, a target, a loss weight, a sampled token */

Instruction *lower_instruction(Lowering *lowering, int rank, PwInstructionKind kind)
{
    RankWriter *writer = &lowering->writers[rank];
    Instruction blank  = {.kind = kind, .chunk = -1, .layer = -2};
    REGION_APPEND(lowering->region, writer->rank->instructions, writer->rank->ninstructions,
                  writer->instruction_room, blank);
    return &writer->rank->instructions[writer->rank->ninstructions - 1];
}

void lower_mark(Lowering *lowering, int rank, int operation)
{
    Instruction *mark = lower_instruction(lowering, rank, PW_MARK);
    mark->operation   = operation;
    mark->letter      = 'E';
    if (operation < 0)
        return;
    const PlanOperation *from = &lowering->plan->order[rank].operations[operation];
    mark->letter              = from->letter;
    mark->chunk               = from->chunk;
    mark->stage               = from->stage;
}

static PwSource source_of(const Lowering *lowering, const Segment *segment, int64_t row)
{
    PwSource source = {.document = -1,
                       .start    = segment->start,
                       .row      = (int32_t)row,
                       .tokens   = (int32_t)segment->length,
                       .sequence = segment->sequence,
                       .context  = (int32_t)segment->start};
    if (lowering->batch) {
        const Sequence *sequence = &lowering->batch->sequences[segment->sequence];
        source.document          = sequence->document;
        source.start += sequence->start;
    }
    return source;
}

/* The buffer that a write of the value goes to: a new one where it was written before. */
static int written_value(Lowering *lowering, int rank, const char *name, int64_t rows,
                         int64_t row_bytes)
{
    int buffer = lower_buffer(lowering, rank, name, rows, row_bytes);
    if (lower_is_written(lowering, rank, buffer))
        buffer = renew_buffer(lowering, rank, name);
    set_written(lowering, rank, buffer);
    return buffer;
}

void lower_load(Lowering *lowering, int rank, int chunk, bool for_head)
{
    static const char *const names[] = {"tokens", "targets", "weights"};
    const Chunk             *from    = &lowering->plan->chunks[chunk];
    Operand                 *operand = REGION_ARRAY(lowering->region, Operand, 3);
    for (int i = 0; i < 3; i++) {
        operand[i] = (Operand){-1, 0, 0, ACCESS_WRITE};
        if ((i > 0) == for_head) {
            const char *name   = region_format(lowering->region, "C%d.%s", chunk, names[i]);
            int         buffer = written_value(lowering, rank, name, from->tokens, LOADED_BYTES);
            operand[i]         = lower_operand(lowering, rank, buffer, ACCESS_WRITE);
        }
    }
    Instruction *load = lower_instruction(lowering, rank, PW_LOAD);
    load->chunk       = chunk;
    load->layer       = for_head ? (int)lowering->model->layers : -1;
    load->tokens      = (int)from->tokens;
    load->operands    = operand;
    load->noperands   = 3;
    load->nsources    = from->nsegments;
    load->sources     = REGION_ARRAY(lowering->region, PwSource, from->nsegments);
    int64_t row       = 0;
    for (int s = 0; s < from->nsegments; s++) {
        load->sources[s] = source_of(lowering, &from->segments[s], row);
        row += from->segments[s].length;
    }
}

/* ---- operands of a call ---- */

/* What a call is about. */
typedef struct About {
    int            rank, chunk, layer; /* chunk -1: an update */
    int            tensor;             /* of an update; -1    */
    const Codelet *codelet;
    int64_t        scratch; /* bytes                          */
} About;

const char *lower_gradient_name(const Lowering *lowering, int rank, int weight, int layer)
{
    const ModelWeight *from = &lowering->model->weights[weight];
    if (from->tied >= 0)
        return region_format(lowering->region, "R%d.head.%s.gradient", rank, from->name);
    const LoweredTensor *tensor = &lowering->tensors[layout_tensor(lowering->model, weight, layer)];
    const char          *name   = tensor->static_name[STATIC_GRADIENT];
    return tensor->home == rank ? name : region_format(lowering->region, "R%d.%s", rank, name);
}

/* The layer under which a part's weights are numbered. */
static int tensor_layer(const Lowering *lowering, int weight, int layer)
{
    Part part = lowering->model->weights[weight].part;
    return part == PART_EMBED ? -1 : part == PART_HEAD ? (int)lowering->model->layers : layer;
}

static int weight_buffer(Lowering *lowering, const About *about, int weight)
{
    const ModelWeight   *from   = &lowering->model->weights[weight];
    int                  owner  = from->tied >= 0 ? from->tied : weight;
    const LoweredTensor *tensor = &lowering->tensors[layout_tensor(
        lowering->model, owner, tensor_layer(lowering, owner, about->layer))];
    return lower_buffer(lowering, about->rank, tensor->static_name[STATIC_WEIGHT], from->rows,
                        from->columns * lowering->real_bytes);
}

static int gradient_buffer(Lowering *lowering, const About *about, int weight)
{
    const ModelWeight *from = &lowering->model->weights[weight];
    const char        *name = lower_gradient_name(lowering, about->rank, weight,
                                                  tensor_layer(lowering, weight, about->layer));
    return lower_buffer(lowering, about->rank, name, from->rows,
                        from->columns * lowering->real_bytes);
}

static int static_buffer(const Lowering *lowering, const About *about, StaticKind kind)
{
    const char *name   = about->tensor >= 0 && kind <= STATIC_MOMENT2
                             ? lowering->tensors[about->tensor].static_name[kind]
                             : static_names[kind];
    int         buffer = lower_find(lowering, about->rank, name);
    if (buffer < 0)
        bug("rank %d has no static buffer %s", about->rank, name);
    return buffer;
}

static Operand value_operand(Lowering *lowering, const About *about, const CodeletOperand *formal)
{
    int64_t     rows      = lowering->plan->chunks[about->chunk].tokens;
    int64_t     row_bytes = formal->columns * formal->element_bytes;
    int         layer     = about->layer + formal->shift;
    const char *name =
        region_format(lowering->region, "C%d.L%d.%s", about->chunk, layer, formal->name);
    int buffer = formal->access == ACCESS_WRITE
                     ? written_value(lowering, about->rank, name, rows, row_bytes)
                     : lower_buffer(lowering, about->rank, name, rows, row_bytes);
    return lower_operand(lowering, about->rank, buffer, formal->access);
}

/* Tokens were loaded; those of a generated chunk are what the chunk before sampled. */
static Operand token_operand(Lowering *lowering, const About *about, const CodeletOperand *formal)
{
    if (lowering->program->kind == PW_GENERATE && about->chunk > 0)
        return (Operand){
            lower_buffer(lowering, about->rank, "next", lowering->plan->nchunks, LOADED_BYTES),
            about->chunk - 1, 1, ACCESS_READ};
    const char *name   = region_format(lowering->region, "C%d.%s", about->chunk, formal->name);
    int         buffer = lower_find(lowering, about->rank, name);
    if (buffer < 0)
        bug("%s was not loaded", name);
    return lower_operand(lowering, about->rank, buffer, ACCESS_READ);
}

static Operand loss_operand(Lowering *lowering, const About *about, const CodeletOperand *formal)
{
    int buffer =
        lower_buffer(lowering, about->rank, "losses", lowering->program->nlosses, sizeof(double));
    if (about->chunk < 0)
        return lower_operand(lowering, about->rank, buffer, formal->access);
    return (Operand){buffer, lowering->loss_row[about->chunk],
                     lowering->plan->chunks[about->chunk].nsegments, formal->access};
}

static Operand norm_operand(const Lowering *lowering, const About *about,
                            const CodeletOperand *formal)
{
    int buffer = static_buffer(lowering, about, STATIC_NORMS);
    if (about->tensor < 0)
        return lower_operand(lowering, about->rank, buffer, formal->access);
    return (Operand){buffer, about->tensor, 1, formal->access};
}

static Operand scratch_operand(Lowering *lowering, const About *about)
{
    const char *where =
        about->chunk >= 0 ? region_format(lowering->region, "C%d.L%d", about->chunk, about->layer)
        : about->tensor >= 0 ? lowering->tensors[about->tensor].static_name[STATIC_WEIGHT]
                             : "end";
    const char *name =
        region_format(lowering->region, "%s.%s.scratch", where, about->codelet->name);
    int64_t bytes = about->scratch > 0 ? about->scratch : PW_ALIGN;
    return lower_operand(lowering, about->rank,
                         written_value(lowering, about->rank, name, 1, bytes), ACCESS_WRITE);
}

static Operand bind(Lowering *lowering, const About *about, const CodeletOperand *formal)
{
    const Operand by_segments = {-1, 0, 0, formal->access};
    int           rank        = about->rank;
    switch (formal->role) {
    case ROLE_TOKENS:
        return token_operand(lowering, about, formal);
    case ROLE_VALUE:
    case ROLE_GRADIENT:
        return value_operand(lowering, about, formal);
    case ROLE_KV:
    case ROLE_DKV:
        return by_segments;
    case ROLE_WEIGHT:
        return lower_operand(lowering, rank,
                             about->tensor >= 0 ? static_buffer(lowering, about, STATIC_WEIGHT)
                                                : weight_buffer(lowering, about, formal->weight),
                             formal->access);
    case ROLE_DWEIGHT:
        return lower_operand(lowering, rank,
                             about->tensor >= 0 ? static_buffer(lowering, about, STATIC_GRADIENT)
                                                : gradient_buffer(lowering, about, formal->weight),
                             formal->access);
    case ROLE_MOMENT1:
        return lower_operand(lowering, rank, static_buffer(lowering, about, STATIC_MOMENT1),
                             formal->access);
    case ROLE_MOMENT2:
        return lower_operand(lowering, rank, static_buffer(lowering, about, STATIC_MOMENT2),
                             formal->access);
    case ROLE_LOSS:
        return loss_operand(lowering, about, formal);
    case ROLE_NORM:
        return norm_operand(lowering, about, formal);
    case ROLE_CLIP:
        return lower_operand(lowering, rank, static_buffer(lowering, about, STATIC_CLIP),
                             formal->access);
    case ROLE_TABLE:
        return lower_operand(lowering, rank, static_buffer(lowering, about, STATIC_TABLE),
                             ACCESS_READ);
    case ROLE_NEXT:
        return (Operand){
            lower_buffer(lowering, rank, "next", lowering->plan->nchunks, LOADED_BYTES),
            about->chunk, 1, ACCESS_WRITE};
    case ROLE_SCRATCH:
        return scratch_operand(lowering, about);
    default:
        bug("%s: operand %s has role %d", about->codelet->name, formal->name, (int)formal->role);
    }
}

static bool is_chained(const Lowering *lowering, int chunk, int s)
{
    return lowering->earlier[chunk][s] >= 0 || lowering->later[chunk][s] >= 0;
}

/* Rows of the chunk's first `nsegments` segments that are whole sequences. */
static int64_t whole_rows(const Lowering *lowering, int chunk, int nsegments)
{
    int64_t rows = 0;
    for (int s = 0; s < nsegments; s++)
        if (!is_chained(lowering, chunk, s))
            rows += lowering->plan->chunks[chunk].segments[s].length;
    return rows;
}

/* Keys and values (or their gradients) of the call's segments in its layer: in their chain's
 * buffer, or, where the sequence lies wholly inside the chunk, in the chunk's. */
static void bind_segments(Lowering *lowering, const About *about, const CodeletOperand *formal,
                          CallSegment *segments)
{
    const Chunk *chunk     = &lowering->plan->chunks[about->chunk];
    int64_t      row_bytes = formal->columns * formal->element_bytes;
    const char  *what      = formal->role == ROLE_KV ? "kv" : "dkv";
    int64_t      rows      = whole_rows(lowering, about->chunk, chunk->nsegments);
    const char  *name =
        region_format(lowering->region, "C%d.L%d.%s", about->chunk, about->layer, what);
    int whole = -1;
    if (rows > 0)
        whole = formal->access == ACCESS_WRITE
                    ? written_value(lowering, about->rank, name, rows, row_bytes)
                    : lower_buffer(lowering, about->rank, name, rows, row_bytes);
    for (int s = 0; s < chunk->nsegments; s++) {
        int     sequence = chunk->segments[s].sequence, buffer = whole;
        int64_t row = whole_rows(lowering, about->chunk, s);
        if (is_chained(lowering, about->chunk, s)) {
            name   = region_format(lowering->region, "S%d.L%d.%s", sequence, about->layer, what);
            buffer = lower_buffer(lowering, about->rank, name, lowering->plan->sequences[sequence],
                                  row_bytes);
            row    = 0;
        }
        *(formal->role == ROLE_KV ? &segments[s].kv : &segments[s].dkv)         = buffer;
        *(formal->role == ROLE_KV ? &segments[s].kv_row : &segments[s].dkv_row) = row;
    }
}

/* A chunk that no later one reads rebuilds its keys and values: they were given up; others stand.
 * The chain's last chunk writes the gradients of all keys and values without reading. */
static int segment_flags(const Lowering *lowering, const About *about, int s)
{
    bool last = lowering->later[about->chunk][s] < 0;
    if (about->codelet->part == PART_PRE && about->codelet->direction == DIRECTION_REBUILD)
        return last ? 0 : PW_SEGMENT_KV_KEPT;
    if (about->codelet->part == PART_CORE && about->codelet->direction == DIRECTION_BACKWARD)
        return last ? PW_SEGMENT_DKV_FIRST : 0;
    return 0;
}

static CallSegment *call_segments(Lowering *lowering, const About *about)
{
    const Chunk *chunk    = &lowering->plan->chunks[about->chunk];
    CallSegment *segments = REGION_ARRAY(lowering->region, CallSegment, chunk->nsegments);
    int          row      = 0;
    for (int s = 0; s < chunk->nsegments; s++) {
        segments[s] = (CallSegment){.row      = row,
                                    .tokens   = (int)chunk->segments[s].length,
                                    .context  = (int)chunk->segments[s].start,
                                    .flags    = segment_flags(lowering, about, s),
                                    .sequence = chunk->segments[s].sequence,
                                    .kv       = -1,
                                    .dkv      = -1};
        row += segments[s].tokens;
    }
    for (int i = 0; i < about->codelet->noperands; i++)
        if (about->codelet->operands[i].rows == ROWS_CONTEXT)
            bind_segments(lowering, about, &about->codelet->operands[i], segments);
    return segments;
}

void lower_clear(Lowering *lowering, int rank, int buffer)
{
    Instruction *clear = lower_instruction(lowering, rank, PW_CLEAR);
    clear->operands    = REGION_NEW(lowering->region, Operand);
    *clear->operands   = lower_operand(lowering, rank, buffer, ACCESS_WRITE);
    clear->noperands   = 1;
    clear->count       = lowering->program->ranks[rank].buffers[buffer].rows *
                   lowering->program->ranks[rank].buffers[buffer].row_bytes / lowering->real_bytes;
    set_written(lowering, rank, buffer);
}

/* The first call that touches its weights' gradients writes them, later ones add. Where only some
 * of a call's gradients are new, those are cleared ahead of it. */
static int first_flag(Lowering *lowering, const About *about, const Operand *operands)
{
    int fresh = 0, all = 0;
    for (int i = 0; i < about->codelet->noperands; i++)
        if (about->codelet->operands[i].role == ROLE_DWEIGHT) {
            fresh += !lower_is_written(lowering, about->rank, operands[i].buffer);
            all++;
        }
    for (int i = 0; fresh && i < about->codelet->noperands; i++) {
        if (about->codelet->operands[i].role != ROLE_DWEIGHT ||
            lower_is_written(lowering, about->rank, operands[i].buffer))
            continue;
        set_written(lowering, about->rank, operands[i].buffer);
        if (fresh < all)
            lower_clear(lowering, about->rank, operands[i].buffer);
    }
    return fresh && fresh == all ? PW_CALL_FIRST : 0;
}

/* Reads are bound before writes, so that a call that makes a value anew still reads the old one. */
static Operand *bind_operands(Lowering *lowering, const About *about)
{
    const Codelet *codelet  = about->codelet;
    Operand       *operands = REGION_ARRAY(lowering->region, Operand, codelet->noperands);
    for (int writes = 0; writes < 2; writes++)
        for (int i = 0; i < codelet->noperands; i++)
            if ((codelet->operands[i].access == ACCESS_WRITE) == writes)
                operands[i] = bind(lowering, about, &codelet->operands[i]);
    return operands;
}

void lower_call(Lowering *lowering, int rank, int chunk, int layer, int codelet)
{
    const Codelet *from     = &lowering->codelets->items[codelet];
    const Chunk   *tokens   = &lowering->plan->chunks[chunk];
    About          about    = {.rank    = rank,
                               .chunk   = chunk,
                               .layer   = layer,
                               .tensor  = -1,
                               .codelet = from,
                               .scratch = codelet_scratch(from, tokens->tokens, tokens->nsegments)};
    Operand       *operands = bind_operands(lowering, &about);
    int            flags    = first_flag(lowering, &about, operands);
    Instruction   *call     = lower_instruction(lowering, rank, PW_CALL);
    call->codelet           = codelet;
    call->chunk             = chunk;
    call->layer             = layer;
    call->flags             = flags;
    call->tokens            = (int)tokens->tokens;
    call->operands          = operands;
    call->noperands         = from->noperands;
    call->nsegments         = tokens->nsegments;
    call->segments          = call_segments(lowering, &about);
}

void lower_update(Lowering *lowering, int rank, int tensor, const char *name, int64_t count)
{
    int codelet = codelet_named(lowering->codelets, name);
    if (codelet < 0)
        bug("the codelet table lacks %s", name);
    const Codelet *from     = &lowering->codelets->items[codelet];
    About          about    = {.rank    = rank,
                               .chunk   = -1,
                               .layer   = tensor < 0 ? -2 : lowering->tensors[tensor].layer,
                               .tensor  = tensor,
                               .codelet = from,
                               .scratch = codelet_scratch(from, 0, 0)};
    Operand       *operands = bind_operands(lowering, &about);
    Instruction   *call     = lower_instruction(lowering, rank, PW_CALL);
    call->codelet           = codelet;
    call->layer             = about.layer;
    call->operands          = operands;
    call->noperands         = from->noperands;
    call->count             = count;
}
