/* prove_call: what prove's files about calls share: a call with the bytes that it touches. */
#ifndef PIPEWRIGHT_PROVE_CALL_H
#define PIPEWRIGHT_PROVE_CALL_H

#include "gen/step/prove_state.h"

/* Rows of an operand that belong to one segment, or all of it. */
typedef struct Span {
    const CodeletOperand *operand;
    int                   name;    /* number of the operand's name                              */
    int                   segment; /* -1: it does not go by segments                            */
    int64_t               at, past;
    int64_t               first; /* the sequence's token in its first row                       */
} Span;

typedef struct Call {
    Site           site;
    const Codelet *codelet;
    Span          *spans;
    int            nspans, room;
    int            weight, layer; /* of an update: whose gradient it reads                      */
    const CallSegment *segments;  /* the call's own, or found in what it reads                  */
    int                nsegments;
} Call;

/* Fills in the spans; false: the call is not well made, or an operand that it writes lies over
 * another one. */
bool call_find_spans(Call *call);

#endif
