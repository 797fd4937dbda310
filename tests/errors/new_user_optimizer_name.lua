return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, optimizer = "adamw" },
}
--[[
new_user_optimizer_name.lua:4: train.optimizer: found "adamw", expected adamw { lr = "1e-3", ... }
]]
