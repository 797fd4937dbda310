/* prove_spans: which bytes a call touches.
 * The call must have the form that the codelet table gives it, its segments must add up to its
 * tokens, and what a kernel writes must share no byte with anything else that it is given. */
#include "gen/step/prove_call.h"

#include <stdlib.h>

static bool check_segments(Call *call)
{
    const Instruction *instruction = call->site.instruction;
    const Prover      *prover      = call->site.prover;
    int64_t            row         = 0;
    for (int i = 0; i < call->nsegments; i++) {
        const CallSegment *segment = &call->segments[i];
        if (segment->sequence < 0 || segment->sequence >= prover->nsequences)
            return refuse(call->site, "segment %d: found sequence %d, expected one of %d", i,
                          segment->sequence, prover->nsequences);
        if (segment->row != row || segment->tokens <= 0)
            return refuse(call->site,
                          "segment %d: found %d tokens from row %d, expected some from row %lld", i,
                          segment->tokens, segment->row, (long long)row);
        if (segment->context < 0 ||
            segment->context > length_of(prover, segment->sequence) - segment->tokens)
            return refuse(call->site,
                          "segment %d: found tokens [%d, %d), expected some of sequence %d's %lld",
                          i, segment->context, segment->context + segment->tokens,
                          segment->sequence, (long long)length_of(prover, segment->sequence));
        row += segment->tokens;
    }
    return row == instruction->tokens ||
           refuse(call->site, "found %d tokens, expected the %lld of its segments",
                  instruction->tokens, (long long)row);
}

static bool goes_by_segments(const Codelet *codelet)
{
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].rows == ROWS_CONTEXT || codelet->operands[i].rows == ROWS_SEGMENT)
            return true;
    return false;
}

static const Operand *first_rows_read(const Call *call)
{
    for (int i = 0; i < call->codelet->noperands; i++)
        if (call->codelet->operands[i].rows == ROWS_TOKEN &&
            call->codelet->operands[i].access == ACCESS_READ)
            return &call->site.instruction->operands[i];
    return NULL;
}

/* A call that treats every row alike is told no segments: its tokens are those whose values it
 * reads first; all else that it reads must be of the same. */
static bool find_segments(Call *call)
{
    Prover        *prover = call->site.prover;
    const Operand *rows   = first_rows_read(call);
    CallSegment   *found  = NULL;
    int            room = 0, row = 0;
    int64_t        at, past;
    call->segments  = call->site.instruction->segments;
    call->nsegments = call->site.instruction->nsegments;
    if (call->nsegments != 0 || goes_by_segments(call->codelet) || !rows)
        return true;
    if (!operand_range(call->site, "rows", rows, &at, &past) ||
        !may_touch(call->site, "rows", at, past, false) ||
        !expect_written(call->site, "rows", at, past))
        return false;
    const Memory *memory    = &prover->ranks[call->site.rank].memory;
    int64_t       row_bytes = (past - at) / rows->rows;
    for (int i = memory_find(memory, at); at < past; i++) {
        const Extent *extent = &memory->extents[i];
        const Thing  *thing  = &prover->things[extent->thing];
        int64_t       end    = extent->past < past ? extent->past : past;
        if (thing->row_bytes != row_bytes || (end - at) % row_bytes)
            return refuse(call->site, "rows at 0x%llx: found %s, expected rows of tokens",
                          (long long)at, extent_words(prover, extent));
        CallSegment segment = {.row      = row,
                               .tokens   = (int)((end - at) / row_bytes),
                               .context  = (int)((at - extent->origin) / row_bytes),
                               .sequence = thing->sequence,
                               .kv       = -1,
                               .dkv      = -1};
        row += segment.tokens;
        at = end;
        REGION_APPEND(prover->region, found, call->nsegments, room, segment);
    }
    call->segments = found;
    return true;
}

