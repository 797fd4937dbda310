/* interpreter_calls: what a call does to the words of a rank's memory. */
#include <string.h>

#include "tests/oracle/machine.h"

typedef struct Running { /* a call                                                                */
    Machine           *machine;
    const Instruction *call;
    const Codelet     *codelet;
    const Quantity    *quantities;
    Bytes              bytes[PW_MAX_OPERANDS];
    Frame              shared; /* weights and tables                                 */
    Frame             *frames; /* [tokens]                                           */
} Running;

/* Bytes that the codelet's kernels touch: by the table and the call's counts, whatever size the
 * operand is said to have. */
static int64_t bytes_touched(const Running *run, const CodeletOperand *operand)
{
    int64_t count = operand->rows == ROWS_TOKEN     ? run->call->tokens * operand->columns
                    : operand->rows == ROWS_SEGMENT ? run->call->nsegments * operand->columns
                    : run->codelet->direction == DIRECTION_UPDATE && operand->columns == 0
                        ? run->call->count
                        : operand->columns;
    return operand->role == ROLE_SCRATCH ? codelet_scratch(run->codelet, run->call->tokens)
                                         : count * operand->element_bytes;
}

static Bytes bytes_of(Running *run, int number)
{
    const Operand *operand = &run->call->operands[number];
    int64_t        bytes   = bytes_touched(run, &run->codelet->operands[number]);
    Bytes          first   = rows_of(run->machine, operand->buffer, operand->row, 0);
    if (!first.words)
        return first;
    int64_t at = first.words - run->machine->ranks[run->machine->rank].words;
    return (Bytes){words_at(run->machine, run->machine->rank, 4 * at, bytes), bytes / 4};
}

static Bytes chain_row(Running *run, const CallSegment *segment, bool gradient, int64_t token)
{
    return rows_of(run->machine, gradient ? segment->dkv : segment->kv,
                   (gradient ? segment->dkv_row : segment->kv_row) + token, 1);
}

static uint32_t read_chain(Running *run, const CallSegment *segment, bool gradient, int64_t token)
{
    Bytes row = chain_row(run, segment, gradient, token);
    if (!row.words)
        return 0;
    return gradient ? gather_sum(row.words, row.count) : gather(row.words, row.count);
}

static void spoil_scratch(Running *run)
{
    for (int i = 0; i < run->codelet->noperands; i++)
        if (run->codelet->operands[i].role == ROLE_SCRATCH && run->bytes[i].words)
            make_garbage(run->machine, run->bytes[i].words, run->bytes[i].count);
}

static bool has_role(const Codelet *codelet, Role role, Access access)
{
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].role == role && codelet->operands[i].access == access)
            return true;
    return false;
}

static void read_whole(Running *run)
{
    for (int i = 0; i < run->codelet->noperands; i++) {
        const CodeletOperand *operand = &run->codelet->operands[i];
        if (!run->bytes[i].words)
            continue;
        if (operand->role == ROLE_WEIGHT)
            know(&run->shared,
                 quantity_of_weight(run->machine->oracle->model->weights[operand->weight].name),
                 gather(run->bytes[i].words, run->bytes[i].count));
        if (operand->role == ROLE_TABLE)
            know(&run->shared, Q_ROPE, gather(run->bytes[i].words, run->bytes[i].count));
    }
}

/* The values of one token that the call reads; token t of a segment, row `row` of the call. */
static void read_token(Running *run, const CallSegment *segment, int64_t t, int64_t row)
{
    Frame *frame = &run->frames[row];
    *frame       = run->shared;
    know(frame, Q_POSITION, (uint32_t)(segment->context + t));
    for (int i = 0; i < run->codelet->noperands; i++) {
        const CodeletOperand *operand = &run->codelet->operands[i];
        if (operand->rows != ROWS_TOKEN || operand->access != ACCESS_READ)
            continue;
        Bytes at = one_row(run->bytes[i], run->call->tokens, row);
        if (!at.words)
            go_wrong(run->machine, "has too few rows");
        else if (operand->role == ROLE_TOKENS)
            know(frame, run->quantities[i], at.words[0]);
        else
            know(frame, run->quantities[i], gather(at.words, at.count));
    }
    if (run->codelet->part == PART_PRE && has_role(run->codelet, ROLE_DKV, ACCESS_READ))
        know(frame, Q_D_KV, read_chain(run, segment, true, segment->context + t));
}

