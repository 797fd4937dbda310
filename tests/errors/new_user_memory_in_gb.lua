return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 1, memory = "4G" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_memory_in_gb.lua:4: cluster.memory: found "4G", expected a size in bytes of at least 1048576; write it as "4 GiB"
]]
