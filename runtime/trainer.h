/* trainer.h: what an artifact's emitted code tells the runtime about the job. emit_c prints one
 * `pw_job` (job.c of the artifact); everything in it is constant. */
#ifndef PW_TRAINER_H
#define PW_TRAINER_H

#include "runtime/kernel.h"

/* Rows of a static buffer that are one Hugging Face tensor (qkv is three). */
typedef struct PwTensor {
    const char *name; /* "model.layers.3.self_attn.q_proj.weight"                              */
    int32_t     rank; /* its home                                                              */
    int64_t     rows, columns; /* columns 0 or 1: a vector, as gains are                       */
    int64_t     weight, gradient, moment1, moment2; /* addresses in the rank's arena           */
    double      deviation; /* of its first values; 0: ones                                     */
} PwTensor;

typedef struct PwCodeletEntry {
    const char *name;
    PwCodelet   run;
} PwCodeletEntry;

/* A field of the job, or what else the trainer depends on, and what it was. */
typedef struct PwField {
    const char *name, *value; /* "train.seed", "3"                                             */
} PwField;

typedef struct PwTable { /* RoPE's cosines and sines                                           */
    int32_t rank;
    int64_t address;
} PwTable;

/* A training step whose program was printed as C. */
struct PwStep;
typedef struct PwStepCode {
    const char *hash;                          /* SHA-256 of the program that it was printed from */
    void (*const *ranks)(struct PwStep *step); /* [nranks]                                        */
} PwStepCode;
extern const PwStepCode
    pw_step_code[]; /* of an artifact that was built --as-code                  */

typedef struct PwJob {
    const char *name;     /* of the job file                                                  */
    const char *job_hash; /* what must be the same to go on from a saved state: model, data, seed */
    const char *code_hash;   /* of the emitted sources; another one is noted                     */
    const char *data_hash;   /* of the token set's .idx; "": any is right                       */
    const char *tokens_hash; /* of its .bin; "" where that was not there when this was built    */
    const char *prompt_hash; /* of its .prompt; "" where it has none                            */
    int32_t     nranks;
    int64_t     heads, kv_heads, head_dim, vocabulary, context;
    int32_t     tied;
    const int64_t  *static_bytes; /* [nranks]                                                   */
    const int64_t  *capacity;     /* [nranks]                                                   */
    const PwTensor *tensors;      /* saved, loaded and exported under these names               */
    int32_t         ntensors;
    const PwTable  *tables; /* [ntables]                                                       */
    int32_t         ntables;
    const PwField  *fields; /* [nfields] kept by saved states, to tell what changed            */
    int32_t         nfields;
    const double   *rope_frequency; /* [head_dim / 2]                                          */
    double          rope_factor;
    const PwCodeletEntry *codelets;
    int32_t               ncodelets;
    const PwStepCode     *step_code; /* [nstep_code], from step 0; none: programs are walked     */
    int64_t               nstep_code;
    /* training */
    int64_t  steps, save_every, save_keep, save_keep_every, evaluate_every;
    uint64_t seed;
    double   clip, learning_rate, weight_decay, beta1, beta2, epsilon;
    int32_t  curve; /* 0 constant, 1 cosine, 2 wsd                                              */
    int64_t  warmup, decay;
    double   final_rate;
    double   useful_flops_per_token; /* without attention; for "% of peak"                     */
    const char *config_json;         /* Hugging Face config.json of this model, whole text     */
} PwJob;

extern const PwJob pw_job;

#endif
