/* program_store: the binary form of program_format.h, written and read.
 *   writes   the same bytes for the same program: every gap is zero
 *   reads    anything: every offset, count and name is checked before it is followed; whether the
 *            program is well made is then program_check's */
#include <string.h>

#include "gen/forms/program.h"

/* Adds bytes at the next multiple of 8 and returns where they begin. */
static uint64_t put(Text *out, size_t start, const void *bytes, size_t count)
{
    static const char zeros[8];
    text_bytes(out, zeros, (size_t) - (out->length - start) % 8);
    uint64_t at = out->length - start;
    text_bytes(out, bytes, count);
    return at;
}

static PwOperand stored_operand(const RankProgram *rank, const Operand *operand)
{
    if (operand->buffer < 0)
        return (PwOperand){.address = -1, .buffer = -1, .access = (int32_t)operand->access};
    const Buffer *buffer = &rank->buffers[operand->buffer];
    return (PwOperand){.address = buffer->offset + operand->row * buffer->row_bytes,
                       .bytes   = operand->rows * buffer->row_bytes,
                       .buffer  = operand->buffer,
                       .access  = (int32_t)operand->access};
}

static int64_t segment_address(const RankProgram *rank, int buffer, int64_t row)
{
    return buffer < 0 ? -1 : rank->buffers[buffer].offset + row * rank->buffers[buffer].row_bytes;
}

/* The arrays of one rank while they are filled. */
typedef struct Arrays {
    Text instructions, operands, segments, origins, sources, buffers, names;
} Arrays;

static PwInstruction stored_instruction(const Instruction *instruction, const Arrays *arrays)
{
    return (PwInstruction){
        .kind      = (uint8_t)instruction->kind,
        .flags     = (uint8_t)instruction->flags,
        .codelet   = (uint16_t)instruction->codelet,
        .peer      = instruction->kind == PW_MARK ? instruction->stage : instruction->peer,
        .layer     = instruction->layer,
        .chunk     = instruction->chunk,
        .message   = instruction->message,
        .tokens    = instruction->tokens,
        .operand   = (uint32_t)(arrays->operands.length / sizeof(PwOperand)),
        .noperands = (uint32_t)instruction->noperands,
        .segment   = (uint32_t)(arrays->segments.length / sizeof(PwSegment)),
        .nsegments = (uint32_t)instruction->nsegments,
        .source    = (uint32_t)(arrays->sources.length / sizeof(PwSource)),
        .nsources  = (uint32_t)instruction->nsources,
        .operation = instruction->operation,
        .letter    = {instruction->letter},
        .count     = instruction->count,
        .predicted = instruction->predicted,
        .live      = instruction->live,
    };
}

static void store_instruction(const RankProgram *rank, const Instruction *instruction,
                              Arrays *arrays)
{
    PwInstruction stored = stored_instruction(instruction, arrays);
    text_bytes(&arrays->instructions, &stored, sizeof stored);
    for (int i = 0; i < instruction->noperands; i++) {
        PwOperand operand = stored_operand(rank, &instruction->operands[i]);
        text_bytes(&arrays->operands, &operand, sizeof operand);
    }
    for (int i = 0; i < instruction->nsegments; i++) {
        const CallSegment *from    = &instruction->segments[i];
        PwSegment          segment = {.row     = from->row,
                                      .tokens  = from->tokens,
                                      .context = from->context,
                                      .flags   = from->flags,
                                      .kv      = segment_address(rank, from->kv, from->kv_row),
                                      .dkv     = segment_address(rank, from->dkv, from->dkv_row)};
        PwOrigin           origin  = {.kv = from->kv, .dkv = from->dkv, .sequence = from->sequence};
        text_bytes(&arrays->segments, &segment, sizeof segment);
        text_bytes(&arrays->origins, &origin, sizeof origin);
    }
    text_bytes(&arrays->sources, instruction->sources,
               (size_t)instruction->nsources * sizeof(PwSource));
}

