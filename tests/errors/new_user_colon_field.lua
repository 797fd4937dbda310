return job {
  model = llama { layers: 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 1 },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { lr = 1e-3 } },
}
--[[
new_user_colon_field.lua:2: found ':' behind layers, expected '='; write layers = ...
]]
