return job {
  model = llama { layers = 2, hidden = 64, heads = 5, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
heads_and_hidden.lua:2: model.heads: found "5", expected a number that divides hidden = 64; or give head_dim, the size of a head
]]
