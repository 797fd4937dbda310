return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus", held_out = "100%" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
held_out_all.lua:3: data.held_out: found "100%", expected a share, as "2%" or 0.02, from 0 to 0.9
]]
