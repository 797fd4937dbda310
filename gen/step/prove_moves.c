/* prove_moves: what load, add and clear mean, and how the sum of a parameter's gradient begins. */
#include "gen/step/prove_state.h"

int64_t length_of(const Prover *prover, int sequence)
{
    return prover->first_token[sequence + 1] - prover->first_token[sequence];
}

void store_thing(Site site, int thing, int64_t at, int64_t past, int64_t origin)
{
    memory_write(site.prover, &site.prover->ranks[site.rank].memory,
                 (Extent){at, past, origin, thing, site.number});
}

/* The extent of a parameter's gradient, or NULL. */
Extent *share_at(const Prover *prover, int rank, int64_t at, int64_t past)
{
    const Memory *memory = &prover->ranks[rank].memory;
    int           i      = memory_find(memory, at);
    if (i == memory->count)
        return NULL;
    Extent *extent = &memory->extents[i];
    bool    whole  = extent->at == at && extent->past == past && extent->origin == at;
    return whole && prover->things[extent->thing].kind == THING_SHARE ? extent : NULL;
}

int open_share(Site site, const char *what, bool first, int weight, int layer, int64_t at,
               int64_t past)
{
    Prover       *prover = site.prover;
    const Extent *extent = share_at(prover, site.rank, at, past);
    const Thing  *share  = extent ? &prover->things[extent->thing] : NULL;
    bool          same   = share && share->name == weight && share->layer == layer;
    if (first && same && at < prover->program->ranks[site.rank].static_bytes) {
        refuse(site, "%s: found %s, expected it not to begin again", what,
               extent_words(prover, extent));
        return -1;
    }
    if (first)
        return share_new(prover, weight, layer);
    if (same)
        return extent->thing;
    int zeros = thing_of(prover, (Thing){.kind = THING_ZEROS});
    int i     = memory_find(&prover->ranks[site.rank].memory, at);
    if (i < prover->ranks[site.rank].memory.count &&
        prover->ranks[site.rank].memory.extents[i].thing == zeros)
        return expect(site, what, zeros, at, past, at) ? share_new(prover, weight, layer) : -1;
    refuse(site, "%s at 0x%llx: found %s, expected %s", what, (long long)at, found_at(site, at),
           thing_words(
               prover,
               thing_of(prover,
                        (Thing){.kind = THING_SHARE, .name = weight, .layer = layer, .low = -1})));
    return -1;
}

static bool check_source(Site site, const PwSource *source, int64_t row)
{
    Prover *prover = site.prover;
    if (source->sequence < 0 || source->sequence >= prover->nsequences || source->tokens <= 0 ||
        source->context < 0 ||
        source->context > length_of(prover, source->sequence) - source->tokens)
        return refuse(site, "found tokens [%d, %d) of sequence %d, expected some of a sequence",
                      source->context, source->context + source->tokens, source->sequence);
    if (source->row != row)
        return refuse(site, "found tokens for row %d, expected some for row %lld", source->row,
                      (long long)row);
    int64_t *document = &prover->documents[2 * source->sequence];
    if (document[0] == -2) {
        document[0] = source->document;
        document[1] = source->start - source->context;
    }
    return (document[0] == source->document && document[1] == source->start - source->context) ||
           refuse(site,
                  "found document %lld from %lld on, expected document %lld from %lld on for "
                  "token %d of sequence %d",
                  (long long)source->document, (long long)source->start, (long long)document[0],
                  (long long)(document[1] + source->context), source->context, source->sequence);
}

static bool load_operand(Site site, const char *what, const Operand *operand)
{
    const Instruction *instruction = site.instruction;
    int64_t            at, past;
    if (!operand_range(site, what, operand, &at, &past) || !may_touch(site, what, at, past, true) ||
        !may_write(site, what, at, past))
        return false;
    int64_t row = 0, row_bytes = sizeof(int32_t);
    if (past - at != operand->rows * row_bytes)
        return refuse(site, "%s: found rows that are not of 4 bytes", what);
    for (int i = 0; i < instruction->nsources; i++) {
        const PwSource *source = &instruction->sources[i];
        if (!check_source(site, source, row))
            return false;
        row += source->tokens;
        Thing tokens = {.kind      = THING_TOKENS,
                        .name      = name_of(site.prover, what),
                        .sequence  = source->sequence,
                        .row_bytes = row_bytes};
        if (row <= operand->rows)
            store_thing(site, thing_of(site.prover, tokens), at + source->row * row_bytes,
                        at + row * row_bytes, at + (source->row - source->context) * row_bytes);
    }
    return row == operand->rows || refuse(site, "%s: found %lld rows, expected %lld", what,
                                          (long long)operand->rows, (long long)row);
}

