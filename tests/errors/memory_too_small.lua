return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { memory = 100 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
memory_too_small.lua:4: cluster.memory: found "100", expected a size in bytes of at least 1048576; write it as "1 GiB"
]]
