local shape = { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", mlp = 3 }
return job {
  model = llama(shape),
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
through_a_local.lua:3: model.mlp: found "mlp", expected one of the fields epsilon, ffn, head_dim, heads, hidden, kv_heads, layers, rope_scaling, rope_theta, tied, vocab; there is no such field: remove it
]]
