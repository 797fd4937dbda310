return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  policy = "1f1c",
  train = { batch = tokens "8K", steps = 10 },
}
--[[
unknown_policy.lua:4: policy: found "1f1c", expected one of the policies ..., or a file that ends in .lua; the nearest right one is "1f1b"
]]
