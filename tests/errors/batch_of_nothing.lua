return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = sequences(0), steps = 10 },
}
--[[
batch_of_nothing.lua:4: train.batch.count: found "0", expected a whole number from 1 to 1073741824
]]
