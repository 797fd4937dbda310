return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = corpus },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_quotes_missing.lua:3: there is no name 'corpus'; a text is written in quotes
]]
