/* machine: what the files of the slow interpreter share: the step's results, and the machine that
 * runs a program. */
#ifndef PIPEWRIGHT_MACHINE_H
#define PIPEWRIGHT_MACHINE_H

#include "tests/oracle/algebra.h"
#include "tests/oracle/interpreter.h"

typedef struct Tensor { /* a weight of a layer, and where its state lies at home                  */
    int                 weight, layer, home;
    const StaticBuffer *master, *moment1, *moment2;
    uint32_t            result[3]; /* of those three, after the step                              */
} Tensor;

struct Oracle {
    const Codelets *codelets;
    const Model    *model;
    const Layout   *layout;
    const Batch    *batch;
    Quantity      **quantities; /* [codelet][operand]                                             */
    Tensor         *tensors;    /* [ntensors], in the order of norms                              */
    int             ntensors;
    uint32_t       *losses; /* [nsequences]                                                       */
};

typedef struct Message {
    int       receive; /* instruction of the receiver; -1: not reached                            */
    int       send;    /* of the sender                                                           */
    bool      done;
    uint32_t *bytes; /* what a buffered send has taken; NULL: it still lies with the sender       */
} Message;

typedef struct Channel {
    Message *messages;
    int      count, sends, receives, done;
} Channel;

typedef struct MachineRank {
    uint32_t *words;
    int64_t   nwords;
    int       at;
    int      *entry; /* [ninstructions] place of a send or receive in its channel                 */
    bool      ended;
} MachineRank;

typedef struct Machine {
    const Oracle  *oracle;
    const Program *program;
    MachineRank   *ranks;
    Channel       *channels; /* [from * nranks + to]                                              */
    bool        buffered; /* a send takes its bytes at once                                       */
    bool        lazy;     /* messages move only when no rank can                                  */
    uint64_t    random;
    const char *wrong; /* NULL: nothing yet                                                    */
    int         rank;  /* whose instruction runs                                               */
    Region     *region;
} Machine;

typedef struct Bytes {
    uint32_t *words; /* NULL: there are none                                                      */
    int64_t   count; /* of words                                                                  */
} Bytes;

/* The clipping factor, from all norms by number and all losses by sequence. */
uint32_t clip_start(void);
uint32_t sequence_loss(int sequence, uint32_t loss);

void     go_wrong(Machine *machine, const char *why);
void     make_garbage(Machine *machine, uint32_t *words, int64_t count);
uint32_t losses_in(const Machine *machine, const uint32_t *words, int64_t count);
void     run_call(Machine *machine, const Instruction *call);
/* Words at an address of a rank; NULL, and wrong, if they are not all in its arena. */
uint32_t *words_at(Machine *machine, int rank, int64_t at, int64_t bytes);
Bytes     rows_of(Machine *machine, int buffer, int64_t row, int64_t rows);
Bytes     one_row(Bytes all, int64_t rows, int64_t row);

#endif
