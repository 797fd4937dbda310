--- The Llama family (Touvron et al. 2023, arXiv 2302.13971): RMSNorm, RoPE, grouped-query
--- attention, SwiGLU. Forward operations only: backward is derived. A layer is pre, core, post;
--- ranks may meet between them, so an operation belongs to one part.
local llama = {}

--- What a job may say about its shape; `default` where the job says nothing. Read by job.lua.
llama.fields = {
  layers     = { type = "whole", least = 1, most = 4096, required = true },
  hidden     = { type = "whole", least = 1, most = 1 << 20, required = true },
  heads      = { type = "whole", least = 1, most = 1 << 16, required = true },
  kv_heads   = { type = "whole", least = 1, most = 1 << 16 },          -- default: heads
  head_dim   = { type = "whole", least = 2, most = 4096 },             -- default: hidden / heads
  ffn        = { type = "whole", least = 1, most = 1 << 22, required = true },
  vocab      = { type = "vocabulary", required = true },
  tied       = { type = "flag", default = false },
  epsilon    = { type = "number", above = 0, below = 1, default = 1e-5 },
  rope_theta = { type = "number", above = 1, default = 10000 },
  rope_scaling = { type = "group", fields = {
    type             = { type = "word", required = true,
                         words = { "default", "linear", "llama3", "yarn" } },
    factor           = { type = "number", above = 0, default = 1 },
    low_frequency    = { type = "number", above = 0, default = 1 },
    high_frequency   = { type = "number", above = 0, default = 4 },
    original_context = { type = "tokens", default = 8192 },
    attention_factor = { type = "number", least = 0, default = 0 },    -- 0: YaRN's own rule
    beta_fast        = { type = "number", above = 0, default = 32 },
    beta_slow        = { type = "number", above = 0, default = 1 },
  } },
}

--- What depends on other fields. `wrong(field, found, expected, remedy)` ends the reading of the
--- job.
function llama.complete(shape, wrong)
  shape.kv_heads = shape.kv_heads or shape.heads
  if shape.heads % shape.kv_heads ~= 0 then
    wrong("kv_heads", shape.kv_heads,
          "a number that divides heads = " .. shape.heads .. ": a group of heads shares its keys")
  end
  if not shape.head_dim then
    if shape.hidden % shape.heads ~= 0 then
      wrong("heads", shape.heads, "a number that divides hidden = " .. shape.hidden,
            "or give head_dim, the size of a head")
    end
    shape.head_dim = shape.hidden // shape.heads
  end
  if shape.head_dim % 2 ~= 0 then
    wrong("head_dim", shape.head_dim, "an even number: RoPE turns pairs of elements")
  end
  shape.rope_scaling = shape.rope_scaling or { type = "default", factor = 1, attention_factor = 1 }
  local scaling = shape.rope_scaling
  if scaling.type == "llama3" and scaling.high_frequency <= scaling.low_frequency then
    wrong("rope_scaling.high_frequency", scaling.high_frequency,
          "more than low_frequency = " .. scaling.low_frequency)
  end
end