static void store_buffer(const Buffer *buffer, Arrays *arrays)
{
    PwBuffer stored = {.name      = arrays->names.length,
                       .offset    = buffer->offset,
                       .bytes     = buffer->bytes,
                       .row_bytes = buffer->row_bytes,
                       .rows      = buffer->rows,
                       .is_static = buffer->is_static};
    text_bytes(&arrays->buffers, &stored, sizeof stored);
    text_bytes(&arrays->names, buffer->name, strlen(buffer->name) + 1);
}

/* The sampled tokens, on the rank that samples: others may have some of them. */
static int sampled_tokens(const RankProgram *rank, const Codelets *codelets)
{
    for (int i = 0; i < rank->ninstructions; i++) {
        const Instruction *call = &rank->instructions[i];
        for (int k = 0; call->kind == PW_CALL && k < call->noperands; k++)
            if (codelets->items[call->codelet].operands[k].role == ROLE_NEXT)
                return call->operands[k].buffer;
    }
    return -1;
}

static PwRank store_rank(const RankProgram *rank, const Codelets *codelets, Region *region,
                         Text *out, size_t start)
{
    if (rank->peak < 0)
        bug("a program is stored before it has addresses");
    Arrays arrays = {text_new(region), text_new(region), text_new(region), text_new(region),
                     text_new(region), text_new(region), text_new(region)};
    for (int i = 0; i < rank->nbuffers; i++)
        store_buffer(&rank->buffers[i], &arrays);
    for (int i = 0; i < rank->ninstructions; i++)
        store_instruction(rank, &rank->instructions[i], &arrays);
    int    losses = program_buffer(rank, "losses"), next = sampled_tokens(rank, codelets);
    PwRank stored = {
        .ninstructions    = (uint64_t)rank->ninstructions,
        .noperands        = arrays.operands.length / sizeof(PwOperand),
        .nbuffers         = (uint64_t)rank->nbuffers,
        .nsegments        = arrays.segments.length / sizeof(PwSegment),
        .nsources         = arrays.sources.length / sizeof(PwSource),
        .text_bytes       = arrays.names.length,
        .static_bytes     = rank->static_bytes,
        .arena_bytes      = rank->peak,
        .peak_instruction = rank->peak_instruction,
        .capacity         = rank->capacity,
        .losses           = losses < 0 ? -1 : rank->buffers[losses].offset,
        .next             = next < 0 ? -1 : rank->buffers[next].offset,
        .nnext            = next < 0 ? 0 : rank->buffers[next].rows,
    };
    stored.instructions = put(out, start, arrays.instructions.at, arrays.instructions.length);
    stored.operands     = put(out, start, arrays.operands.at, arrays.operands.length);
    stored.buffers      = put(out, start, arrays.buffers.at, arrays.buffers.length);
    stored.segments     = put(out, start, arrays.segments.at, arrays.segments.length);
    stored.origins      = put(out, start, arrays.origins.at, arrays.origins.length);
    stored.sources      = put(out, start, arrays.sources.at, arrays.sources.length);
    stored.text         = put(out, start, arrays.names.at, arrays.names.length);
    return stored;
}

void program_store(const Program *program, const Codelets *codelets, Text *out)
{
    if (codelets->count > UINT16_MAX)
        bug("%d codelets do not fit a stored program", codelets->count);
    Region   *region = out->region;
    size_t    start  = out->length;
    PwProgram head   = {.step              = program->step,
                        .kind              = program->kind,
                        .nranks            = program->nranks,
                        .nsequences        = program->nsequences,
                        .ntokens           = (int32_t)program->tokens,
                        .weight            = program->weight,
                        .predicted_seconds = program->predicted_seconds,
                        .position          = program->position,
                        .norder            = (uint64_t)program->norder,
                        .nlosses           = program->nlosses};
    PwRank   *ranks  = REGION_ARRAY(region, PwRank, program->nranks);
    memcpy(head.magic, PW_PROGRAM_MAGIC, sizeof head.magic);
    memcpy(head.plan_hash, program->plan_hash, sizeof head.plan_hash);
    text_bytes(out, &head, sizeof head);
    head.ranks = put(out, start, ranks, sizeof *ranks * (size_t)program->nranks);
    for (int rank = 0; rank < program->nranks; rank++)
        ranks[rank] = store_rank(&program->ranks[rank], codelets, region, out, start);
    head.loss_sequence = put(out, start, program->loss_sequence,
                             sizeof *program->loss_sequence * (size_t)program->nlosses);
    head.order = put(out, start, program->order, sizeof *program->order * (size_t)program->norder);
    put(out, start, NULL, 0);
    head.bytes = out->length - start;
    memcpy(out->at + start, &head, sizeof head);
    memcpy(out->at + start + head.ranks, ranks, sizeof *ranks * (size_t)program->nranks);
}

