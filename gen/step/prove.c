/* prove: whether the programs of all ranks together do one step, and nothing else.
 *   reads    a finished program, the codelet table, the model, the layout (NULL: static buffers are
 *            what their names say), the batch (NULL: the sequences that the program loads)
 *   writes   nothing
 *   fails    with the rank, the instruction, its line in words, what was found, what was expected
 *   stands   last, before a program is stored; it shares no code with the passes before it
 * All ranks are executed together over real addresses, but each address holds a thing in place of a
 * number (prove_state.h). Messages move on the weakest machine (prove_messages.c), so a program
 * that could stick anywhere sticks here. What a call means is in prove_calls.c. As bytes of a
 * message may not be touched while it is on its way, no transport and no timing can change what is
 * read: the one order that is tried here stands for all. */
#include "gen/step/prove_state.h"

#include <string.h>

static void take_length(int64_t *lengths, int nsequences, int sequence, int64_t past)
{
    if (sequence >= 0 && sequence < nsequences && past > lengths[sequence])
        lengths[sequence] = past;
}

/* Without a batch a sequence ends where the last token of it that is loaded, or sampled, does. */
static void find_lengths(const Program *program, int64_t *lengths)
{
    for (int rank = 0; rank < program->nranks; rank++)
        for (int i = 0; i < program->ranks[rank].ninstructions; i++) {
            const Instruction *instruction = &program->ranks[rank].instructions[i];
            for (int s = 0; s < instruction->nsources; s++)
                take_length(lengths, program->nsequences, instruction->sources[s].sequence,
                            (int64_t)instruction->sources[s].context +
                                instruction->sources[s].tokens);
            for (int s = 0; s < instruction->nsegments && program->kind == PW_GENERATE; s++)
                take_length(lengths, program->nsequences, instruction->segments[s].sequence,
                            (int64_t)instruction->segments[s].context +
                                instruction->segments[s].tokens);
        }
}

static bool check_batch(Prover *prover)
{
    const Program *program = prover->program;
    const Batch   *batch   = prover->batch;
    if (program->nsequences != batch->nsequences || program->step != batch->step ||
        program->tokens != batch->tokens || program->weight != batch->weight ||
        (program->kind == PW_TRAIN && program->position != batch->position))
        return error_fail(
            prover->error,
            "program: found step %lld, %d sequences, %lld tokens, weight %g, position "
            "%lld, expected %lld, %d, %lld, %g, %lld",
            (long long)program->step, program->nsequences, (long long)program->tokens,
            program->weight, (long long)program->position, (long long)batch->step,
            batch->nsequences, (long long)batch->tokens, batch->weight, (long long)batch->position);
    return true;
}

static bool know_sequences(Prover *prover)
{
    const Program *program = prover->program;
    int            n       = program->nsequences;
    if (n < 0 || (prover->batch && !check_batch(prover)))
        return n >= 0 ? false
                      : error_fail(prover->error, "program: found %d sequences, expected some", n);
    int64_t *lengths    = REGION_ARRAY(prover->region, int64_t, n + 1);
    prover->nsequences  = n;
    prover->first_token = REGION_ARRAY(prover->region, int64_t, n + 1);
    prover->documents   = REGION_ARRAY(prover->region, int64_t, 2 * n + 2);
    if (!prover->batch)
        find_lengths(program, lengths);
    for (int i = 0; i < n; i++) {
        const Sequence *sequence     = prover->batch ? &prover->batch->sequences[i] : NULL;
        prover->documents[2 * i]     = sequence ? sequence->document : -2;
        prover->documents[2 * i + 1] = sequence ? sequence->start : 0;
        prover->first_token[i + 1] =
            prover->first_token[i] + (sequence ? sequence->length : lengths[i]);
    }
    return program->kind == PW_GENERATE || program->tokens == prover->first_token[n] ||
           error_fail(prover->error,
                      "program: found %lld tokens, expected the %lld of its sequences",
                      (long long)program->tokens, (long long)prover->first_token[n]);
}

static void know_names(Prover *prover)
{
    const Codelets *codelets = prover->codelets;
    prover->operand_name     = REGION_ARRAY(prover->region, int *, codelets->count);
    for (int c = 0; c < codelets->count; c++) {
        const Codelet *codelet  = &codelets->items[c];
        prover->operand_name[c] = REGION_ARRAY(prover->region, int, codelet->noperands);
        for (int i = 0; i < codelet->noperands; i++)
            prover->operand_name[c][i] = name_of(prover, codelet->operands[i].name);
    }
}

