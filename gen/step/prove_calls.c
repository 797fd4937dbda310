/* prove_calls: what a call means.
 * It may run only if each operand that it reads holds the thing that the codelet table names, of
 * exactly the call's tokens in the call's order; then what it writes is what the table names it.
 * Sums know whose share is in them.
 *   A parameter's gradient: the tokens of the batch, each once; where two parameters share values,
 *   those of the embedding, then those of the head.
 *   A key's gradient: the queries [low, high). A chain's backward runs in reverse, so low goes
 *   down; pre's backward wants all from its own first token to the sequence's last. */
#include "gen/step/prove_state.h"

#include <stdlib.h>
#include <string.h>

/* Rows of an operand that belong to one segment, or all of it. */
typedef struct Span {
    const CodeletOperand *operand;
    int                   name;    /* number of the operand's name                              */
    int                   segment; /* -1: it does not go by segments                            */
    int64_t               at, past;
    int64_t               first; /* the sequence's token in its first row                       */
} Span;

typedef struct Call {
    Site           site;
    const Codelet *codelet;
    Span          *spans;
    int            nspans, room;
    int            weight, layer; /* of an update: whose gradient it reads                      */
    const CallSegment *segments;  /* the call's own, or found in what it reads                  */
    int                nsegments;
} Call;

static int64_t batch_tokens(const Prover *prover)
{
    return prover->first_token[prover->nsequences];
}

/* Where a parameter's gradient is summed: a tied one is the other's, with tokens of its own. */
static void sum_of(const Prover *prover, int weight, int *summed, int *layer, int64_t *shift)
{
    int tied = prover->model->weights[weight].tied;
    *summed  = tied >= 0 ? tied : weight;
    *layer   = tied >= 0 ? -1 : *layer;
    *shift   = tied >= 0 ? batch_tokens(prover) : 0;
}

static int64_t tokens_in_sum(const Prover *prover, int weight)
{
    for (int i = 0; i < prover->model->nweights; i++)
        if (prover->model->weights[i].tied == weight)
            return 2 * batch_tokens(prover);
    return batch_tokens(prover);
}

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
    if (call->nsegments > 0 || goes_by_segments(call->codelet) || !rows)
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
        return codelet_scratch(call->codelet, instruction->tokens, instruction->nsegments);
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

