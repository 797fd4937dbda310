/* step_code.h: the words of a training step that was printed as C (code/step_T.c, `build
 * --as-code`): one call an instruction, with its number in the program, every address a literal
 * from the start of the arena. A function has `step` and `a`, the arena; HEADS and KV_HEADS.
 * The words have no pw_ before them: a step is thousands of lines of them and nothing else, and no
 * other source includes this. */
#ifndef PW_STEP_CODE_H
#define PW_STEP_CODE_H

#include <string.h>

#include "runtime/executor.h"

#define INSTRUCTION(number, action)                                                                \
    do {                                                                                           \
        pw_begin(step, number);                                                                    \
        action;                                                                                    \
        pw_end(step, number);                                                                      \
    } while (0)

/* What follows the codelet are fields of PwCall; those of the job are added here. */
#define CALL(number, codelet, ...)                                                                 \
    INSTRUCTION(number, codelet(&(PwCall){.arena      = a,                                         \
                                          .heads      = HEADS,                                     \
                                          .kv_heads   = KV_HEADS,                                  \
                                          .vocabulary = VOCABULARY,                                \
                                          .step       = step->numbers,                             \
                                          __VA_ARGS__});                                           \
                TRANSPORT->poll(TRANSPORT))
#define LOAD(number, sources, nsources, tokens, inputs, targets, weights)                          \
    INSTRUCTION(number, pw_do_load(step, sources, nsources, tokens, (void *)(inputs),              \
                                   (void *)(targets), (void *)(weights)))
#define SEND(number, to, message, from, bytes)                                                     \
    INSTRUCTION(number, TRANSPORT->send(TRANSPORT, RANK, to, message, from, bytes))
#define SENT(number, message) INSTRUCTION(number, TRANSPORT->sent(TRANSPORT, RANK, message))
#define RECEIVE(number, from, message, to, bytes)                                                  \
    INSTRUCTION(number, TRANSPORT->receive(TRANSPORT, RANK, from, message, to, bytes))
#define WAIT(number, message) INSTRUCTION(number, TRANSPORT->wait(TRANSPORT, RANK, message))
#define ADD(number, type, to, from, count)                                                         \
    INSTRUCTION(number, pw_add_##type((void *)(to), (const void *)(from), count))
#define CLEAR(number, to, bytes) INSTRUCTION(number, memset(to, 0, bytes))
#define MARK(number) INSTRUCTION(number, )

#define TRANSPORT step->worker->transport
#define RANK step->worker->rank

#endif