static bool check_form(Call *call)
{
    const Instruction *instruction = call->site.instruction;
    const Prover      *prover      = call->site.prover;
    if (instruction->codelet < 0 || instruction->codelet >= prover->codelets->count)
        return refuse(call->site, "found codelet %d, expected one of %d", instruction->codelet,
                      prover->codelets->count);
    call->codelet = &prover->codelets->items[instruction->codelet];
    if (instruction->noperands != call->codelet->noperands)
        return refuse(call->site, "found %d operands, expected %d", instruction->noperands,
                      call->codelet->noperands);
    if (call->codelet->direction == DIRECTION_UPDATE)
        return true;
    int64_t first = call->codelet->part == PART_EMBED  ? -1
                    : call->codelet->part == PART_HEAD ? prover->model->layers
                                                       : 0;
    int64_t last  = call->codelet->part == PART_EMBED  ? -1
                    : call->codelet->part == PART_HEAD ? first
                                                       : prover->model->layers - 1;
    if (instruction->layer < first || instruction->layer > last)
        return refuse(call->site, "found layer %d, expected one of [%lld, %lld]",
                      instruction->layer, (long long)first, (long long)last);
    return find_segments(call) && check_segments(call);
}

static bool add_span(Call *call, Span span)
{
    bool writes = span.operand->access != ACCESS_READ;
    bool update = call->codelet->direction == DIRECTION_UPDATE &&
                  (span.operand->role == ROLE_WEIGHT || span.operand->role == ROLE_MOMENT1 ||
                   span.operand->role == ROLE_MOMENT2);
    REGION_APPEND(call->site.prover->region, call->spans, call->nspans, call->room, span);
    return may_touch(call->site, span.operand->name, span.at, span.past, writes) &&
           (!writes || update || may_write(call->site, span.operand->name, span.at, span.past));
}

static bool check_row(const Call *call, const CodeletOperand *operand, int buffer)
{
    const RankProgram *rank  = &call->site.prover->program->ranks[call->site.rank];
    int64_t            bytes = operand->columns * operand->element_bytes;
    return buffer < 0 || buffer >= rank->nbuffers || rank->buffers[buffer].row_bytes == bytes ||
           refuse(call->site, "%s: found rows of %lld bytes, expected %lld", operand->name,
                  (long long)rank->buffers[buffer].row_bytes, (long long)bytes);
}

/* Keys and values, and their gradients: pre has its own rows, core all from the first. */
static bool find_context_rows(Call *call, Span span)
{
    bool gradient = span.operand->role == ROLE_DKV;
    for (int i = 0; i < call->nsegments; i++) {
        const CallSegment *segment = &call->segments[i];
        int                buffer  = gradient ? segment->dkv : segment->kv;
        int64_t            zero    = gradient ? segment->dkv_row : segment->kv_row;
        if (!gradient && span.operand->access == ACCESS_WRITE &&
            (segment->flags & PW_SEGMENT_KV_KEPT))
            continue;
        span.segment = i;
        span.first   = call->codelet->part == PART_CORE ? 0 : segment->context;
        if (!check_row(call, span.operand, buffer) ||
            !buffer_range(call->site, span.operand->name, buffer, zero + span.first,
                          segment->context + segment->tokens - span.first, &span.at, &span.past) ||
            !add_span(call, span))
            return false;
    }
    return true;
}

static bool find_token_rows(Call *call, Span span, const Operand *operand)
{
    const Instruction *instruction = call->site.instruction;
    int64_t            at, past;
    if (!check_row(call, span.operand, operand->buffer) ||
        !operand_range(call->site, span.operand->name, operand, &at, &past))
        return false;
    if (operand->rows != instruction->tokens)
        return refuse(call->site, "%s: found %lld rows, expected %d", span.operand->name,
                      (long long)operand->rows, instruction->tokens);
    int64_t row_bytes = (past - at) / operand->rows;
    for (int i = 0; i < call->nsegments; i++) {
        span.segment = i;
        span.at      = at + call->segments[i].row * row_bytes;
        span.past    = span.at + call->segments[i].tokens * row_bytes;
        span.first   = call->segments[i].context;
        if (!add_span(call, span))
            return false;
    }
    return true;
}

