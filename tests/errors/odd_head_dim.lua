return job {
  model = llama { layers = 2, hidden = 60, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
odd_head_dim.lua:2: model.head_dim: found "15", expected an even number: RoPE turns pairs of elements
]]
