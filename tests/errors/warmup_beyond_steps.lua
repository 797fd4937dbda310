return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, 
    curve = cosine { warmup = 200 } },
}
--[[
warmup_beyond_steps.lua:5: train.curve.warmup: found "200", expected warmup and decay within train.steps = 10
]]
