return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { lr = 1e-3 },
    curve = cosine { final = 1 } },
}
--[[
final_above_rate.lua:5: train.curve.final: found "1", expected at most the optimizer's lr = 0.001
]]