/* What is read: all of it, copied to aligned memory. */
typedef struct Stored {
    Region              *region;
    const unsigned char *bytes;
    uint64_t             count;
    const char          *name;
    Error               *error;
} Stored;

static bool refuse(const Stored *stored, const char *what)
{
    return error_input(stored->error, "%s: not a stored program: %s", stored->name, what);
}

static const void *array_at(const Stored *stored, uint64_t offset, uint64_t count, size_t size)
{
    bool fits =
        offset % 8 == 0 && offset <= stored->count && count <= (stored->count - offset) / size;
    if (!fits)
        refuse(stored, "an array lies beyond its end");
    return fits ? stored->bytes + offset : NULL;
}

/* The arrays of a stored rank. */
typedef struct Image {
    const PwInstruction *instructions;
    const PwOperand     *operands;
    const PwBuffer      *buffers;
    const PwSegment     *segments;
    const PwOrigin      *origins;
    const PwSource      *sources;
    const char          *text;
} Image;

static bool image_of(const Stored *stored, const PwRank *rank, Image *image)
{
    image->instructions =
        array_at(stored, rank->instructions, rank->ninstructions, sizeof(PwInstruction));
    image->operands = array_at(stored, rank->operands, rank->noperands, sizeof(PwOperand));
    image->buffers  = array_at(stored, rank->buffers, rank->nbuffers, sizeof(PwBuffer));
    image->segments = array_at(stored, rank->segments, rank->nsegments, sizeof(PwSegment));
    image->origins  = array_at(stored, rank->origins, rank->nsegments, sizeof(PwOrigin));
    image->sources  = array_at(stored, rank->sources, rank->nsources, sizeof(PwSource));
    image->text     = array_at(stored, rank->text, rank->text_bytes, 1);
    if (!image->instructions || !image->operands || !image->buffers || !image->segments ||
        !image->origins || !image->sources || !image->text)
        return false;
    if (rank->ninstructions > INT32_MAX || rank->nbuffers > INT32_MAX)
        return refuse(stored, "too many instructions or buffers");
    if (rank->text_bytes && image->text[rank->text_bytes - 1])
        return refuse(stored, "its names do not end");
    return true;
}

static bool load_buffer(const Stored *stored, const PwRank *rank, const Image *image,
                        const PwBuffer *from, Buffer *buffer)
{
    if (from->name >= rank->text_bytes)
        return refuse(stored, "a buffer's name lies beyond the names");
    if (from->row_bytes <= 0 || from->rows <= 0)
        return refuse(stored, "a buffer without rows");
    *buffer = (Buffer){.name      = region_copy(stored->region, image->text + from->name),
                       .row_bytes = from->row_bytes,
                       .rows      = from->rows,
                       .bytes     = from->bytes,
                       .offset    = from->offset,
                       .is_static = from->is_static != 0};
    return true;
}

/* Back from an address to the buffer's row. */
static bool row_of(const Stored *stored, const RankProgram *rank, int buffer, int64_t address,
                   int64_t *row)
{
    *row = 0;
    if (buffer < 0)
        return address == -1 || refuse(stored, "an address without a buffer");
    if (buffer >= rank->nbuffers)
        return refuse(stored, "a buffer's number is too large");
    const Buffer *from = &rank->buffers[buffer];
    int64_t       bytes;
    if (__builtin_sub_overflow(address, from->offset, &bytes) || bytes < 0 ||
        bytes % from->row_bytes)
        return refuse(stored, "an address is not a row of its buffer");
    *row = bytes / from->row_bytes;
    return true;
}

