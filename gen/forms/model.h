/* model: the forward operations of one family with one job's shapes, cut into parts.
 *   made by    parse, from lua/models/NAME.lua
 *   read by    differentiate, emit, expand, prove, pack, the runtime's weights (through the
 * artifact) printed    as a table of weights and operations, which reads back A model is: embed,
 * then `layers` times (pre, core, post), then head. Whatever may cross ranks crosses between
 * parts. */
#ifndef PIPEWRIGHT_MODEL_H
#define PIPEWRIGHT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"
#include "gen/base/text.h"

typedef enum Part { PART_EMBED, PART_PRE, PART_CORE, PART_POST, PART_HEAD, NPARTS } Part;
extern const char *const part_names[NPARTS]; /* "embed", "pre", "core", "post", "head" */

/* One parameter matrix or vector as the codelets see it. It may be several Hugging Face tensors one
 * below the other (qkv = q_proj, k_proj, v_proj). [rows][columns], row-major, y = x W^T. */
typedef struct ModelTensor {
    const char *name; /* Hugging Face name; "%d" stands for the layer */
    int64_t     rows;
} ModelTensor;

typedef struct ModelWeight {
    const char        *name; /* "qkv"; unique in the model                                     */
    Part               part;
    int64_t            rows, columns; /* a gain has rows = 1                                   */
    const ModelTensor *tensors;       /* [ntensors], their rows add up to `rows`               */
    int                ntensors;
    double             deviation; /* of the normal first values; 0: all ones                   */
    bool               decays;    /* weight decay applies                                      */
    int                tied;      /* index of the weight whose values it shares, or -1         */
} ModelWeight;

/* A value that operations make and use; a row a token. */
typedef struct ModelValue {
    const char *name;
    Part        part;    /* the part that makes it                                             */
    int64_t     columns; /* elements a row                                                     */
} ModelValue;

enum { MODEL_MAX_OPERANDS = 6 };

/* Applies one entry of templates/kernels.def. Operands in the order of that entry: values by index
 * (>= 0), weights as -1 - index. */
typedef struct ModelOperation {
    const char *kernel; /* the operation's name in kernels.def: "rmsnorm", "matmul", ...       */
    Part        part;
    int         inputs[MODEL_MAX_OPERANDS], ninputs;
    int         outputs[MODEL_MAX_OPERANDS], noutputs;
} ModelOperation;

typedef struct RopeScaling {
    const char *type; /* "default", "linear", "llama3", "yarn"                                 */
    double      factor, low_frequency, high_frequency, attention_factor, beta_fast, beta_slow;
    int64_t     original_context;
} RopeScaling;

/* A line of config.json, Hugging Face's description of the model. */
typedef struct ModelConfig {
    const char *key, *json; /* the value: JSON without blanks                                  */
} ModelConfig;

typedef struct Model {
    const char *family; /* "llama": lua/models/NAME.lua                                        */
    int64_t     layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary, context;
    bool        tied;    /* the head shares the embedding's values                          */
    double      epsilon; /* of RMSNorm                                                      */
    double      rope_theta;
    RopeScaling rope;
    const char *tokenizer; /* "bytes", or "none": token sets only                              */

    ModelWeight    *weights; /* embed's and head's once; pre's and post's per layer            */
    int             nweights;
    ModelValue     *values; /* the layer's input is value "input" of part embed                */
    int             nvalues;
    ModelOperation *operations;
    int             noperations;
    ModelConfig    *config; /* by key                                                      */
    int             nconfig;
} Model;

Model *model_read(Region *region, const char *text, const char *name, Error *error);
void   model_print(const Model *model, Text *out);
bool   model_check(const Model *model, Error *error);

int     model_weight(const Model *model, const char *name); /* index or -1 */
int     model_value(const Model *model, const char *name);  /* index or -1 */
int64_t model_parameters(const Model *model);
int64_t model_flops_per_token(const Model *model, Part part); /* useful, forward, no attention */

/* RoPE's frequencies, fp32 rounded as Hugging Face computes them: frequency [head_dim / 2]. The
 * factor on cos and sin (YaRN) is returned. Source: transformers' modeling_rope_utils, reference
 * R5. */
double model_rope(const Model *model, double *frequency);

/* A dimension under the name that an artifact's shapes.h gives it, or its digits. */
const char *model_shape_name(Region *region, const Model *model, int64_t size);

#endif
