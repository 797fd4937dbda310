return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
--set train.steps
--set: found "train.steps", expected FIELD=VALUE; as train.steps=10
]]
