/* touch: see the header. Of a segment, pre touches the chunk's own rows, core all up to them; what
 * is kept is not written again, and the gradients of a chain begin with a write. */
#include "gen/step/touch.h"

static void add(Touches *touches, Touch touch)
{
    REGION_APPEND(touches->region, touches->items, touches->count, touches->room, touch);
}

static void touch_segment(Touches *touches, const Codelet *codelet, const CodeletOperand *formal,
                          const CallSegment *segment)
{
    bool    gradient = formal->role == ROLE_DKV;
    int64_t first    = codelet->part == PART_PRE ? segment->context : 0;
    int64_t past     = (int64_t)segment->context + segment->tokens;
    Touch   made     = {.buffer = gradient ? segment->dkv : segment->kv,
                        .row    = (gradient ? segment->dkv_row : segment->kv_row) + first,
                        .rows   = past - first,
                        .access = formal->access};
    if (made.access == ACCESS_WRITE && segment->flags & PW_SEGMENT_KV_KEPT)
        return;
    if (made.access == ACCESS_ADD && segment->flags & PW_SEGMENT_DKV_FIRST)
        made.access = ACCESS_WRITE;
    if (made.buffer >= 0)
        add(touches, made);
}

/* The first toucher of a weight's gradient writes what its codelet would add to. */
static void touch_operand(Touches *touches, const Instruction *instruction, const Codelet *codelet,
                          int i)
{
    const Operand *operand = &instruction->operands[i];
    Touch          made    = {operand->buffer, operand->row, operand->rows, operand->access};
    if (codelet && codelet->operands[i].role == ROLE_DWEIGHT && made.access == ACCESS_ADD &&
        instruction->flags & PW_CALL_FIRST)
        made.access = ACCESS_WRITE;
    if (made.buffer >= 0)
        add(touches, made);
}

void find_touches(Touches *touches, const Instruction *instruction, const Codelets *codelets)
{
    const Codelet *codelet =
        instruction->kind == PW_CALL ? &codelets->items[instruction->codelet] : NULL;
    touches->count = 0;
    for (int i = 0; i < instruction->noperands; i++)
        touch_operand(touches, instruction, codelet, i);
    for (int i = 0; codelet && i < codelet->noperands; i++)
        if (codelet->operands[i].rows == ROWS_CONTEXT)
            for (int s = 0; s < instruction->nsegments; s++)
                touch_segment(touches, codelet, &codelet->operands[i], &instruction->segments[s]);
}

bool writes_rows(Touches *touches, const Instruction *instruction, const Codelets *codelets,
                 const Operand *operand)
{
    find_touches(touches, instruction, codelets);
    for (int i = 0; i < touches->count; i++) {
        const Touch *at = &touches->items[i];
        if (at->buffer == operand->buffer && at->access != ACCESS_READ &&
            at->row < operand->row + operand->rows && operand->row < at->row + at->rows)
            return true;
    }
    return false;
}
