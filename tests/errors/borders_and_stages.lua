return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  layout = { borders = { 0, 0.5, 2 }, stages = 3 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
borders_and_stages.lua:4: layout.stages: found "3", expected 2, as many stages as layout.borders make
]]