--- Weights by their name in the codelets, with the Hugging Face tensors that lie in them one below
--- the other; "%d" is the layer. `deviation` is of the first values, none means ones.
local function weights(m)
  local q, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
  local layer = "model.layers.%d."
  local normal = 0.02
  local residual = normal / math.sqrt(2 * m.layers)   -- what adds to the residual stream (GPT-2)
  local function matrix(name, part, columns, deviation, tensors)
    local rows = 0
    for _, tensor in ipairs(tensors) do rows = rows + tensor[2] end
    return { name = name, part = part, rows = rows, columns = columns, deviation = deviation,
             decays = true, tensors = tensors }
  end
  local function gain(name, part, tensor)
    return { name = name, part = part, rows = 1, columns = m.hidden, deviation = 0, decays = false,
             tensors = { { tensor, 1 } } }
  end
  local head = matrix("lm_head", "head", m.hidden, normal, { { "lm_head.weight", m.vocabulary } })
  head.tied = m.tied and "table" or nil
  return {
    matrix("table", "embed", m.hidden, normal, { { "model.embed_tokens.weight", m.vocabulary } }),
    gain("attn_norm", "pre", layer .. "input_layernorm.weight"),
    matrix("qkv", "pre", m.hidden, normal, {
      { layer .. "self_attn.q_proj.weight", q },
      { layer .. "self_attn.k_proj.weight", kv },
      { layer .. "self_attn.v_proj.weight", kv },
    }),
    matrix("o", "post", q, residual, { { layer .. "self_attn.o_proj.weight", m.hidden } }),
    gain("ffn_norm", "post", layer .. "post_attention_layernorm.weight"),
    matrix("gate_up", "post", m.hidden, normal, {
      { layer .. "mlp.gate_proj.weight", m.ffn },
      { layer .. "mlp.up_proj.weight", m.ffn },
    }),
    matrix("down", "post", m.ffn, residual, { { layer .. "mlp.down_proj.weight", m.hidden } }),
    gain("final_norm", "head", "model.norm.weight"),
    head,
  }
end

--- Values: a row a token, so many columns. A layer's output is the next layer's "input".
local function values(m)
  local q, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
  return {
    { "input", "embed", m.hidden },
    { "normed", "pre", m.hidden }, { "scale", "pre", 1 },
    { "qkv", "pre", q + 2 * kv }, { "q", "pre", q }, { "kv", "pre", 2 * kv },
    { "attended", "core", q }, { "lse", "core", m.heads },
    { "projection", "post", m.hidden }, { "hidden", "post", m.hidden },
    { "normed2", "post", m.hidden }, { "scale2", "post", 1 },
    { "gate_up", "post", 2 * m.ffn }, { "act", "post", m.ffn }, { "mlp", "post", m.hidden },
    { "final_normed", "head", m.hidden }, { "final_scale", "head", 1 },
  }
end

--- kernel, part, inputs, outputs: operands in the order of the kernel's entry in kernels.def.
local operations = {
  { "embedding", "embed", "weight.table", "input" },

  { "rmsnorm", "pre", "input weight.attn_norm", "normed scale" },
  { "matmul", "pre", "normed weight.qkv", "qkv" },
  { "rope", "pre", "qkv", "q kv" },

  { "attention", "core", "q kv", "attended lse" },

  { "matmul", "post", "attended weight.o", "projection" },
  { "add", "post", "projection input", "hidden" },
  { "rmsnorm", "post", "hidden weight.ffn_norm", "normed2 scale2" },
  { "matmul", "post", "normed2 weight.gate_up", "gate_up" },
  { "swiglu", "post", "gate_up", "act" },
  { "matmul", "post", "act weight.down", "mlp" },
  { "add", "post", "mlp hidden", "input" },

  { "rmsnorm", "head", "input weight.final_norm", "final_normed final_scale" },
  { "head", "head", "final_normed weight.lm_head", "" },
}

function llama.parts(m)
  return { weights = weights(m), values = values(m), operations = operations }
end

-- Hugging Face's config.json ----------------------------------------------------------------------

--- Refuses keys whose effect is not built: `only(key, right, expected)`, where nil is right too.
function llama.only(config, wrong)
  return function(key, right, expected)
    local found = config[key]
    if found ~= nil and found ~= right then wrong(key, found, expected) end
  end
end

local function rope_from_config(config, rope, wrong)
  local kind = rope.rope_type or rope.type or "default"
  for _, key in ipairs { "mscale", "mscale_all_dim", "truncate" } do
    if rope[key] ~= nil then
      wrong("rope_scaling." .. key, rope[key], "no such key: it is not built")
    end
  end
  if kind == "default" then return nil end
  return {
    type = kind, factor = rope.factor, low_frequency = rope.low_freq_factor,
    high_frequency = rope.high_freq_factor,
    original_context = rope.original_max_position_embeddings or config.max_position_embeddings,
    attention_factor = rope.attention_factor, beta_fast = rope.beta_fast,
    beta_slow = rope.beta_slow,
  }
