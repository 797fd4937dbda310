return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 2, memory = "80 GB/s" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
memory_with_wrong_unit.lua:4: cluster.memory: found "80 GB/s", expected a size in bytes of at least 1048576; write it as "80 GiB"
]]