static void know_tensors(Prover *prover)
{
    const Model *model = prover->model;
    prover->ntensors   = layout_tensors(model);
    prover->tensors =
        region_alloc(prover->region, sizeof *prover->tensors * (size_t)(prover->ntensors + 1));
    for (int w = 0; w < model->nweights; w++) {
        Part part  = model->weights[w].part;
        int  first = part == PART_EMBED ? -1 : part == PART_HEAD ? (int)model->layers : 0;
        int  last  = part == PART_EMBED || part == PART_HEAD ? first : (int)model->layers - 1;
        for (int layer = first; layer <= last && model->weights[w].tied < 0; layer++) {
            int tensor                 = layout_tensor(model, w, layer);
            prover->tensors[tensor][0] = w;
            prover->tensors[tensor][1] = layer;
        }
    }
}

static void place_thing(Prover *prover, int rank, Thing thing, int64_t at, int64_t bytes)
{
    memory_write(prover, &prover->ranks[rank].memory,
                 (Extent){at, at + bytes, at, thing_of(prover, thing), -1});
}

static void place_static(Prover *prover, int rank, StaticKind kind, const char *name, int weight,
                         int layer, int64_t at, int64_t bytes)
{
    static const ThingKind things[NSTATICS] = {[STATIC_WEIGHT]  = THING_WEIGHT,
                                               [STATIC_MOMENT1] = THING_MOMENT1,
                                               [STATIC_MOMENT2] = THING_MOMENT2};
    Thing                  thing = {.kind = things[kind], .name = weight, .layer = layer};
    if (kind == STATIC_TABLE)
        thing = (Thing){.kind = THING_TABLE, .name = name_of(prover, name)};
    else if (kind == STATIC_GRADIENT || kind == STATIC_NORMS || kind == STATIC_CLIP)
        return;
    place_thing(prover, rank, thing, at, bytes);
}

/* "L3.qkv.master", "embed.table.moment1", "rope": without a layout the name is all there is. */
static void place_named(Prover *prover, int rank, const Buffer *buffer)
{
    const Model *model = prover->model;
    for (int kind = 0; kind < NSTATICS; kind++) {
        if (strcmp(buffer->name, static_names[kind]) == 0)
            place_static(prover, rank, (StaticKind)kind, buffer->name, -1, -1, buffer->offset,
                         buffer->rows * buffer->row_bytes);
        for (int i = 0; i < prover->ntensors && kind <= STATIC_MOMENT2; i++) {
            int         weight = prover->tensors[i][0], layer = prover->tensors[i][1];
            const char *place = layer < 0 ? "embed"
                                : layer == model->layers
                                    ? "head"
                                    : region_format(prover->region, "L%d", layer);
            const char *name  = region_format(prover->region, "%s.%s.%s", place,
                                              model->weights[weight].name, static_names[kind]);
            if (strcmp(buffer->name, name) == 0)
                place_static(prover, rank, (StaticKind)kind, NULL, weight, layer, buffer->offset,
                             buffer->rows * buffer->row_bytes);
        }
    }
}

/* Static buffers are exactly those of the layout's map. */
static bool check_static(Prover *prover, int rank, const Buffer *buffer)
{
    const RankLayout *layout = &prover->layout->ranks[rank];
    for (int i = 0; i < layout->nbuffers; i++)
        if (layout->buffers[i].offset == buffer->offset &&
            layout->buffers[i].bytes == buffer->rows * buffer->row_bytes)
            return true;
    return error_fail(prover->error,
                      "rank %d: found static buffer %s at 0x%llx with %lld bytes, expected the "
                      "layout's map",
                      rank, buffer->name, (long long)buffer->offset,
                      (long long)(buffer->rows * buffer->row_bytes));
}

