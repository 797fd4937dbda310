/* toy_trainer: a job small enough to make its programs by hand: two vectors of TOY_ROWS numbers, a
 * (first rank) and b (last rank). For each token, prediction = a[token] b[target], loss = its
 * squared distance from 2. On two ranks the products cross as messages; on one they stay. */
#ifndef TOY_TRAINER_H
#define TOY_TRAINER_H

#include "runtime/stored_program.h"

enum { TOY_ROWS = 8, TOY_CAPACITY = 1 << 16, TOY_ARENA = 8192, TOY_TOKENS = 16 };

/* What the toy's codelets do beside their work, at one step of the next trainings. */
typedef struct ToyMischief {
    long long step; /* -1: never                                                               */
    int       kind; /* one of those below                                                      */
} ToyMischief;
enum {
    TOY_NOT_FINITE = 1,
    TOY_SIGNAL,
    TOY_HANG,
    TOY_KILL,
    TOY_LENGTHEN,
    TOY_FULL, /* metrics.jsonl finds no room on its disk from there on                         */
};
extern ToyMischief toy_mischief;
extern const char *toy_lengthened; /* the file that TOY_LENGTHEN appends a byte to */

const PwJob *toy_job(int nranks); /* 1 or 2 */

/* One step's program. `weightless`: its tokens count for nothing. Returns bytes; free() them. */
unsigned char *toy_program(int nranks, long long step, bool weightless, size_t *bytes);

/* A finished ring of `steps` programs; step `weightless` (-1: none) counts for nothing. */
void toy_ring(const char *path, int nranks, int steps, int weightless);

/* A token set of documents of TOY_TOKENS + 1 tokens, one for each step. */
void toy_tokens(const char *prefix, int documents);

/* A new folder under the system's one for such things; it goes when the process ends. */
void toy_folder(char path[64]);

#endif
