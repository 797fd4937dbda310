/* job: what the user's Lua file says, every field resolved, with its origin.
 *   made by    parse (runs the file in the sandbox);  read by everything once per job
 *   printed    as JSON (`show --form job`), which reads back
 * lua/job.lua checks and fills in defaults; this is the same tree in C. */
#ifndef PIPEWRIGHT_JOB_H
#define PIPEWRIGHT_JOB_H

#include <jansson.h>

#include "gen/forms/model.h"

typedef enum DataKind { DATA_TEXT, DATA_JSONL, DATA_TOKEN_SET, DATA_LENGTHS } DataKind;
typedef enum LongDocuments { LONG_SPLIT, LONG_CUT, LONG_ERROR } LongDocuments;
typedef enum CurveKind { CURVE_CONSTANT, CURVE_COSINE, CURVE_WSD } CurveKind;

typedef struct JobData {
    DataKind      kind;
    const char   *path; /* folder, glob, file, or prefix; relative to the job's folder      */
    const char   *text_key, *prompt_key, *completion_key; /* JSONL                             */
    int64_t       context; /* tokens                                                           */
    LongDocuments too_long;
    double        held_out; /* share of documents                                              */
} JobData;

typedef struct JobTrain {
    int64_t     batch_tokens;    /* > 0: fill up to so many tokens                               */
    int64_t     batch_sequences; /* > 0: so many sequences; exactly one of the two is set        */
    int64_t     steps;
    uint64_t    seed;
    double      clip; /* 0: none                                                                 */
    double      learning_rate, weight_decay, beta1, beta2, epsilon;
    CurveKind   curve;
    int64_t     warmup, decay; /* steps; decay: of WSD                                           */
    double      final_rate;
    int64_t     save_every, evaluate_every; /* 0: never                                          */
    int64_t     save_keep, save_keep_every; /* the newest so many; every so many-th, 0: none     */
    const char *from; /* Hugging Face folder to start from, or NULL                            */
} JobTrain;

typedef struct Job {
    const char *path, *folder; /* of the Lua file                                              */
    const char *source_hash;   /* of the Lua file and what it included                         */
    const char *tree;          /* all of it as JSON, as lua/job.lua returned it; its "origin"  */
                               /* says where each field is: "train.steps": "longdocs.lua:8"    */
    Model       *model;
    JobData      data;
    int          nranks, nstages;
    double      *stage_layers;   /* [nstages + 1] borders, or NULL: divide by cost                */
    const char  *device;         /* "cpu"                                                         */
    int          real_bytes;     /* cluster.precision: 4 float, 8 double                          */
    int64_t      memory;         /* bytes of one rank                                             */
    const char  *policy;         /* name, or a path ending in .lua                                */
    const char  *policy_options; /* JSON text                                                   */
    JobTrain     train;
    const char **sets; /* the --set FIELD=VALUE, as given; ends in NULL                        */
} Job;

/* Runs the file in the sandbox. `sets`: FIELD=VALUE texts, ended by NULL, may be NULL. */
Job *job_parse(Region *region, const char *path, const char *const *sets, Error *error);

/* The job of a resolved tree; `name` stands in errors. */
Job *job_from_tree(Region *region, const json_t *tree, const char *name, Error *error);
/* What job_print printed. */
Job *job_read(Region *region, const char *text, const char *name, Error *error);
void job_print(const Job *job, Text *out); /* JSON: the tree */

/* Calls `field` with the dotted name and the value of each field of the job language, as printed:
 * "train.optimizer.lr", "0.001". Where the job's files are is none. */
void job_fields(const Job *job, void (*field)(void *context, const char *name, const char *value),
                void      *context);

/* Where the job says a field, "train.steps": a line of a file, or "--set"; the job's file where it
 * was left to its default. */
Place job_place(Region *region, const Job *job, const char *field);

#endif
