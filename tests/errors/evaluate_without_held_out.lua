return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus", held_out = 0 },
  train = { batch = tokens "8K", steps = 10, evaluate = { every = 5 } },
}
--[[
evaluate_without_held_out.lua:3: data.held_out: found "0", expected a share of documents to evaluate on; write held_out = "2%", or remove train.evaluate
]]
