return job {
  model = lama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_misspelt_constructor.lua:2: there is no name 'lama'; the nearest right one is 'llama'; model is written llama { ... }, qwen3 { ... } or hf "config.json"
]]
