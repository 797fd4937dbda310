return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, learning_rate = 1e-3 },
}
--[[
new_user_learning_rate.lua:4: train.learning_rate: found "learning_rate", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; write train = { optimizer = adamw { lr = ... } }
]]
