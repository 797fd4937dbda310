/* tiny_model: see the header. The order of operands is that of PW_OPERATION in kernels.def; the
 * layer's output is the value "input" again, that of the next layer. */
#include "tests/support/tiny_model.h"

enum { TABLE, ATTN_NORM, QKV, O, FFN_NORM, GATE_UP, DOWN, FINAL_NORM, LM_HEAD, NWEIGHTS };

enum {
    V_INPUT,
    V_NORMED,
    V_SCALE,
    V_QKV,
    V_Q,
    V_KV,
    V_ATTENDED,
    V_LSE,
    V_PROJECTION,
    V_HIDDEN,
    V_NORMED2,
    V_SCALE2,
    V_GATE_UP,
    V_ACT,
    V_MLP,
    V_FINAL_NORMED,
    V_FINAL_SCALE,
    NVALUES
};

#define WEIGHT(index) (-1 - (index))
#define OPERATION(name, where, in, out)                                                            \
    (ModelOperation)                                                                               \
    {                                                                                              \
        .kernel = name, .part = where, .inputs = {UNPACK in},                                      \
        .ninputs = (int)(sizeof((int[]){UNPACK in}) / sizeof(int)), .outputs = {UNPACK out},       \
        .noutputs = (int)(sizeof((int[]){-1, UNPACK out}) / sizeof(int)) - 1                       \
    }
#define UNPACK(...) __VA_ARGS__

/* A weight made of the tensors whose names and rows are given, NULL after the last. */
static ModelWeight weight(Region *region, const char *name, Part part, int64_t columns,
                          const ModelTensor *tensors)
{
    ModelWeight made = {.name = name, .part = part, .columns = columns, .tied = -1};
    while (tensors[made.ntensors].name)
        made.rows += tensors[made.ntensors++].rows;
    ModelTensor *copy = REGION_ARRAY(region, ModelTensor, made.ntensors);
    for (int i = 0; i < made.ntensors; i++)
        copy[i] = tensors[i];
    made.tensors   = copy;
    made.decays    = made.rows > 1;
    made.deviation = made.decays ? 0.02 : 0;
    return made;
}

#define LAYER(name) "model.layers.%d." name ".weight"
#define TENSORS(...)                                                                               \
    (const ModelTensor[])                                                                          \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

static void add_weights(Region *r, Model *model)
{
    int64_t      h = model->hidden, f = model->ffn, v = model->vocabulary;
    int64_t      q = model->heads * model->head_dim, kv = model->kv_heads * model->head_dim;
    ModelWeight *w = REGION_ARRAY(r, ModelWeight, NWEIGHTS);
    w[TABLE]       = weight(r, "table", PART_EMBED, h, TENSORS({"model.embed_tokens.weight", v}));
    w[ATTN_NORM]   = weight(r, "attn_norm", PART_PRE, h, TENSORS({LAYER("input_layernorm"), 1}));
    w[QKV]         = weight(r, "qkv", PART_PRE, h,
                            TENSORS({LAYER("self_attn.q_proj"), q}, {LAYER("self_attn.k_proj"), kv},
                                    {LAYER("self_attn.v_proj"), kv}));
    w[O]           = weight(r, "o", PART_POST, q, TENSORS({LAYER("self_attn.o_proj"), h}));
    w[FFN_NORM] =
        weight(r, "ffn_norm", PART_POST, h, TENSORS({LAYER("post_attention_layernorm"), 1}));
    w[GATE_UP]      = weight(r, "gate_up", PART_POST, h,
                             TENSORS({LAYER("mlp.gate_proj"), f}, {LAYER("mlp.up_proj"), f}));
    w[DOWN]         = weight(r, "down", PART_POST, f, TENSORS({LAYER("mlp.down_proj"), h}));
    w[FINAL_NORM]   = weight(r, "final_norm", PART_HEAD, h, TENSORS({"model.norm.weight", 1}));
    w[LM_HEAD]      = weight(r, "lm_head", PART_HEAD, h, TENSORS({"lm_head.weight", v}));
    w[LM_HEAD].tied = model->tied ? TABLE : -1;
    model->weights  = w;
    model->nweights = NWEIGHTS;
}