end

--- The fields that Llama's followers share; `default` is what their config class has.
function llama.shape_from_config(config, default, wrong)
  local rope = config.rope_parameters or config.rope_scaling or {}
  return {
    layers = config.num_hidden_layers or default.layers,
    hidden = config.hidden_size or default.hidden,
    heads = config.num_attention_heads or default.heads,
    kv_heads = config.num_key_value_heads or default.kv_heads,
    head_dim = config.head_dim or default.head_dim,
    ffn = config.intermediate_size or default.ffn,
    vocab = config.vocab_size or default.vocab,
    tied = config.tie_word_embeddings or false,
    epsilon = config.rms_norm_eps or 1e-6,
    rope_theta = rope.rope_theta or config.rope_theta or 10000,
    rope_scaling = rope_from_config(config, rope, wrong),
  }
end

--- A config.json as fields of `llama`; a key whose effect is not built is refused by
--- `wrong(key, found, expected)`. Defaults are those of transformers' LlamaConfig.
function llama.from_config(config, wrong)
  local only = llama.only(config, wrong)
  only("hidden_act", "silu", "\"silu\"")
  only("attention_bias", false, "false: biases are not built")
  only("mlp_bias", false, "false: biases are not built")
  only("pretraining_tp", 1, "1")
  only("partial_rotary_factor", 1, "1")
  only("quantization_config", nil, "no quantization")
  only("sliding_window", nil, "no sliding window")
  only("attention_dropout", 0, "0")
  return llama.shape_from_config(
    config, { layers = 32, hidden = 4096, heads = 32, ffn = 11008, vocab = 32000 }, wrong)
end

local function rope_to_config(scaling)
  local rope = { rope_type = scaling.type, type = scaling.type }
  local function add(key, value)
    if value and value ~= 0 then rope[key] = value + 0.0 end           -- 0: by the type's own rule
  end
  if scaling.type == "default" then return rope end
  add("factor", scaling.factor)
  if scaling.type == "linear" then return rope end
  rope.original_max_position_embeddings = scaling.original_context
  if scaling.type == "llama3" then
    add("low_freq_factor", scaling.low_frequency)
    add("high_freq_factor", scaling.high_frequency)
  else
    add("attention_factor", scaling.attention_factor)
    add("beta_fast", scaling.beta_fast)
    add("beta_slow", scaling.beta_slow)
  end
  return rope
end

--- The other way: a shape as a config.json that transformers reads. Both forms of RoPE's parameters
--- and both names of the number format are written, since its version 5 renamed them.
function llama.to_config(m, null)
  local rope, parameters = rope_to_config(m.rope_scaling), rope_to_config(m.rope_scaling)
  parameters.rope_theta, parameters.type = m.rope_theta + 0.0, nil
  return {
    architectures = { "LlamaForCausalLM" }, model_type = "llama",
    vocab_size = m.vocabulary, hidden_size = m.hidden, intermediate_size = m.ffn,
    num_hidden_layers = m.layers, num_attention_heads = m.heads,
    num_key_value_heads = m.kv_heads, head_dim = m.head_dim, max_position_embeddings = m.context,
    rms_norm_eps = m.epsilon, tie_word_embeddings = m.tied,
    rope_theta = m.rope_theta + 0.0, rope_parameters = parameters,
    rope_scaling = m.rope_scaling.type == "default" and null or rope,
    hidden_act = "silu", attention_bias = false, mlp_bias = false, attention_dropout = 0.0,
    eos_token_id = m.tokenizer == "bytes" and m.vocabulary - 1 or null, -- it ends a document
    bos_token_id = null, pad_token_id = null,
    initializer_range = 0.02, use_cache = true, torch_dtype = "float32", dtype = "float32",
  }
end

return llama
