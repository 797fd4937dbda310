return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = "corpus",
  train = { batch = tokens "8K", steps = 10 },
}
--[[
new_user_data_is_a_folder.lua:3: data: found "corpus", expected text { ... }, jsonl { ... }, token_set "PREFIX" or lengths "lengths.json"; write text { files = "corpus" }
]]
