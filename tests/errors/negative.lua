return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, seed = -1 },
}
--[[
negative.lua:4: train.seed: found "-1", expected a whole number from 0 to 9223372036854775807
]]
