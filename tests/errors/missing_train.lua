return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
}
--[[
missing_train.lua:1: expected the field train; add train = { batch = tokens "32K", steps = 300 }
]]
