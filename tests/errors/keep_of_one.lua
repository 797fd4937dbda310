return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, save = { every = 5, keep = 1 } },
}
--[[
keep_of_one.lua:4: train.save.keep: found "1", expected a whole number from 2 to 1048576
]]
