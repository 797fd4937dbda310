return job {
  model = text { files = "corpus" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
data_as_model.lua:2: model: found "text { ... }", expected llama { ... }, qwen3 { ... } or hf "config.json"
]]
