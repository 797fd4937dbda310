return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  layout = { borders = { 0, 1, 3 } },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
borders_of_another_model.lua:4: layout.borders: found "3", expected the last border to be the number of layers, 2
]]
