return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "1K", steps = 10 },
}
--[[
batch_shorter_than_context.lua:4: train.batch: found "1024", expected at least one sequence of data.context = 2048 tokens; take a larger batch or a shorter context
]]
