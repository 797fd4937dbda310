--- The Qwen3 family, dense models (Yang et al. 2025, arXiv 2505.09388): Llama with an RMSNorm of
--- each head's query and key ahead of RoPE, and a head's size of its own. What is not said here is
--- Llama's.
local host = ...
local llama = host.ours("models/llama.lua")
local qwen3 = { fields = {}, complete = llama.complete }

for name, field in pairs(llama.fields) do qwen3.fields[name] = field end
qwen3.fields.head_dim = { type = "whole", least = 2, most = 4096, default = 128 }
qwen3.fields.epsilon = { type = "number", above = 0, below = 1, default = 1e-6 }
qwen3.fields.rope_theta = { type = "number", above = 1, default = 1000000 }

local operations = {
  { "embedding", "embed", "weight.table", "input" },

  { "rmsnorm", "pre", "input weight.attn_norm", "normed scale" },
  { "matmul", "pre", "normed weight.qkv", "qkv" },
  { "head_norm", "pre", "qkv weight.q_norm weight.k_norm", "qkv_normed qk_scale" },
  { "rope", "pre", "qkv_normed", "q kv" },

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

local function head_gain(m, name)
  return { name = name, part = "pre", rows = 1, columns = m.head_dim, deviation = 0, decays = false,
           tensors = { { "model.layers.%d.self_attn." .. name .. ".weight", 1 } } }
end

function qwen3.parts(m)
  local parts, weights = llama.parts(m), {}
  for _, weight in ipairs(parts.weights) do
    weights[#weights + 1] = weight
    if weight.name == "qkv" then
      table.move({ head_gain(m, "q_norm"), head_gain(m, "k_norm") }, 1, 2, #weights + 1, weights)
    end
  end
  local heads = m.heads + m.kv_heads
  table.insert(parts.values, { "qkv_normed", "pre", (heads + m.kv_heads) * m.head_dim })
  table.insert(parts.values, { "qk_scale", "pre", heads })
  return { weights = weights, values = parts.values, operations = operations }
end

--- A config.json as fields of `qwen3`; defaults are those of transformers' Qwen3Config.
function qwen3.from_config(config, wrong)
  local only = llama.only(config, wrong)
  only("hidden_act", "silu", "\"silu\"")
  only("attention_bias", false, "false: biases are not built")
  only("attention_dropout", 0, "0")
  only("quantization_config", nil, "no quantization")
  only("use_sliding_window", false, "false: no sliding window")
  for i, kind in ipairs(config.layer_types or {}) do
    if kind ~= "full_attention" then
      wrong("layer_types[" .. i - 1 .. "]", kind, "\"full_attention\"")
    end
  end
  return llama.shape_from_config(
    config, { layers = 32, hidden = 4096, heads = 32, kv_heads = 32, head_dim = 128, ffn = 22016,
              vocab = 151936 }, wrong)
end

function qwen3.to_config(m, null)
  local config = llama.to_config(m, null)
  config.architectures, config.model_type = { "Qwen3ForCausalLM" }, "qwen3"
  config.mlp_bias, config.use_sliding_window = nil, false
  return config
end

return qwen3