bool prove_load(Site site)
{
    static const char *const names[] = {"tokens", "targets", "weights"};
    if (site.instruction->noperands != COUNT(names))
        return refuse(site, "found %d operands, expected %d", site.instruction->noperands,
                      COUNT(names));
    for (int i = 0; i < COUNT(names); i++)
        if (site.instruction->operands[i].buffer >= 0 &&
            !load_operand(site, names[i], &site.instruction->operands[i]))
            return false;
    return true;
}

/* Bytes of an element of a parameter's gradient, by the table. */
static int64_t gradient_element(const Prover *prover)
{
    for (int c = 0; c < prover->codelets->count; c++)
        for (int i = 0; i < prover->codelets->items[c].noperands; i++)
            if (prover->codelets->items[c].operands[i].role == ROLE_DWEIGHT)
                return prover->codelets->items[c].operands[i].element_bytes;
    return 0;
}

/* The sum and the share are the whole gradient, not its first rows. */
static bool check_count(Site site, const ModelWeight *weight, int64_t sum, int64_t share)
{
    int64_t elements = weight->rows * weight->columns, count = site.instruction->count;
    int64_t bytes = elements * gradient_element(site.prover);
    if (count != elements)
        return refuse(site, "found %lld elements, expected the %lld of %s", (long long)count,
                      (long long)elements, weight->name);
    return (sum == bytes && share == bytes) ||
           refuse(site, "found a sum of %lld bytes and a share of %lld, expected the %lld of %s",
                  (long long)sum, (long long)share, (long long)bytes, weight->name);
}

bool prove_add(Site site)
{
    const Instruction *instruction = site.instruction;
    Prover            *prover      = site.prover;
    int64_t            to, to_past, from, from_past;
    if (instruction->noperands != 2)
        return refuse(site, "found %d operands, expected 2", instruction->noperands);
    if (!operand_range(site, "sum", &instruction->operands[0], &to, &to_past) ||
        !operand_range(site, "share", &instruction->operands[1], &from, &from_past) ||
        !may_touch(site, "sum", to, to_past, true) ||
        !may_touch(site, "share", from, from_past, false) || !may_write(site, "sum", to, to_past))
        return false;
    if (to < from_past && from < to_past)
        return refuse(site, "found a share in the bytes of the sum, expected it apart");
    const Extent *extent = share_at(prover, site.rank, from, from_past);
    if (!extent)
        return refuse(site, "share: found %s, expected a parameter's gradient",
                      found_at(site, from));
    Thing share = prover->things[extent->thing];
    if (!check_count(site, &prover->model->weights[share.name], to_past - to, from_past - from))
        return false;
    int sum = open_share(site, "sum", false, share.name, share.layer, to, to_past);
    if (sum < 0)
        return false;
    Cover *cover = &prover->covers[prover->things[sum].low];
    Cover  added = prover->covers[share.low];
    for (int i = 0; i < added.count; i++)
        if (!cover_add(prover, cover, added.ranges[i][0], added.ranges[i][1]))
            return refuse(site, "found a share of tokens that the sum has already, expected each "
                                "token once");
    store_thing(site, sum, to, to_past, to);
    return true;
}

bool prove_clear(Site site)
{
    int64_t at, past;
    if (site.instruction->noperands != 1)
        return refuse(site, "found %d operands, expected 1", site.instruction->noperands);
    if (!operand_range(site, "bytes", &site.instruction->operands[0], &at, &past) ||
        !may_touch(site, "bytes", at, past, true) || !may_write(site, "bytes", at, past))
        return false;
    store_thing(site, thing_of(site.prover, (Thing){.kind = THING_ZEROS}), at, past, at);
    return true;
}
