return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" }
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_forgot_comma.lua:3: '}' expected (to close '{' at line 1) near 'data'; is a comma missing before it?
]]
