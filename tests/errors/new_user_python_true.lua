return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes", tied = True },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_python_true.lua:2: there is no name 'True'; the nearest right one is 'true'; a text is written in quotes
]]