static void add_values(Region *region, Model *model)
{
    int64_t          h = model->hidden, q = model->heads * model->head_dim;
    int64_t          kv       = 2 * model->kv_heads * model->head_dim;
    const ModelValue values[] = {
        [V_INPUT]        = {"input", PART_EMBED, h},
        [V_NORMED]       = {"normed", PART_PRE, h},
        [V_SCALE]        = {"scale", PART_PRE, 1},
        [V_QKV]          = {"qkv", PART_PRE, q + kv},
        [V_Q]            = {"q", PART_PRE, q},
        [V_KV]           = {"kv", PART_PRE, kv},
        [V_ATTENDED]     = {"attended", PART_CORE, q},
        [V_LSE]          = {"lse", PART_CORE, model->heads},
        [V_PROJECTION]   = {"projection", PART_POST, h},
        [V_HIDDEN]       = {"hidden", PART_POST, h},
        [V_NORMED2]      = {"normed2", PART_POST, h},
        [V_SCALE2]       = {"scale2", PART_POST, 1},
        [V_GATE_UP]      = {"gate_up", PART_POST, 2 * model->ffn},
        [V_ACT]          = {"act", PART_POST, model->ffn},
        [V_MLP]          = {"mlp", PART_POST, h},
        [V_FINAL_NORMED] = {"final_normed", PART_HEAD, h},
        [V_FINAL_SCALE]  = {"final_scale", PART_HEAD, 1},
    };
    model->values = REGION_ARRAY(region, ModelValue, NVALUES);
    for (int i = 0; i < NVALUES; i++)
        model->values[i] = values[i];
    model->nvalues = NVALUES;
}

static void add_operations(Region *region, Model *model)
{
    const ModelOperation operations[] = {
        OPERATION("embedding", PART_EMBED, (WEIGHT(TABLE)), (V_INPUT)),
        OPERATION("rmsnorm", PART_PRE, (V_INPUT, WEIGHT(ATTN_NORM)), (V_NORMED, V_SCALE)),
        OPERATION("matmul", PART_PRE, (V_NORMED, WEIGHT(QKV)), (V_QKV)),
        OPERATION("rope", PART_PRE, (V_QKV), (V_Q, V_KV)),
        OPERATION("attention", PART_CORE, (V_Q, V_KV), (V_ATTENDED, V_LSE)),
        OPERATION("matmul", PART_POST, (V_ATTENDED, WEIGHT(O)), (V_PROJECTION)),
        OPERATION("add", PART_POST, (V_PROJECTION, V_INPUT), (V_HIDDEN)),
        OPERATION("rmsnorm", PART_POST, (V_HIDDEN, WEIGHT(FFN_NORM)), (V_NORMED2, V_SCALE2)),
        OPERATION("matmul", PART_POST, (V_NORMED2, WEIGHT(GATE_UP)), (V_GATE_UP)),
        OPERATION("swiglu", PART_POST, (V_GATE_UP), (V_ACT)),
        OPERATION("matmul", PART_POST, (V_ACT, WEIGHT(DOWN)), (V_MLP)),
        OPERATION("add", PART_POST, (V_MLP, V_HIDDEN), (V_INPUT)),
        OPERATION("rmsnorm", PART_HEAD, (V_INPUT, WEIGHT(FINAL_NORM)),
                  (V_FINAL_NORMED, V_FINAL_SCALE)),
        OPERATION("head", PART_HEAD, (V_FINAL_NORMED, WEIGHT(LM_HEAD)), ()),
    };
    model->noperations = COUNT(operations);
    model->operations  = REGION_ARRAY(region, ModelOperation, model->noperations);
    for (int i = 0; i < model->noperations; i++)
        model->operations[i] = operations[i];
}

Model *tiny_model(Region *region, TinyShape shape)
{
    Model *model      = REGION_NEW(region, Model);
    model->family     = "llama";
    model->layers     = shape.layers ? shape.layers : 2;
    model->hidden     = shape.hidden ? shape.hidden : 32;
    model->heads      = shape.heads ? shape.heads : 4;
    model->kv_heads   = shape.kv_heads ? shape.kv_heads : 2;
    model->head_dim   = model->hidden / model->heads;
    model->ffn        = shape.ffn ? shape.ffn : 48;
    model->vocabulary = shape.vocabulary ? shape.vocabulary : 61;
    model->context    = shape.context ? shape.context : 256;
    model->tied       = shape.tied;
    model->epsilon    = 1e-5;
    model->rope_theta = 10000;
    model->rope       = (RopeScaling){.type = "default", .factor = 1, .attention_factor = 1};
    model->tokenizer  = "none";
    add_weights(region, model);
    add_values(region, model);
    add_operations(region, model);
    return model;
}
