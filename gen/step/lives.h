/* lives: how long each part of each buffer of a rank is needed. */
#ifndef PIPEWRIGHT_LIVES_H
#define PIPEWRIGHT_LIVES_H

#include "gen/forms/program.h"

/* Fills in Buffer.parts of all buffers that are not static, and Instruction.live. What a receive
 * opens lives from its post, what is sent until `sent`; losses and sampled tokens until the end,
 * where the runtime reads them. */
void find_lives(Region *region, RankProgram *rank, const Codelets *codelets);

/* Bytes of the arena that a part takes, from the start of its buffer. */
int64_t part_start(const Buffer *buffer, const BufferPart *part);
int64_t part_past(const Buffer *buffer, const BufferPart *part);

/* The largest sum of live bytes, static part included, and the first instruction with so many: no
 * placement needs less. */
int64_t largest_live_bytes(const RankProgram *rank, int *instruction);

#endif
