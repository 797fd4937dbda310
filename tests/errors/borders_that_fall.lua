return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  layout = { borders = { 0, 2, 1 } },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
borders_that_fall.lua:4: layout.borders: found "a table", expected a list of borders that rise from 0 to the number of layers by halves; write it as { 0, 3, 6 }
]]
