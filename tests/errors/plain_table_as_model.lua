return job {
  model = { layers = 2 },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
plain_table_as_model.lua:2: model: found "a table", expected llama { ... }, qwen3 { ... } or hf "config.json"
]]
