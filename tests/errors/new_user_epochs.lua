return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", epochs = 3 },
}
--[[
new_user_epochs.lua:4: train.epochs: found "epochs", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; write train = { steps = ... }
]]
