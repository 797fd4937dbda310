return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", kv_heads = 3 },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
heads_and_kv_heads.lua:2: model.kv_heads: found "3", expected a number that divides heads = 4: a group of heads shares its keys
]]