static bool load_operands(const Stored *stored, const RankProgram *rank, const PwOperand *from,
                          Instruction *to)
{
    to->operands = REGION_ARRAY(stored->region, Operand, to->noperands);
    for (int i = 0; i < to->noperands; i++) {
        int buffer = from[i].buffer < 0 ? -1 : from[i].buffer;
        if (from[i].access < ACCESS_READ || from[i].access > ACCESS_ADD)
            return refuse(stored, "an operand is not read, written or added to");
        to->operands[i] = (Operand){.buffer = buffer, .access = (Access)from[i].access};
        if (!row_of(stored, rank, buffer, from[i].address, &to->operands[i].row))
            return false;
        int64_t row_bytes = buffer < 0 ? 1 : rank->buffers[buffer].row_bytes;
        if (from[i].bytes < 0 || from[i].bytes % row_bytes)
            return refuse(stored, "an operand is not whole rows of its buffer");
        to->operands[i].rows = from[i].bytes / row_bytes;
    }
    return true;
}

static bool load_segments(const Stored *stored, const RankProgram *rank, const PwSegment *from,
                          const PwOrigin *origin, Instruction *to)
{
    to->segments = REGION_ARRAY(stored->region, CallSegment, to->nsegments);
    for (int i = 0; i < to->nsegments; i++) {
        CallSegment *segment = &to->segments[i];
        *segment             = (CallSegment){.row      = from[i].row,
                                             .tokens   = from[i].tokens,
                                             .context  = from[i].context,
                                             .flags    = from[i].flags,
                                             .sequence = origin[i].sequence,
                                             .kv       = origin[i].kv < 0 ? -1 : origin[i].kv,
                                             .dkv      = origin[i].dkv < 0 ? -1 : origin[i].dkv};
        if (!row_of(stored, rank, segment->kv, from[i].kv, &segment->kv_row) ||
            !row_of(stored, rank, segment->dkv, from[i].dkv, &segment->dkv_row))
            return false;
    }
    return true;
}

/* How much of a rank's arrays the instructions so far have taken: they lie one behind the other. */
typedef struct Taken {
    uint64_t operands, segments, sources;
} Taken;

static bool take(uint64_t *taken, uint64_t first, uint64_t count, uint64_t all)
{
    bool good = first == *taken && count <= all - first;
    *taken += good ? count : 0;
    return good;
}

static bool load_instruction(const Stored *stored, const RankProgram *rank, const PwRank *head,
                             const Image *image, Taken *taken, const PwInstruction *from,
                             Instruction *to)
{
    if (from->kind >= PW_NINSTRUCTIONS)
        return refuse(stored, "an instruction of no kind");
    if (!take(&taken->operands, from->operand, from->noperands, head->noperands) ||
        !take(&taken->segments, from->segment, from->nsegments, head->nsegments) ||
        !take(&taken->sources, from->source, from->nsources, head->nsources))
        return refuse(stored, "an instruction's operands do not follow those before it");
    bool mark   = from->kind == PW_MARK;
    *to         = (Instruction){.kind      = (PwInstructionKind)from->kind,
                                .flags     = from->flags,
                                .codelet   = from->codelet,
                                .layer     = from->layer,
                                .chunk     = from->chunk,
                                .peer      = mark ? 0 : from->peer,
                                .stage     = mark ? from->peer : 0,
                                .message   = from->message,
                                .tokens    = from->tokens,
                                .noperands = (int)from->noperands,
                                .nsegments = (int)from->nsegments,
                                .nsources  = (int)from->nsources,
                                .letter    = from->letter[0],
                                .operation = from->operation,
                                .count     = from->count,
                                .predicted = from->predicted,
                                .live      = from->live};
    to->sources = REGION_ARRAY(stored->region, PwSource, to->nsources);
    memcpy(to->sources, image->sources + from->source, sizeof(PwSource) * from->nsources);
    return load_operands(stored, rank, image->operands + from->operand, to) &&
           load_segments(stored, rank, image->segments + from->segment,
                         image->origins + from->segment, to);
}

