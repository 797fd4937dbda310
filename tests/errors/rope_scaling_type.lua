return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", rope_scaling = { type = "llama4" } },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
rope_scaling_type.lua:2: model.rope_scaling.type: found "llama4", expected "default", "linear", "llama3" or "yarn"; the nearest right one is "llama3"
]]
