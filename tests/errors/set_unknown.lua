return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
--set train.stpes=5
--set: train.stpes: found "stpes", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; the nearest right one is "steps"
]]
