return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = 5 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
text_as_number.lua:3: data.files: found "5", expected a text in quotes
]]
