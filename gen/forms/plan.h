/* plan: the four decisions of one step and nothing else, `pipewright-plan-1`.
 *   made by    decide (runs the policy), or read from a file;  read by expand, predict, pictures
 *   printed    as JSON, docs/PLAN.md, which reads back */
#ifndef PIPEWRIGHT_PLAN_H
#define PIPEWRIGHT_PLAN_H

#include <jansson.h>

#include "gen/forms/batch.h"
#include "gen/forms/layout.h"

typedef struct Segment {
    int     sequence;
    int64_t start, length; /* tokens                                                           */
} Segment;

typedef struct Chunk {
    int      pipeline;
    Segment *segments; /* at most one of a sequence                                            */
    int      nsegments;
    int64_t  tokens;
    uint8_t *recompute; /* [layers] Level                                                      */
} Chunk;

typedef struct PlanStage {
    int *ranks; /* [nranks]; more than one: is refused, "not yet"                              */
    int  nranks;
    int  first, past; /* half layers                                                           */
} PlanStage;

typedef struct Pipeline {
    PlanStage  *stages;
    int         nstages;
    const char *weights;    /* "resident"                                                      */
    const char *vocabulary; /* "last"                                                          */
} Pipeline;

typedef struct PlanOperation {
    char letter; /* 'F' 'B' 'W' 'R' 'H'                                                        */
    int  chunk;
    int  stage; /* of the chunk's pipeline; always filled in, also where the text leaves it out */
} PlanOperation;

typedef struct Order {
    PlanOperation *operations;
    int            count;
} Order;

/* What `--with-costs` adds: docs/PLAN.md. Arrays over the stages of the chunk's pipeline. */
typedef struct ChunkCosts {
    double *forward, *backward, *weight, *transfer;
    double (*rebuild)[3];
    int64_t (*keep)[4];
    int64_t *held, *grow, *shrink, *scratch;
} ChunkCosts;

typedef struct PlanCosts {
    ChunkCosts *chunks;
    int64_t    *static_bytes, *capacity; /* [nranks]                                           */
    double      end;       /* what the step takes beyond the rule's last end                */
    double      least_end; /* of any order of these chunks; for the bound, not printed         */
} PlanCosts;

typedef struct Prediction {
    double   seconds, bound, bubble; /* seconds < 0: not predicted                             */
    int64_t *peak_bytes; /* [nranks]; NULL: not known                                          */
} Prediction;

typedef struct Plan {
    int64_t     step;
    const char *policy, *options; /* options: JSON text, or NULL                               */
    const char *tries;            /* what the driver gave up on the way, or NULL               */
    int64_t    *sequences;        /* lengths                                                   */
    int         nsequences;
    int         nranks;
    int64_t     layers; /* of the model: the length of every Chunk.recompute                   */
    int        *homes;  /* as Layout.homes, or NULL: the layout's                               */
    Pipeline   *pipelines;
    int         npipelines;
    Chunk      *chunks;
    int         nchunks;
    Order      *order; /* [nranks]                                                             */
    Prediction  predicted;
    PlanCosts  *costs; /* NULL: not asked for                                                  */
} Plan;

/* One plan from JSON text; `name` stands in error messages. Checks the form (unknown fields, types,
 * ranges); plan_check checks that it makes sense for this model, batch and layout: every token in
 * exactly one chunk, layers covered, orders complete and without a cycle, chains in order. */
Plan *plan_read(Region *region, const char *text, const char *name, int64_t layers, Error *error);
Plan *plan_from_json(Region *region, const json_t *tree, const char *name, int64_t layers,
                     Error *error);
void  plan_print(const Plan *plan, Text *out); /* one line, no newline at its end */
bool  plan_check(const Plan *plan, const Model *model, const Batch *batch, const Layout *layout,
                 Error *error);
/* Of a plan that lacks chunks or orders, what its costs rest on: every layer in one stage, at most
 * one segment of a sequence in a chunk. */
bool plan_check_parts(const Plan *plan, Error *error);

const Pipeline *plan_pipeline(const Plan *plan, int chunk); /* that the chunk flows through */
/* The stages of the pipeline that this rank holds: how many, and the first of them. */
int plan_stages_on_rank(const Pipeline *pipeline, int rank, int *first);

/* "F3", and "F3.1" where the rank holds several stages of the chunk's pipeline. */
void plan_operation_print(const Plan *plan, int rank, const PlanOperation *operation, Text *out);

#endif
