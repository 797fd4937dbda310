return job {
  model = llama { layers = 2, hidden = 64, heads = 4, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
missing_field.lua:2: model: expected the field ffn; add ffn = ...
]]
