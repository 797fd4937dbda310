return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, lr = "1e-3" },
}
--[[
new_user_lr_in_train.lua:4: train.lr: found "lr", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; write train = { optimizer = adamw { lr = ... } }
]]
