return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, eval = { every = 5 } },
}
--[[
new_user_eval.lua:4: train.eval: found "eval", expected one of the fields batch, clip, curve, evaluate, from, optimizer, save, seed, steps; write evaluate = { every = ... }
]]
