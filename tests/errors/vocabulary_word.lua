return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "byte" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
vocabulary_word.lua:2: model.vocab: found "byte", expected "bytes", or the number of ids of a token set's tokenizer, at least 2; the nearest right one is "bytes"
]]
