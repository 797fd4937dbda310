return job {
  model = llama { layers = 0, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
zero_layers.lua:2: model.layers: found "0", expected a whole number from 1 to 4096
]]