static bool check_sizes(Prover *prover, int rank)
{
    const RankProgram *program = &prover->program->ranks[rank];
    const RankLayout  *layout  = prover->layout ? &prover->layout->ranks[rank] : NULL;
    int64_t            capacity =
        layout && layout->capacity < program->capacity ? layout->capacity : program->capacity;
    if (program->peak > capacity)
        return error_fail(prover->error,
                          "rank %d, instruction %d: found an arena that is full here with %lld "
                          "bytes, expected at most the capacity of %lld",
                          rank, program->peak_instruction, (long long)program->peak,
                          (long long)capacity);
    if (program->static_bytes < 0 || program->peak < program->static_bytes ||
        (layout && program->static_bytes != layout->static_bytes))
        return error_fail(prover->error,
                          "rank %d: found %lld static bytes in an arena of %lld, expected %lld",
                          rank, (long long)program->static_bytes, (long long)program->peak,
                          (long long)(layout ? layout->static_bytes : program->peak));
    for (const Buffer *buffer = program->buffers; buffer < program->buffers + program->nbuffers;
         buffer++)
        if (buffer->rows <= 0 || buffer->row_bytes <= 0 ||
            buffer->rows > INT64_MAX / 2 / buffer->row_bytes)
            return error_fail(prover->error,
                              "rank %d: found buffer %s with %lld rows of %lld bytes", rank,
                              buffer->name, (long long)buffer->rows, (long long)buffer->row_bytes);
    return true;
}

/* What lies in the arena before the program begins. */
static bool lay_out(Prover *prover, int rank)
{
    const RankProgram *program = &prover->program->ranks[rank];
    if (!check_sizes(prover, rank))
        return false;
    for (int i = 0; i < program->nbuffers; i++) {
        const Buffer *buffer = &program->buffers[i];
        if (!buffer->is_static)
            continue;
        if (prover->layout && !check_static(prover, rank, buffer))
            return false;
        if (!prover->layout)
            place_named(prover, rank, buffer);
    }
    const RankLayout *layout = prover->layout ? &prover->layout->ranks[rank] : NULL;
    for (int i = 0; layout && i < layout->nbuffers; i++) {
        const StaticBuffer *buffer = &layout->buffers[i];
        place_static(prover, rank, buffer->kind, buffer->name, buffer->weight, buffer->layer,
                     buffer->offset, buffer->bytes);
    }
    return true;
}

static bool make_ranks(Prover *prover)
{
    const Program *program = prover->program;
    if (program->nranks <= 0 || (prover->layout && program->nranks != prover->layout->nranks))
        return error_fail(prover->error, "program: found %d ranks, expected %d", program->nranks,
                          prover->layout ? prover->layout->nranks : 1);
    prover->ranks  = REGION_ARRAY(prover->region, ProvenRank, program->nranks);
    prover->queues = REGION_ARRAY(prover->region, Queue, program->nranks * program->nranks);
    for (int rank = 0; rank < program->nranks; rank++) {
        int n                       = program->ranks[rank].ninstructions;
        prover->ranks[rank].partner = REGION_ARRAY(prover->region, int, n + 1);
        prover->ranks[rank].entry   = REGION_ARRAY(prover->region, int, n + 1);
        if (!lay_out(prover, rank))
            return false;
    }
    return true;
}

static bool prove_instruction(Site site, bool *blocked)
{
    switch (site.instruction->kind) {
    case PW_LOAD:
        return prove_load(site);
    case PW_CALL:
        return prove_call(site);
    case PW_SEND:
    case PW_SENT:
    case PW_RECEIVE:
    case PW_WAIT:
        return prove_message(site, blocked);
    case PW_ADD_TO:
        return prove_add(site);
    case PW_CLEAR:
        return prove_clear(site);
    case PW_MARK:
        return true;
    default:
        return refuse(site, "found kind %d, expected an instruction", (int)site.instruction->kind);
    }
}

static Site site_at(Prover *prover, int rank)
{
    int number = prover->ranks[rank].at;
    return (Site){prover, rank, number, &prover->program->ranks[rank].instructions[number]};
}

/* As far as this rank comes; `moved` is set when that is at all. */
static bool advance_rank(Prover *prover, int rank, bool *moved)
{
    while (prover->ranks[rank].at < prover->program->ranks[rank].ninstructions) {
        bool blocked = false;
        if (!prove_instruction(site_at(prover, rank), &blocked))
            return false;
        if (blocked)
            return true;
        prover->ranks[rank].at++;
        *moved = true;
    }
    return true;
}

static bool run_all(Prover *prover)
{
    const Program *program = prover->program;
    for (bool moved = true; moved;) {
        moved = false;
        for (int rank = 0; rank < program->nranks; rank++)
            if (!advance_rank(prover, rank, &moved))
                return false;
    }
    Text text  = text_new(prover->region);
    int  stuck = -1;
    for (int rank = 0; rank < program->nranks; rank++)
        if (prover->ranks[rank].at < program->ranks[rank].ninstructions) {
            text_add(&text, "%s%s", stuck < 0 ? "" : "; ", why_stuck(site_at(prover, rank)));
            stuck = stuck < 0 ? rank : stuck;
        }
    return stuck < 0 || refuse(site_at(prover, stuck), "deadlock: %s", text.at);
}

