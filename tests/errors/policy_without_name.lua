return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  policy = { slices = 4 },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
policy_without_name.lua:4: policy: found "a table", expected the name of a policy, { "name", option = value }, or a file "mine.lua"
]]
