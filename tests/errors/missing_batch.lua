return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { steps = 10 },
}
--[[
missing_batch.lua:4: train: expected the field batch; add batch = tokens "32K"
]]
