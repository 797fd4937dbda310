return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10, save = {
    evry = 100,
  } },
}
--[[
unknown_nested_field.lua:5: train.save.evry: found "evry", expected one of the fields every, keep, keep_every; the nearest right one is "every"
]]
