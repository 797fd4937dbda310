/* program_format.h: the stored program of one step, and the file that holds many of them. The one
 * header that the compiler and the runtime share. Little-endian; every offset is bytes from the
 * start of the program (or of the ring); all structures are multiples of 8 bytes.
 *
 *   PwProgram
 *   PwRank           [nranks]
 *   then, for each rank, the arrays that its PwRank names, and the text that names lie in
 *   global order     [norder] PwOrder: all ranks' instructions in one order that respects messages
 */
#ifndef PW_PROGRAM_FORMAT_H
#define PW_PROGRAM_FORMAT_H

#include <stdint.h>

#include "runtime/kernel.h"

#define PW_PROGRAM_MAGIC "pwprog2"
#define PW_RING_MAGIC "pwring2"

/* Fields and meaning: instructions.def. */
typedef enum PwInstructionKind {
#define PW_INSTRUCTION(kind, name, meaning) kind,
#include "runtime/instructions.def"
#undef PW_INSTRUCTION
    PW_NINSTRUCTIONS
} PwInstructionKind;

typedef enum PwProgramKind { PW_TRAIN, PW_EVALUATE, PW_GENERATE } PwProgramKind;

typedef struct PwProgram {
    char     magic[8];
    uint64_t bytes; /* of all of it                                                            */
    int64_t  step;  /* counts from 0                                                           */
    int32_t  kind;  /* PwProgramKind                                                           */
    int32_t  nranks, nsequences, ntokens;
    double   weight;            /* sum of the loss weights of the batch: the loss's denominator */
    double   predicted_seconds; /* what simulate says; 0: not known                            */
    uint64_t ranks;             /* offset of PwRank[nranks]                                    */
    uint64_t order, norder;     /* offset and count of PwOrder                                 */
    int64_t  position;          /* data position after this step: sequences taken since start  */
    uint64_t loss_sequence;     /* offset of int32_t [nlosses]: the sequence of each loss row   */
    int64_t  nlosses;           /* a row for every segment of every chunk, by chunk             */
    char     plan_hash[64];     /* SHA-256 of the plan's JSON, hexadecimal, no 0 at the end    */
} PwProgram;

typedef struct PwRank {
    uint64_t instructions, ninstructions; /* PwInstruction                                     */
    uint64_t operands, noperands;         /* PwOperand                                         */
    uint64_t buffers, nbuffers;           /* PwBuffer: for listings, proofs and watermarks     */
    uint64_t segments, nsegments;         /* PwSegment                                         */
    uint64_t origins;                     /* PwOrigin [nsegments]: for listings and proofs     */
    uint64_t sources, nsources;           /* PwSource                                          */
    uint64_t text, text_bytes;            /* names, each ended by 0                            */
    int64_t  static_bytes;     /* the same in all programs of an artifact: arena [0, static)   */
    int64_t  arena_bytes;      /* the peak: what this program needs, static part included      */
    int64_t  peak_instruction; /* the first instruction at which the peak is in use            */
    int64_t  capacity;
    int64_t  losses; /* address of double [nlosses], complete on every rank when clip runs; in  */
                     /* forward-only programs only on the rank that makes them; else -1        */
    int64_t next;    /* generate, on the rank that samples: address of int32_t [nnext]; else -1 */
    int64_t nnext;
} PwRank;

/* One instruction. Which fields a kind uses: instructions.def. */
typedef struct PwInstruction {
    uint8_t  kind;    /* PwInstructionKind                                                     */
    uint8_t  flags;   /* PW_CALL_*                                                             */
    uint16_t codelet; /* index in the codelet table                                            */
    int32_t  peer;    /* send, sent, receive, wait: the other rank; mark: the stage            */
    int32_t  layer;   /* 0 .. layers - 1; embedding -1; head: layers; -2: none                 */
    int32_t  chunk;   /* chunk of the plan; -1: none                                           */
    int32_t  message; /* send, sent, receive, wait: number within this rank, pairs them up     */
    int32_t  tokens;  /* rows of the chunk                                                     */
    uint32_t operand, noperands; /* first and count in the rank's operands                     */
    uint32_t segment, nsegments;
    uint32_t source, nsources;
    int32_t  operation; /* mark: index of the operation in the plan's order of this rank       */
    char     letter[4]; /* mark: 'F', 'B', 'W', 'R', 'H', 'E' (end of step), then zeros        */
    int64_t  count;     /* elements of update, grad_norm, add, clear                           */
    double   predicted; /* seconds that the cost table expects; 0: none                        */
    int64_t  live; /* bytes of the arena that are in use here, static part included            */
} PwInstruction;

/* Rows of a buffer that an instruction touches. */
typedef struct PwOperand {
    int64_t address; /* bytes from the start of the arena, of the first row; -1: goes by segments */
    int64_t bytes;   /* row_bytes * rows                                                       */
    int32_t buffer;  /* index in the rank's buffers; -1: none                                  */
    int32_t access;  /* PwAccess                                                               */
} PwOperand;

typedef enum PwAccess { PW_READ, PW_WRITE, PW_ADD } PwAccess;

/* What a segment's addresses belong to: buffers by index (-1: none), the sequence in the batch. */
typedef struct PwOrigin {
    int32_t kv, dkv, sequence, unused;
} PwOrigin;

typedef struct PwBuffer {
    uint64_t name; /* offset of its name in the rank's text                                    */
    int64_t  offset, bytes, row_bytes, rows;
    int64_t  is_static;
} PwBuffer;

/* Where a row of tokens comes from: `load` reads tokens[start, start + tokens) of the document as
 * inputs and the tokens one further as targets; a target beyond the document has loss weight 0. */
typedef struct PwSource {
    int64_t document, start; /* start: tokens from the document's first                       */
    int32_t row, tokens;     /* rows of the chunk that they fill                              */
    int32_t sequence;        /* number in the batch                                           */
    int32_t context;         /* position of the first token in its sequence                   */
} PwSource;

typedef struct PwOrder {
    int32_t rank, instruction;
} PwOrder;

/* The ring of programs: one file, mapped shared by planner and trainer. A finished file (build
 * --steps N) has `slots` = N and `finished` = 1; nothing is ever overwritten in it. In a live ring
 * the program of step t is in slot t % slots; the planner overwrites a slot, and the bytes that it
 * names, only when `consumed` says that the trainer is past it. Counters only grow. */
typedef struct PwSlot {
    int64_t  step;
    uint64_t offset, bytes; /* in the file; aligned to 64                                      */
    char     hash[64];      /* SHA-256 of the bytes, hexadecimal                               */
} PwSlot;

typedef struct PwRing {
    char     magic[8];
    uint64_t slots, data, data_bytes; /* number of slots; offset and size of the programs' part */
    int64_t  first_step;
    _Alignas(64) _Atomic int64_t written; /* steps [first_step, written) have been appended    */
    _Atomic int32_t finished;             /* 1: no more will come; -1: the planner failed      */
    int32_t         status;               /* the exit status for which that failure stands        */
    _Alignas(64) _Atomic int64_t consumed; /* steps before this one may be overwritten          */
    _Alignas(64) char message[4096];       /* of a planner that failed                          */
    /* then PwSlot [slots] */
} PwRing;

#endif
