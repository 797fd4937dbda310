return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = "32K", steps = 10 },
}
--[[
new_user_batch_is_a_text.lua:4: train.batch: found "32K", expected tokens "32K" or sequences(512); write tokens "32K"
]]
