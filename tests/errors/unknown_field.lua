return job {
  model = llama { hidden = 64, heads = 4, ffn = 128, vocab = "bytes", layrs = 2 },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
unknown_field.lua:2: model.layrs: found "layrs", expected one of the fields epsilon, ffn, head_dim, heads, hidden, kv_heads, layers, rope_scaling, rope_theta, tied, vocab; the nearest right one is "layers"
]]
