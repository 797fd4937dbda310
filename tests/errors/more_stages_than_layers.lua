return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  layout = { stages = 100 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
more_stages_than_layers.lua:4: layout.stages: found "100", expected at most 4 stages: a model of 2 layers is cut into halves of layers; take fewer stages, or more layers
]]
