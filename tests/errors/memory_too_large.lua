return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { memory = "9999 TiB" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
memory_too_large.lua:4: cluster.memory: found "9999 TiB", expected a size in bytes of at least 1048576; sizes end below 8192 TiB
]]
