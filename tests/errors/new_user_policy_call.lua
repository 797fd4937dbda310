return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  policy = gpipe { ranks = 1 },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { lr = 1e-3 } },
}
--[[
new_user_policy_call.lua:4: there is no name 'gpipe'; write policy = "gpipe"
]]