static bool find_spans(Call *call)
{
    const Prover *prover = call->site.prover;
    for (int i = 0; i < call->codelet->noperands; i++) {
        const CodeletOperand *operand = &call->codelet->operands[i];
        const Operand        *bound   = &call->site.instruction->operands[i];
        Span                  span    = {.operand = operand,
                                         .name = prover->operand_name[call->site.instruction->codelet][i],
                                         .segment = -1};
        bool                  found = operand->rows == ROWS_CONTEXT ? find_context_rows(call, span)
                                      : operand->rows == ROWS_TOKEN ? find_token_rows(call, span, bound)
                                      : operand->rows == ROWS_SEGMENT ? find_segment_rows(call, span, bound)
                                                                      : find_one(call, span, bound);
        if (!found)
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

/* What rows of an operand are, by the table. */
static int thing_named(const Call *call, const Span *span)
{
    Prover               *prover      = call->site.prover;
    const CodeletOperand *operand     = span->operand;
    const Instruction    *instruction = call->site.instruction;
    int64_t               row_bytes   = operand->columns * operand->element_bytes;
    const CallSegment    *segment     = span->segment < 0 ? NULL : &call->segments[span->segment];
    Thing                 thing       = {.name      = span->name,
                                         .layer     = instruction->layer + operand->shift,
                                         .sequence  = segment ? segment->sequence : 0,
                                         .row_bytes = segment ? row_bytes : 0};
    switch (operand->role) {
    case ROLE_TOKENS:
        thing.kind  = THING_TOKENS;
        thing.layer = 0;
        break;
    case ROLE_VALUE:
        thing.kind = THING_VALUE;
        break;
    case ROLE_GRADIENT:
        thing.kind = THING_GRADIENT;
        break;
    case ROLE_KV:
        thing.kind = THING_KV;
        thing.name = 0;
        break;
    case ROLE_DKV:
        thing.kind = THING_DKV;
        thing.name = 0;
        thing.low  = segment->context;
        thing.high = length_of(prover, segment->sequence);
        break;
    case ROLE_WEIGHT: {
        int64_t shift;
        thing.kind = THING_WEIGHT;
        sum_of(prover, operand->weight, &thing.name, &thing.layer, &shift);
        break;
    }
    case ROLE_TABLE:
        thing.kind  = THING_TABLE;
        thing.layer = 0;
        break;
    case ROLE_CLIP:
        thing = (Thing){.kind = THING_CLIP};
        break;
    case ROLE_SCRATCH:
        thing = (Thing){.kind = THING_SCRATCH};
        break;
    default:
        bug("operand %s of codelet %s has a role without a meaning here", operand->name,
            call->codelet->name);
    }
    return thing_of(prover, thing);
}

static int64_t origin_of(const Span *span)
{
    return span->at - span->first * span->operand->columns * span->operand->element_bytes;
}

bool losses_complete(Site site, const char *what, int64_t at)
{
    Prover        *prover  = site.prover;
    const Program *program = prover->program;
    const Memory  *memory  = &prover->ranks[site.rank].memory;
    Cover          cover   = {0};
    for (int64_t row = 0; row < program->nlosses; row++, at += (int64_t)sizeof(double)) {
        int           i      = memory_find(memory, at);
        const Extent *extent = i < memory->count ? &memory->extents[i] : NULL;
        const Thing  *loss   = extent ? &prover->things[extent->thing] : NULL;
        if (!extent || extent->at > at || extent->origin != at || loss->kind != THING_LOSS ||
            loss->sequence != program->loss_sequence[row])
            return refuse(site, "%s, row %lld: found %s, expected a loss of sequence %d", what,
                          (long long)row, found_at(site, at), program->loss_sequence[row]);
        int64_t first = prover->first_token[loss->sequence];
        if (!cover_add(prover, &cover, first + loss->low, first + loss->high))
            return refuse(site, "%s, row %lld: found %s, which another row has, expected it once",
                          what, (long long)row, found_at(site, at));
    }
    return cover_is(&cover, 0, batch_tokens(prover)) ||
           refuse(site, "%s: found the losses of some tokens, expected those of all %lld", what,
                  (long long)batch_tokens(prover));
}

static bool norms_complete(Call *call, const Span *span)
{
    Prover *prover = call->site.prover;
    int64_t at     = span->at;
    for (int i = 0; i < prover->ntensors; i++, at += (int64_t)sizeof(double)) {
        Thing norm = {
            .kind = THING_NORM, .name = prover->tensors[i][0], .layer = prover->tensors[i][1]};
        if (!expect(call->site, span->operand->name, thing_of(prover, norm), at,
                    at + (int64_t)sizeof(double), at))
            return false;
    }
    return true;
}

/* A gradient that is read must have every token's share. Tells whose it is. */
static bool gradient_complete(Call *call, const Span *span)
{
    Prover       *prover = call->site.prover;
    const Extent *extent = share_at(prover, call->site.rank, span->at, span->past);
    if (!extent)
        return refuse(call->site, "%s at 0x%llx: found %s, expected a parameter's gradient",
                      span->operand->name, (long long)span->at, found_at(call->site, span->at));
    const Thing *share = &prover->things[extent->thing];
    call->weight       = share->name;
    call->layer        = share->layer;
    const Cover *cover = &prover->covers[share->low];
    int64_t      all   = tokens_in_sum(prover, share->name);
    if (cover_is(cover, 0, all))
        return true;
    int64_t missing = cover->count && cover->ranges[0][0] == 0 ? cover->ranges[0][1] : 0;
    bool    tied    = missing >= batch_tokens(prover);
    int64_t token   = missing - (tied ? batch_tokens(prover) : 0);
    int     of      = 0;
    while (prover->first_token[of + 1] <= token)
        of++;
    return refuse(call->site,
                  "%s: found %s without the share of token %lld of sequence %d%s, expected those "
                  "of all tokens",
                  span->operand->name, extent_words(prover, extent),
                  (long long)(token - prover->first_token[of]), of, tied ? " (the head's)" : "");
}

/* The master itself, not a copy: it was there before the program began. */
static bool state_is_first(Call *call, const Span *span, ThingKind kind)
{
    const Prover *prover = call->site.prover;
    int64_t       at     = span->at;
    Thing         state  = {.kind = kind, .name = call->weight, .layer = call->layer};
    const Memory *memory = &prover->ranks[call->site.rank].memory;
    if (!expect(call->site, span->operand->name, thing_of(call->site.prover, state), at, span->past,
                at))
        return false;
    return memory->extents[memory_find(memory, at)].writer < 0 ||
           refuse(call->site, "%s: found a copy, expected the weight at home", span->operand->name);
}

/* Rows [0, context + tokens) have the shares of all later queries. */
static bool later_queries_are_in(Call *call, const Span *span)
{
    Prover            *prover  = call->site.prover;
    const CallSegment *segment = &call->segments[span->segment];
    int64_t            past    = segment->context + segment->tokens;
    int64_t            length  = length_of(prover, segment->sequence);
    if (segment->flags & PW_SEGMENT_DKV_FIRST)
        return past == length ||
               refuse(call->site,
                      "%s: found the flag that begins it at tokens [%d, %lld) of sequence %d, "
                      "expected it where the sequence's %lld end",
                      span->operand->name, segment->context, (long long)past, segment->sequence,
                      (long long)length);
    int   whole = thing_named(call, span);
    Thing later = prover->things[whole];
    later.low   = past;
    return expect(call->site, span->operand->name, thing_of(prover, later), span->at, span->past,
                  origin_of(span));
}

static bool check_span(Call *call, const Span *span)
{
    const CodeletOperand *operand = span->operand;
    bool                  update  = call->codelet->direction == DIRECTION_UPDATE;
    if (operand->access == ACCESS_WRITE)
        return true;
    switch (operand->role) {
    case ROLE_DWEIGHT:
        return update || operand->access == ACCESS_ADD ||
               refuse(call->site, "%s: found a read, expected an add", operand->name);
    case ROLE_DKV:
        if (operand->access == ACCESS_ADD)
            return later_queries_are_in(call, span);
        break;
    case ROLE_NORM:
        return norms_complete(call, span);
    case ROLE_LOSS:
        return losses_complete(call->site, operand->name, span->at);
    case ROLE_WEIGHT:
        if (update)
            return state_is_first(call, span, THING_WEIGHT);
        break;
    case ROLE_MOMENT1:
        return state_is_first(call, span, THING_MOMENT1);
    case ROLE_MOMENT2:
        return state_is_first(call, span, THING_MOMENT2);
    default:
        break;
    }
    return expect(call->site, operand->name, thing_named(call, span), span->at, span->past,
                  origin_of(span));
}

static bool add_gradient(Call *call, const Span *span)
{
    Prover            *prover      = call->site.prover;
    const Instruction *instruction = call->site.instruction;
    int                weight, layer = instruction->layer;
    int64_t            shift;
    sum_of(prover, span->operand->weight, &weight, &layer, &shift);
    int share = open_share(call->site, span->operand->name, instruction->flags & PW_CALL_FIRST,
                           weight, layer, span->at, span->past);
    if (share < 0)
        return false;
    Cover *cover = &prover->covers[prover->things[share].low];
    for (int i = 0; i < call->nsegments; i++) {
        const CallSegment *segment = &call->segments[i];
        int64_t first = shift + prover->first_token[segment->sequence] + segment->context;
        if (!cover_add(prover, cover, first, first + segment->tokens))
            return refuse(
                call->site,
                "%s: found a share of tokens [%d, %d) of sequence %d in it, expected each "
                "once",
                span->operand->name, segment->context, segment->context + segment->tokens,
                segment->sequence);
    }
    store_thing(call->site, share, span->at, span->past, span->at);
    return true;
}

static void write_state(Call *call, const Span *span, ThingKind kind)
{
    Thing state = {.kind = kind, .name = call->weight, .layer = call->layer, .low = 1};
    store_thing(call->site, thing_of(call->site.prover, state), span->at, span->past, span->at);
}

static void write_loss(Call *call, const Span *span)
{
    const CallSegment *segment = &call->segments[span->segment];
    Thing              loss    = {.kind     = THING_LOSS,
                                  .sequence = segment->sequence,
                                  .low      = segment->context,
                                  .high     = segment->context + segment->tokens};
    store_thing(call->site, thing_of(call->site.prover, loss), span->at, span->past, span->at);
}

/* The token after the call's last one. */
static void write_next(Call *call, const Span *span)
{
    const CallSegment *segment = &call->segments[call->nsegments - 1];
    Prover            *prover  = call->site.prover;
    Thing              next    = {.kind      = THING_TOKENS,
                                  .name      = name_of(prover, "tokens"),
                                  .sequence  = segment->sequence,
                                  .row_bytes = sizeof(int32_t)};
    int64_t            token   = segment->context + segment->tokens;
    store_thing(call->site, thing_of(prover, next), span->at, span->past,
                span->at - token * next.row_bytes);
}

static bool write_span(Call *call, const Span *span)
{
    switch (span->operand->role) {
    case ROLE_DWEIGHT:
        return add_gradient(call, span);
    case ROLE_WEIGHT:
        write_state(call, span, THING_WEIGHT);
        return true;
    case ROLE_MOMENT1:
        write_state(call, span, THING_MOMENT1);
        return true;
    case ROLE_MOMENT2:
        write_state(call, span, THING_MOMENT2);
        return true;
    case ROLE_NORM: {
        Thing norm = {.kind = THING_NORM, .name = call->weight, .layer = call->layer};
        store_thing(call->site, thing_of(call->site.prover, norm), span->at, span->past, span->at);
        return true;
    }
    case ROLE_LOSS:
        write_loss(call, span);
        return true;
    case ROLE_NEXT:
        write_next(call, span);
        return true;
    default:
        store_thing(call->site, thing_named(call, span), span->at, span->past, origin_of(span));
        return true;
    }
}

/* An update knows its parameter by the gradient that it reads, and must treat it as the model
 * says. */
static bool find_parameter(Call *call)
{
    const Prover *prover = call->site.prover;
    for (const Span *span = call->spans; span < call->spans + call->nspans; span++) {
        if (span->operand->role != ROLE_DWEIGHT || span->operand->access != ACCESS_READ)
            continue;
        if (!gradient_complete(call, span))
            return false;
        const ModelWeight *weight = &prover->model->weights[call->weight];
        if (call->site.instruction->count != weight->rows * weight->columns)
            return refuse(call->site, "found %lld elements, expected the %lld of %s",
                          (long long)call->site.instruction->count,
                          (long long)(weight->rows * weight->columns), weight->name);
        bool updates = codelet_operand(call->codelet, "moment1") >= 0;
        if (updates && weight->decays == (strcmp(call->codelet->name, "adamw_plain") == 0))
            return refuse(call->site, "found %s, whose values %s", weight->name,
                          weight->decays ? "decay" : "do not decay");
    }
    return true;
}

bool prove_call(Site site)
{
    Prover *prover    = site.prover;
    Call    call      = {.site = site, .spans = prover->spans, .room = prover->span_room};
    bool    good      = check_form(&call) && find_spans(&call) && check_apart(&call);
    prover->spans     = call.spans;
    prover->span_room = call.room;
    if (!good || (call.codelet->direction == DIRECTION_UPDATE && !find_parameter(&call)))
        return false;
    for (int i = 0; i < call.nspans; i++)
        if (!check_span(&call, &call.spans[i]))
            return false;
    for (int i = 0; i < call.nspans; i++)
        if (call.spans[i].operand->access != ACCESS_READ && !write_span(&call, &call.spans[i]))
            return false;
    return true;
}
