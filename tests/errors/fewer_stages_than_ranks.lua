return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 4 },
  layout = { stages = 2 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
fewer_stages_than_ranks.lua:5: layout.stages: found "2", expected at least as many stages as cluster.ranks = 4: every rank has a stage of its own; take fewer ranks, or more stages
]]