static bool fail_at_end(Prover *prover, int rank, const char *found, const char *expected)
{
    return error_fail(prover->error, "rank %d, instruction %d, the end: found %s, expected %s",
                      rank, prover->program->ranks[rank].ninstructions, found, expected);
}

/* The rank that has the parameter with so many updates, and how many such ranks there are. */
static int holders(const Prover *prover, Thing thing, int *holder)
{
    int count = 0;
    for (int rank = 0; rank < prover->program->nranks; rank++) {
        const Memory *memory = &prover->ranks[rank].memory;
        for (int i = 0; i < memory->count; i++) {
            const Thing *found = &prover->things[memory->extents[i].thing];
            if (found->kind == thing.kind && found->name == thing.name &&
                found->layer == thing.layer && found->low == thing.low) {
                *holder = rank;
                count++;
            }
        }
    }
    return count;
}

static bool all_updated(Prover *prover)
{
    for (int i = 0; i < prover->ntensors; i++) {
        Thing weight = {.kind  = THING_WEIGHT,
                        .name  = prover->tensors[i][0],
                        .layer = prover->tensors[i][1],
                        .low   = 1};
        int   home   = 0;
        if (holders(prover, weight, &home) != 1) {
            const char *expected = thing_words(prover, thing_of(prover, weight));
            if (prover->layout)
                home = layout_home(prover->layout, prover->model, weight.name, weight.layer);
            return fail_at_end(prover, home, "no update of it", expected);
        }
    }
    return true;
}

static bool losses_stand(Prover *prover, int rank)
{
    const RankProgram *program = &prover->program->ranks[rank];
    int                losses  = program_buffer(program, "losses");
    Site               end     = {prover, rank, program->ninstructions,
                                  &(Instruction){.kind = PW_MARK, .letter = 'E', .chunk = 0}};
    return losses < 0 || prover->program->nlosses == 0 ||
           losses_complete(end, "losses", program->buffers[losses].offset);
}

/* Whether the sampled tokens lie on this rank, one after the other. */
static bool has_samples(Prover *prover, int rank)
{
    const RankProgram *program = &prover->program->ranks[rank];
    const Memory      *memory  = &prover->ranks[rank].memory;
    int                next    = program_buffer(program, "next");
    if (next < 0)
        return false;
    int64_t at    = program->buffers[next].offset;
    int64_t past  = at + program->buffers[next].rows * program->buffers[next].row_bytes;
    int     first = memory_find(memory, at);
    for (int i = first; i < memory->count && memory->extents[i].at <= at; i++) {
        const Extent *extent = &memory->extents[i];
        const Thing  *thing  = &prover->things[extent->thing];
        if (thing->kind != THING_TOKENS || thing->name != name_of(prover, "tokens") ||
            extent->thing != memory->extents[first].thing ||
            extent->origin != memory->extents[first].origin)
            return false;
        at = extent->past;
        if (at >= past)
            return true;
    }
    return false;
}

static bool end_of_step(Prover *prover)
{
    const Program *program = prover->program;
    bool           losses = false, samples = false;
    for (int rank = 0; rank < program->nranks; rank++) {
        losses  = losses || program_buffer(&program->ranks[rank], "losses") >= 0;
        samples = samples || has_samples(prover, rank);
        if (!losses_stand(prover, rank))
            return false;
    }
    if (program->kind == PW_GENERATE)
        return samples || fail_at_end(prover, 0, "no rank that has them", "all sampled tokens");
    if (!losses || program->nlosses == 0)
        return fail_at_end(prover, 0, "no losses on any rank", "those of all sequences");
    return program->kind != PW_TRAIN || all_updated(prover);
}

static bool prove_in(Prover *prover)
{
    know_names(prover);
    know_tensors(prover);
    return know_sequences(prover) && make_ranks(prover) && pair_messages(prover) &&
           run_all(prover) && end_of_step(prover) && order_respects_messages(prover);
}

bool prove(const Program *program, const Codelets *codelets, const Model *model,
           const Layout *layout, const Batch *batch, Error *error)
{
    Prover prover = {.program  = program,
                     .codelets = codelets,
                     .model    = model,
                     .layout   = layout,
                     .batch    = batch,
                     .region   = region_new(),
                     .error    = error};
    bool   proven = prove_in(&prover);
    region_free(prover.region);
    return proven;
}
