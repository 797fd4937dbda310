return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
--set cluster.ranks=two
--set: cluster.ranks: found "two", expected a whole number from 1 to 4096
]]
