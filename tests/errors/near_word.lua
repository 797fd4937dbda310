return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus", long = "splitt" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
near_word.lua:3: data.long: found "splitt", expected "split", "cut" or "error"; the nearest right one is "split"
]]
