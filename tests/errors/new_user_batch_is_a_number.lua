return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = 32768, steps = 10 },
}
--[[
new_user_batch_is_a_number.lua:4: train.batch: found "32768", expected tokens "32K" or sequences(512); write tokens(32768) or sequences(32768)
]]
