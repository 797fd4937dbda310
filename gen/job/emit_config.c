/* emit_config: the model's description as Hugging Face's tools read it, config.json; reference: the
 * config classes of transformers. Both forms of RoPE's parameters and both names of the number
 * format are written, since version 5 renamed them. */
#include <string.h>

#include "gen/job/emit.h"

static const struct {
    const char *family, *architecture, *model_type;
} families[] = {
    {"llama", "LlamaForCausalLM", "llama"},
};

/* The scaling's own fields, each after a comma. */
static void add_scaling(const RopeScaling *rope, Text *out)
{
    const struct {
        const char *type, *key;
        double      value;
    } fields[] = {
        {"linear", "factor", rope->factor},
        {"llama3", "factor", rope->factor},
        {"llama3", "low_freq_factor", rope->low_frequency},
        {"llama3", "high_freq_factor", rope->high_frequency},
        {"llama3", "original_max_position_embeddings", (double)rope->original_context},
        {"yarn", "factor", rope->factor},
        {"yarn", "attention_factor", rope->attention_factor},
        {"yarn", "beta_fast", rope->beta_fast},
        {"yarn", "beta_slow", rope->beta_slow},
        {"yarn", "original_max_position_embeddings", (double)rope->original_context},
    };
    for (int i = 0; i < COUNT(fields); i++) {
        bool whole = strstr(fields[i].key, "original") != NULL;
        if (strcmp(fields[i].type, rope->type) == 0 && fields[i].value != 0) /* 0: by the rule */
            text_add(out, ", \"%s\": %s", fields[i].key,
                     whole ? region_format(out->region, "%.0f", fields[i].value)
                           : text_double(out->region, fields[i].value));
    }
}

static void add_rope(const Model *model, Text *out)
{
    text_add(out, "  \"rope_theta\": %s,\n", text_double(out->region, model->rope_theta));
    if (strcmp(model->rope.type, "default") == 0) {
        text_add(out, "  \"rope_scaling\": null,\n");
    } else {
        text_add(out, "  \"rope_scaling\": {\"rope_type\": \"%s\", \"type\": \"%s\"",
                 model->rope.type, model->rope.type);
        add_scaling(&model->rope, out);
        text_add(out, "},\n");
    }
    text_add(out, "  \"rope_parameters\": {\"rope_type\": \"%s\", \"rope_theta\": %s",
             model->rope.type, text_double(out->region, model->rope_theta));
    add_scaling(&model->rope, out);
    text_add(out, "},\n");
}

void emit_config(const Model *model, Text *out)
{
    int family = 0;
    while (strcmp(families[family].family, model->family) != 0)
        if (++family == COUNT(families))
            bug("family %s has no name in Hugging Face's tools", model->family);
    const struct {
        const char *key;
        int64_t     value;
    } numbers[] = {
        {"vocab_size", model->vocabulary},     {"hidden_size", model->hidden},
        {"intermediate_size", model->ffn},     {"num_hidden_layers", model->layers},
        {"num_attention_heads", model->heads}, {"num_key_value_heads", model->kv_heads},
        {"head_dim", model->head_dim},         {"max_position_embeddings", model->context},
    };
    text_add(out, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
             families[family].architecture, families[family].model_type);
    for (int i = 0; i < COUNT(numbers); i++)
        text_add(out, "  \"%s\": %lld,\n", numbers[i].key, (long long)numbers[i].value);
    text_add(out, "  \"rms_norm_eps\": %s,\n", text_double(out->region, model->epsilon));
    add_rope(model, out);
    text_add(out, "  \"tie_word_embeddings\": %s,\n", model->tied ? "true" : "false");
    if (strcmp(model->tokenizer, "bytes") == 0) /* its last id ends a document */
        text_add(out, "  \"eos_token_id\": %lld,\n", (long long)model->vocabulary - 1);
    else
        text_add(out, "  \"eos_token_id\": null,\n");
    text_add(out, "  \"bos_token_id\": null,\n  \"pad_token_id\": null,\n"
                  "  \"hidden_act\": \"silu\",\n  \"initializer_range\": 0.02,\n"
                  "  \"attention_bias\": false,\n  \"attention_dropout\": 0.0,\n"
                  "  \"mlp_bias\": false,\n  \"use_cache\": true,\n"
                  "  \"torch_dtype\": \"float32\",\n  \"dtype\": \"float32\"\n}\n");
}
