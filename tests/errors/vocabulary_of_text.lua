return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = 32000 },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
vocabulary_of_text.lua:2: model.vocab: found "32000", expected "bytes": documents are read as bytes; or take a token set whose ids are below 32000: data = token_set "PREFIX"
]]
