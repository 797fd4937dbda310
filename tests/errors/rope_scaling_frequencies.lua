return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", rope_scaling = { type = "llama3", low_frequency = 4 } },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
rope_scaling_frequencies.lua:2: model.rope_scaling.high_frequency: found "4", expected more than low_frequency = 4
]]
