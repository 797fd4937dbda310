return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", tied = "yes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
flag_as_text.lua:2: model.tied: found "yes", expected true or false, without quotes
]]
