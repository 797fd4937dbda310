return job {
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
missing_model.lua:1: expected the field model; add model = llama { layers = 6, ... }
]]
