return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, dropout = 0.1 },
}
--[[
unknown_field_far.lua:4: train.dropout: found "dropout", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; there is no such field: remove it
]]
