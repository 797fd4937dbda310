return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { beta2 = 1 } },
}
--[[
beta_of_one.lua:4: train.optimizer.beta2: found "1", expected a number from 0 to below 1
]]
