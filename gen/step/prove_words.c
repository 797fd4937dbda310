/* prove_words: what prove says when it refuses, in the words of listings. */
#include "gen/step/prove_state.h"

#include <stdio.h>

#undef refuse

static const char *weight_name(const Prover *prover, int weight)
{
    return weight >= 0 && weight < prover->model->nweights ? prover->model->weights[weight].name
                                                           : "?";
}

static const char *place_of(Prover *prover, int layer)
{
    if (layer < 0)
        return "embed";
    return layer >= prover->model->layers ? "head" : region_format(prover->region, "L%d", layer);
}

const char *thing_words(Prover *prover, int number)
{
    const Thing *thing  = &prover->things[number];
    Region      *region = prover->region;
    const char  *place  = place_of(prover, thing->layer);
    switch (thing->kind) {
    case THING_TOKENS:
        return region_format(region, "%s of sequence %d", prover->names[thing->name],
                             thing->sequence);
    case THING_VALUE:
    case THING_GRADIENT:
        return region_format(region, "%s.%s of sequence %d", place, prover->names[thing->name],
                             thing->sequence);
    case THING_KV:
        return region_format(region, "%s keys and values of sequence %d", place, thing->sequence);
    case THING_DKV:
        return region_format(region,
                             "%s gradients of keys and values of sequence %d from the queries "
                             "[%lld, %lld)",
                             place, thing->sequence, (long long)thing->low, (long long)thing->high);
    case THING_WEIGHT:
        return region_format(region, "%s.%s%s", place, weight_name(prover, thing->name),
                             thing->low ? " after its update" : "");
    case THING_MOMENT1:
    case THING_MOMENT2:
        return region_format(region, "moment %d of %s.%s%s", thing->kind == THING_MOMENT1 ? 1 : 2,
                             place, weight_name(prover, thing->name),
                             thing->low ? " after its update" : "");
    case THING_SHARE:
        return region_format(region, "a gradient of %s.%s", place,
                             weight_name(prover, thing->name));
    case THING_LOSS:
        return region_format(region, "the loss of sequence %d [%lld, %lld)", thing->sequence,
                             (long long)thing->low, (long long)thing->high);
    case THING_NORM:
        return region_format(region, "the norm of %s.%s's gradient", place,
                             weight_name(prover, thing->name));
    case THING_CLIP:
        return "the clipping factor";
    case THING_TABLE:
        return region_format(region, "table %s", prover->names[thing->name]);
    case THING_ZEROS:
        return "zeros";
    case THING_SCRATCH:
        return "scratch";
    }
    bug("thing of kind %d", (int)thing->kind);
}

const char *rows_words(Prover *prover, int thing, int64_t at, int64_t past, int64_t origin)
{
    int64_t     row_bytes = prover->things[thing].row_bytes;
    const char *words     = thing_words(prover, thing);
    if (row_bytes == 0)
        return words;
    return region_format(prover->region, "%s, tokens [%lld, %lld)", words,
                         (long long)((at - origin) / row_bytes),
                         (long long)((past - origin) / row_bytes));
}

const char *extent_words(Prover *prover, const Extent *extent)
{
    const char *words = rows_words(prover, extent->thing, extent->at, extent->past, extent->origin);
    if (extent->writer < 0)
        return region_format(prover->region, "%s, there from the start", words);
    return region_format(prover->region, "%s, written at %d", words, extent->writer);
}

static const char *buffer_name(Site site, const Instruction *instruction, int operand)
{
    const RankProgram *rank = &site.prover->program->ranks[site.rank];
    if (operand >= instruction->noperands)
        return "nothing";
    int buffer = instruction->operands[operand].buffer;
    return buffer >= 0 && buffer < rank->nbuffers ? rank->buffers[buffer].name : "nothing";
}

/* The message's send or receive, which has the operand. */
static const char *message_name(Site site)
{
    int partner = site.prover->ranks[site.rank].partner[site.number];
    if (partner < 0)
        return "a message of no one";
    return buffer_name(site, &site.prover->program->ranks[site.rank].instructions[partner], 0);
}

const char *in_words(Site site)
{
    Region            *region      = site.prover->region;
    const Instruction *instruction = site.instruction;
    switch (instruction->kind) {
    case PW_LOAD:
        return region_format(region, "load for chunk %d", instruction->chunk);
    case PW_CALL: {
        int codelet = instruction->codelet;
        return region_format(region, "call %s layer %d chunk %d",
                             codelet >= 0 && codelet < site.prover->codelets->count
                                 ? site.prover->codelets->items[codelet].name
                                 : "of no codelet",
                             instruction->layer, instruction->chunk);
    }
    case PW_SEND:
        return region_format(region, "send %s to %d", buffer_name(site, instruction, 0),
                             instruction->peer);
    case PW_SENT:
        return region_format(region, "sent %s to %d", message_name(site), instruction->peer);
    case PW_RECEIVE:
        return region_format(region, "receive %s from %d", buffer_name(site, instruction, 0),
                             instruction->peer);
    case PW_WAIT:
        return region_format(region, "wait %s from %d", message_name(site), instruction->peer);
    case PW_ADD_TO:
        return region_format(region, "add %s to %s", buffer_name(site, instruction, 1),
                             buffer_name(site, instruction, 0));
    case PW_CLEAR:
        return region_format(region, "clear %s", buffer_name(site, instruction, 0));
    case PW_MARK:
        return region_format(region, "mark %c%d", instruction->letter, instruction->chunk);
    default:
        return "no instruction";
    }
}

bool refuse(Site site, const char *format, ...)
{
    char    text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_fail(site.prover->error, "rank %d, instruction %d: %s: %s", site.rank, site.number,
                      in_words(site), text);
}
