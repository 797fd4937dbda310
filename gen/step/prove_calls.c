/* prove_calls: what a call means.
 * It may run only if each operand that it reads holds the thing that the codelet table names, of
 * exactly the call's tokens in the call's order; then what it writes is what the table names it.
 * Sums know whose share is in them.
 *   A parameter's gradient: the tokens of the batch, each once; where two parameters share values,
 *   those of the embedding, then those of the head.
 *   A key's gradient: the queries [low, high). A chain's backward runs in reverse, so low goes
 *   down; pre's backward wants all from its own first token to the sequence's last. */
#include "gen/step/prove_call.h"

#include <string.h>

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
        thing.low  = segment->context; /* NOLINT(*NullDereference): its rows go by segment */
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
    bool    good      = call_find_spans(&call);
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