static void read_tokens(Running *run)
{
    int64_t row = 0;
    for (int s = 0; s < run->call->nsegments; s++) {
        const CallSegment *segment = &run->call->segments[s];
        uint32_t           keys    = 0;
        bool               attends = run->codelet->part == PART_CORE;
        for (int64_t key = 0; key < segment->context && attends; key++)
            keys += key_of(read_chain(run, segment, false, key));
        for (int64_t t = 0; t < segment->tokens && row < run->call->tokens; t++, row++) {
            read_token(run, segment, t, row);
            if (!attends)
                continue;
            keys += key_of(read_chain(run, segment, false, segment->context + t));
            know(&run->frames[row], Q_KEYS, keys);
        }
    }
    for (; run->call->nsegments == 0 && row < run->call->tokens; row++)
        read_token(run, &(CallSegment){.context = 0}, row, row);
    if (row != run->call->tokens)
        go_wrong(run->machine, "has rows that are no token's");
}

static void write_token_rows(Running *run)
{
    for (int i = 0; i < run->codelet->noperands; i++) {
        const CodeletOperand *operand = &run->codelet->operands[i];
        if (operand->rows != ROWS_TOKEN || operand->access == ACCESS_READ)
            continue;
        for (int64_t row = 0; row < run->call->tokens; row++) {
            Bytes at = one_row(run->bytes[i], run->call->tokens, row);
            if (at.words)
                spread(at.words, at.count, solve(&run->frames[row], run->quantities[i]));
            else
                go_wrong(run->machine, "has too few rows");
        }
    }
}

static void write_keys(Running *run, const CallSegment *segment, int64_t first_row)
{
    for (int64_t t = 0; t < segment->tokens; t++) {
        Bytes at = chain_row(run, segment, false, segment->context + t);
        if (at.words && !(segment->flags & PW_SEGMENT_KV_KEPT))
            spread(at.words, at.count, solve(&run->frames[first_row + t], Q_KV));
    }
}

static void write_key_gradients(Running *run, const CallSegment *segment, int64_t first_row)
{
    for (int64_t key = 0; key < segment->context + segment->tokens; key++) {
        uint32_t kv = read_chain(run, segment, false, key), sum = 0;
        for (int64_t t = key < segment->context ? 0 : key - segment->context; t < segment->tokens;
             t++)
            sum += key_share(solve(&run->frames[first_row + t], Q_QUERY), kv);
        Bytes at = chain_row(run, segment, true, key);
        if (!at.words)
            return;
        if (segment->flags & PW_SEGMENT_DKV_FIRST)
            spread_sum(at.words, at.count, sum);
        else
            add_sum(at.words, at.count, sum);
    }
}

static void write_chains(Running *run)
{
    int64_t row = 0;
    for (int s = 0; s < run->call->nsegments; s++) {
        const CallSegment *segment = &run->call->segments[s];
        if (has_role(run->codelet, ROLE_KV, ACCESS_WRITE))
            write_keys(run, segment, row);
        if (has_role(run->codelet, ROLE_DKV, ACCESS_ADD))
            write_key_gradients(run, segment, row);
        row += segment->tokens;
    }
}

static void add_gradients(Running *run)
{
    for (int i = 0; i < run->codelet->noperands; i++) {
        const CodeletOperand *operand = &run->codelet->operands[i];
        if (operand->role != ROLE_DWEIGHT || !run->bytes[i].words)
            continue;
        Quantity share =
            share_of_weight(run->machine->oracle->model->weights[operand->weight].name);
        uint32_t sum = 0;
        for (int64_t row = 0; row < run->call->tokens; row++)
            sum += solve(&run->frames[row], share);
        if (run->call->flags & PW_CALL_FIRST)
            spread_sum(run->bytes[i].words, run->bytes[i].count, sum);
        else
            add_sum(run->bytes[i].words, run->bytes[i].count, sum);
    }
}

