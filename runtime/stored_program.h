/* stored_program: reading a stored program where it lies. pw_program_check is the door: after it
 * every index and address is in range, and the executor checks nothing. That a call's operands are
 * what its codelet needs is proven when the program is made, and not looked at again. */
#ifndef PW_STORED_PROGRAM_H
#define PW_STORED_PROGRAM_H

#include "runtime/failure.h"
#include "runtime/program_format.h"
#include "runtime/trainer.h"

bool pw_program_check(const void *bytes, uint64_t count, const PwJob *job, const char *name,
                      PwError *error);

static inline const PwRank *pw_program_rank(const PwProgram *program, int rank)
{
    return (const PwRank *)(const void *)((const char *)program + program->ranks) + rank;
}

static inline const PwInstruction *pw_rank_instructions(const PwProgram *program,
                                                        const PwRank    *rank)
{
    return (const PwInstruction *)(const void *)((const char *)program + rank->instructions);
}

static inline const PwOperand *pw_rank_operands(const PwProgram *program, const PwRank *rank)
{
    return (const PwOperand *)(const void *)((const char *)program + rank->operands);
}

static inline const PwSegment *pw_rank_segments(const PwProgram *program, const PwRank *rank)
{
    return (const PwSegment *)(const void *)((const char *)program + rank->segments);
}

static inline const PwSource *pw_rank_sources(const PwProgram *program, const PwRank *rank)
{
    return (const PwSource *)(const void *)((const char *)program + rank->sources);
}

/* One more than the highest message number. */
int64_t pw_rank_messages(const PwProgram *program, const PwRank *rank);

/* "wait from rank 1 (message 3)", "pre_forward_all, layer 2, chunk 0": for messages and traces. */
void pw_describe(const PwInstruction *instruction, const PwJob *job, char *text, int room);

const char *pw_instruction_name(int kind);

#endif
