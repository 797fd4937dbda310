/* lower_calls: how a call's operands become buffers.
 *   reads    plan (chunks, chains), codelet table, layout (homes, static map)
 *   writes   one call, and clears ahead of it
 * Generic over the codelet table: what an operand is follows from its role, its rows and its
 * name. */
#include <string.h>

#include "gen/step/lower.h"

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
    const char *name      = lower_name(lowering, 'C', about->chunk, layer, formal->name);
    int         buffer    = formal->access == ACCESS_WRITE
                                ? lower_written_buffer(lowering, about->rank, name, rows, row_bytes)
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
    const char *name   = lower_name(lowering, 'C', about->chunk, NO_LAYER, formal->name);
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
    const char *name;
    int64_t     bytes = about->scratch > 0 ? about->scratch : PW_ALIGN;
    if (about->chunk >= 0) {
        lower_name(lowering, 'C', about->chunk, about->layer, about->codelet->name);
        text_bytes(&lowering->name, ".scratch", strlen(".scratch"));
        name = lowering->name.at;
    } else {
        const char *where =
            about->tensor < 0 ? "end" : lowering->tensors[about->tensor].static_name[STATIC_WEIGHT];
        name = region_format(lowering->region, "%s.%s.scratch", where, about->codelet->name);
    }
    return lower_operand(lowering, about->rank,
                         lower_written_buffer(lowering, about->rank, name, 1, bytes), ACCESS_WRITE);
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
    const char  *name      = lower_name(lowering, 'C', about->chunk, about->layer, what);
    int          whole     = -1;
    if (rows > 0)
        whole = formal->access == ACCESS_WRITE
                    ? lower_written_buffer(lowering, about->rank, name, rows, row_bytes)
                    : lower_buffer(lowering, about->rank, name, rows, row_bytes);
    for (int s = 0; s < chunk->nsegments; s++) {
        int     sequence = chunk->segments[s].sequence, buffer = whole;
        int64_t row = whole_rows(lowering, about->chunk, s);
        if (is_chained(lowering, about->chunk, s)) {
            name   = lower_name(lowering, 'S', sequence, about->layer, what);
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
        lower_set_written(lowering, about->rank, operands[i].buffer);
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
                               .scratch = codelet_scratch(from, tokens->tokens)};
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
                               .scratch = codelet_scratch(from, 0)};
    Operand       *operands = bind_operands(lowering, &about);
    Instruction   *call     = lower_instruction(lowering, rank, PW_CALL);
    call->codelet           = codelet;
    call->layer             = about.layer;
    call->operands          = operands;
    call->noperands         = from->noperands;
    call->count             = count;
}
