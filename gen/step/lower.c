/* lower: how programs begin, and the instructions that are no calls; see lower.h.
 *   reads    plan (chunks), layout (homes, static map)
 *   writes   instructions without messages, buffers without addresses */
#include "gen/step/lower.h"

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
        const StaticBuffer *buffer = &from->buffers[i];
        int64_t             rows   = static_rows(lowering, buffer);
        int added = lower_add_buffer(lowering->region, &lowering->writers[rank], buffer->name, rows,
                                     buffer->bytes / rows);
        to->buffers[added].offset    = buffer->offset;
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
                                     .program    = program,
                                     .name       = text_new(region)};
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

void lower_load(Lowering *lowering, int rank, int chunk, bool for_head)
{
    static const char *const names[] = {"tokens", "targets", "weights"};
    const Chunk             *from    = &lowering->plan->chunks[chunk];
    Operand                 *operand = REGION_ARRAY(lowering->region, Operand, 3);
    for (int i = 0; i < 3; i++) {
        operand[i] = (Operand){-1, 0, 0, ACCESS_WRITE};
        if ((i > 0) == for_head) {
            const char *name = lower_name(lowering, 'C', chunk, NO_LAYER, names[i]);
            int buffer = lower_written_buffer(lowering, rank, name, from->tokens, LOADED_BYTES);
            operand[i] = lower_operand(lowering, rank, buffer, ACCESS_WRITE);
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

void lower_clear(Lowering *lowering, int rank, int buffer)
{
    Instruction *clear = lower_instruction(lowering, rank, PW_CLEAR);
    clear->operands    = REGION_NEW(lowering->region, Operand);
    *clear->operands   = lower_operand(lowering, rank, buffer, ACCESS_WRITE);
    clear->noperands   = 1;
    clear->count       = lowering->program->ranks[rank].buffers[buffer].rows *
                   lowering->program->ranks[rank].buffers[buffer].row_bytes / lowering->real_bytes;
    lower_set_written(lowering, rank, buffer);
}
