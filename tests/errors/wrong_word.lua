return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus", long = "truncate" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
wrong_word.lua:3: data.long: found "truncate", expected "split", "cut" or "error"
]]
