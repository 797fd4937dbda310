return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus", context = "long" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
context_as_word.lua:3: data.context: found "long", expected a number of tokens from 2 to 1073741824; write it as "4K": K is 1024
]]