static bool load_rank(const Stored *stored, const PwRank *head, RankProgram *rank)
{
    Image image;
    Taken taken = {0};
    if (!image_of(stored, head, &image))
        return false;
    *rank              = (RankProgram){.static_bytes     = head->static_bytes,
                                       .capacity         = head->capacity,
                                       .peak             = head->arena_bytes,
                                       .peak_instruction = (int)head->peak_instruction,
                                       .nbuffers         = (int)head->nbuffers,
                                       .ninstructions    = (int)head->ninstructions};
    rank->buffers      = REGION_ARRAY(stored->region, Buffer, rank->nbuffers);
    rank->instructions = REGION_ARRAY(stored->region, Instruction, rank->ninstructions);
    for (int i = 0; i < rank->nbuffers; i++)
        if (!load_buffer(stored, head, &image, &image.buffers[i], &rank->buffers[i]))
            return false;
    for (int i = 0; i < rank->ninstructions; i++)
        if (!load_instruction(stored, rank, head, &image, &taken, &image.instructions[i],
                              &rank->instructions[i]))
            return false;
    return true;
}

/* A copy in aligned memory whose first bytes say what it is. */
static bool open_stored(Stored *stored, const void *bytes, size_t count, PwProgram *head)
{
    unsigned char *copy = region_alloc(stored->region, count + 1);
    memcpy(copy, bytes, count);
    stored->bytes = copy;
    stored->count = count;
    if (count < sizeof *head || memcmp(copy, PW_PROGRAM_MAGIC, sizeof head->magic) != 0)
        return refuse(stored, "it does not begin with " PW_PROGRAM_MAGIC);
    memcpy(head, copy, sizeof *head);
    if (head->bytes != count)
        return refuse(stored, "its size is not what it says");
    if (head->nranks <= 0 || head->nsequences < 0 || head->nlosses < 0 || head->ntokens < 0)
        return refuse(stored, "a count is negative");
    return true;
}

Program *program_load(Region *region, const void *bytes, size_t count, const char *name,
                      const Codelets *codelets, Error *error)
{
    Stored    stored = {.region = region, .name = name, .error = error};
    PwProgram head;
    if (!open_stored(&stored, bytes, count, &head))
        return NULL;
    const PwRank  *ranks = array_at(&stored, head.ranks, (uint64_t)head.nranks, sizeof *ranks);
    const int32_t *losses =
        array_at(&stored, head.loss_sequence, (uint64_t)head.nlosses, sizeof *losses);
    const PwOrder *order = array_at(&stored, head.order, head.norder, sizeof *order);
    if (!ranks || !losses || !order)
        return NULL;
    Program *program           = REGION_NEW(region, Program);
    program->region            = region;
    program->step              = head.step;
    program->kind              = head.kind;
    program->nranks            = head.nranks;
    program->nsequences        = head.nsequences;
    program->tokens            = head.ntokens;
    program->weight            = head.weight;
    program->predicted_seconds = head.predicted_seconds;
    program->position          = head.position;
    program->nlosses           = head.nlosses;
    program->norder            = (int64_t)head.norder;
    program->loss_sequence     = REGION_ARRAY(region, int32_t, head.nlosses);
    program->order             = REGION_ARRAY(region, PwOrder, head.norder);
    program->ranks             = REGION_ARRAY(region, RankProgram, head.nranks);
    memcpy(program->loss_sequence, losses, sizeof *losses * (size_t)head.nlosses);
    memcpy(program->order, order, sizeof *order * head.norder);
    memcpy(program->plan_hash, head.plan_hash, sizeof head.plan_hash);
    for (int rank = 0; rank < program->nranks; rank++)
        if (!load_rank(&stored, &ranks[rank], &program->ranks[rank]))
            return NULL;
    return program_check(program, codelets, NULL, error) ? program : NULL;
}
