return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 8 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
more_ranks_than_layers.lua:4: cluster.ranks: found "8", expected at most 4 stages: a model of 2 layers is cut into halves of layers; take fewer stages, or more layers
]]
