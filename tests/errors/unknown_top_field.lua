return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  modle = 1,
  train = { batch = tokens "8K", steps = 10 },
}
--[[
unknown_top_field.lua:4: modle: found "modle", expected one of the fields cluster, data, layout, model, policy, train; the nearest right one is "model"
]]
