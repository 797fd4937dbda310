return job {
  model = "llama",
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_model_name.lua:2: model: found "llama", expected llama { ... }, qwen3 { ... } or hf "config.json"
]]
