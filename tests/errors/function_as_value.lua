return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, curve = cosine },
}
--[[
function_as_value.lua:4: train.curve: found "a constructor that was not called", expected constant { ... }, cosine { ... } or wsd { ... }
]]