static bool find_segment_rows(Call *call, Span span, const Operand *operand)
{
    int64_t at, past;
    int     nsegments = call->nsegments;
    if (!check_row(call, span.operand, operand->buffer) ||
        !operand_range(call->site, span.operand->name, operand, &at, &past))
        return false;
    if (operand->rows != nsegments)
        return refuse(call->site, "%s: found %lld rows, expected %d", span.operand->name,
                      (long long)operand->rows, nsegments);
    for (int i = 0; i < nsegments; i++) {
        span.segment = i;
        span.at      = at + i * (past - at) / nsegments;
        span.past    = at + (i + 1) * (past - at) / nsegments;
        if (!add_span(call, span))
            return false;
    }
    return true;
}

/* How many bytes an operand of one row has; scratch at least so many. */
static int64_t bytes_of(const Call *call, const CodeletOperand *operand)
{
    const Prover      *prover      = call->site.prover;
    const Instruction *instruction = call->site.instruction;
    bool               update      = call->codelet->direction == DIRECTION_UPDATE;
    switch (operand->role) {
    case ROLE_SCRATCH:
        return codelet_scratch(call->codelet, instruction->tokens);
    case ROLE_NORM:
        return operand->access == ACCESS_READ ? prover->ntensors * (int64_t)sizeof(double)
                                              : (int64_t)sizeof(double);
    case ROLE_LOSS:
        return prover->program->nlosses * (int64_t)sizeof(double);
    case ROLE_CLIP:
        return 2 * (int64_t)sizeof(double);
    case ROLE_NEXT:
        return sizeof(int32_t);
    default:
        return (update ? instruction->count : operand->columns) * operand->element_bytes;
    }
}

static bool find_one(Call *call, Span span, const Operand *operand)
{
    int64_t bytes = bytes_of(call, span.operand);
    if (!operand_range(call->site, span.operand->name, operand, &span.at, &span.past))
        return false;
    if (span.operand->role == ROLE_SCRATCH ? span.past - span.at < bytes
                                           : span.past - span.at != bytes)
        return refuse(call->site, "%s: found %lld bytes, expected %lld", span.operand->name,
                      (long long)(span.past - span.at), (long long)bytes);
    return add_span(call, span);
}

static bool find_rows(Call *call, Span span, const Operand *bound)
{
    switch (span.operand->rows) {
    case ROWS_CONTEXT:
        return find_context_rows(call, span);
    case ROWS_TOKEN:
        return find_token_rows(call, span, bound);
    case ROWS_SEGMENT:
        return find_segment_rows(call, span, bound);
    default:
        return find_one(call, span, bound);
    }
}

static bool find_spans(Call *call)
{
    const Instruction *instruction = call->site.instruction;
    for (int i = 0; i < call->codelet->noperands; i++) {
        Span span = {.operand = &call->codelet->operands[i],
                     .name    = call->site.prover->operand_name[instruction->codelet][i],
                     .segment = -1};
        if (!find_rows(call, span, &instruction->operands[i]))
            return false;
    }
    return true;
}

static int by_address(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* What a kernel writes shares no byte with anything else that it is given. */
static bool check_apart(Call *call)
{
    const Span *read = NULL, *written = NULL; /* those that end last                            */
    qsort(call->spans, (size_t)call->nspans, sizeof(Span), by_address);
    for (const Span *span = call->spans; span < call->spans + call->nspans; span++) {
        bool        writes = span->operand->access != ACCESS_READ;
        const Span *other  = written && written->past > span->at       ? written
                             : writes && read && read->past > span->at ? read
                                                                       : NULL;
        if (other)
            return refuse(call->site, "%s at 0x%llx: found bytes of %s too, expected it apart",
                          span->operand->name, (long long)span->at, other->operand->name);
        const Span **last = writes ? &written : &read;
        if (!*last || (*last)->past < span->past)
            *last = span;
    }
    return true;
}

bool call_find_spans(Call *call)
{
    return check_form(call) && find_spans(call) && check_apart(call);
}