static void write_losses(Running *run)
{
    for (int i = 0; i < run->codelet->noperands; i++) {
        if (run->codelet->operands[i].role != ROLE_LOSS)
            continue;
        int64_t row = 0;
        for (int s = 0; s < run->call->nsegments; s++) {
            Bytes    at  = one_row(run->bytes[i], run->call->nsegments, s);
            uint32_t sum = 0;
            for (int t = 0; t < run->call->segments[s].tokens; t++)
                sum += solve(&run->frames[row++], Q_LOSS);
            if (at.words)
                spread_sum(at.words, at.count, sum);
            else
                go_wrong(run->machine, "has too few rows");
        }
    }
}

static int operand_of(const Codelet *codelet, Role role)
{
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].role == role)
            return i;
    return -1;
}

uint32_t losses_in(const Machine *machine, const uint32_t *words, int64_t count)
{
    uint32_t sum = 0;
    for (int64_t row = 0; row < machine->program->nlosses && 2 * row + 1 < count; row++)
        sum += sequence_loss(machine->program->loss_sequence[row], gather_sum(words + 2 * row, 2));
    return sum;
}

static void run_clip(Running *run, Bytes clip, Bytes norms, Bytes losses)
{
    const Machine *machine = run->machine;
    uint32_t       factor  = clip_start();
    for (int64_t i = 0; i + 1 < norms.count; i += 2)
        factor = mix(factor, gather(norms.words + i, 2));
    spread(clip.words, clip.count, mix(factor, losses_in(machine, losses.words, losses.count)));
}

static void run_adamw(Running *run, const Bytes *operands, int weight, int gradient, int clip)
{
    uint32_t how    = strcmp(run->codelet->name, "adamw_plain") != 0;
    uint32_t shift  = gather_sum(operands[gradient].words, operands[gradient].count);
    uint32_t factor = gather(operands[clip].words, operands[clip].count);
    for (int kind = 0; kind < 3; kind++) {
        static const Role roles[] = {ROLE_WEIGHT, ROLE_MOMENT1, ROLE_MOMENT2};
        Bytes             state   = operands[kind ? operand_of(run->codelet, roles[kind]) : weight];
        spread(state.words, state.count,
               updated(gather(state.words, state.count), shift, factor, how * 4 + (uint32_t)kind));
    }
}

static void run_update(Running *run)
{
    int norm = operand_of(run->codelet, ROLE_NORM), clip = operand_of(run->codelet, ROLE_CLIP);
    int weight   = operand_of(run->codelet, ROLE_WEIGHT),
        losses   = operand_of(run->codelet, ROLE_LOSS);
    int gradient = operand_of(run->codelet, ROLE_DWEIGHT);
    for (int i = 0; i < run->codelet->noperands; i++)
        if (!run->bytes[i].words)
            return;
    if (weight >= 0)
        run_adamw(run, run->bytes, weight, gradient, clip);
    else if (losses >= 0)
        run_clip(run, run->bytes[clip], run->bytes[norm], run->bytes[losses]);
    else
        spread(run->bytes[norm].words, run->bytes[norm].count,
               norm_of(gather_sum(run->bytes[gradient].words, run->bytes[gradient].count)));
}

void run_call(Machine *machine, const Instruction *call)
{
    if (call->codelet < 0 || call->codelet >= machine->oracle->codelets->count) {
        go_wrong(machine, "calls no codelet");
        return;
    }
    Running *run    = REGION_NEW(machine->region, Running);
    run->machine    = machine;
    run->call       = call;
    run->codelet    = &machine->oracle->codelets->items[call->codelet];
    run->quantities = machine->oracle->quantities[call->codelet];
    for (int i = 0; i < run->codelet->noperands; i++)
        if (run->codelet->operands[i].rows != ROWS_CONTEXT)
            run->bytes[i] = bytes_of(run, i);
    if (machine->wrong)
        return;
    if (run->codelet->direction == DIRECTION_UPDATE) {
        run_update(run);
        return;
    }
    run->frames = REGION_ARRAY(machine->region, Frame, call->tokens);
    spoil_scratch(run);
    read_whole(run);
    read_tokens(run);
    if (machine->wrong)
        return;
    write_token_rows(run);
    write_chains(run);
    add_gradients(run);
    write_losses(run);
    spoil_scratch(run);
}
