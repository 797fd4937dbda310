return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = math.flor(1.5) },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { lr = 1e-3 } },
}
--[[
library_misspelt.lua:4: math.flor: there is no such field; did you mean math.floor?
]]
