return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cuda { ranks = 2 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_gpu.lua:4: there is no name 'cuda'; cluster is written cpu { ranks = 2, memory = "1 GiB" }
]]
