/* touch: which rows of which buffers an instruction reads, writes or adds to, operands and segments
 * alike. What moves instructions and what counts lives ask here. */
#ifndef PIPEWRIGHT_TOUCH_H
#define PIPEWRIGHT_TOUCH_H

#include "gen/forms/program.h"

typedef struct Touch {
    int     buffer;
    int64_t row, rows;
    Access  access;
} Touch;

typedef struct Touches {
    Region *region;
    Touch  *items;
    int     count, room;
} Touches;

/* Replaces `touches`. `sent` and `wait` touch nothing by themselves. */
void find_touches(Touches *touches, const Instruction *instruction, const Codelets *codelets);

/* Whether the instruction writes or adds to any of the operand's rows. */
bool writes_rows(Touches *touches, const Instruction *instruction, const Codelets *codelets,
                 const Operand *operand);

#endif
