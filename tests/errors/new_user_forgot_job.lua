return {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_forgot_job.lua: found "a table", expected the file to return job { ... }; begin it with: return job {
]]
