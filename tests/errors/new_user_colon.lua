return job {
  model: llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
}
--[[
new_user_colon.lua:2: there is no name 'model'; found ':' behind it, expected '='; write model = ...
]]
