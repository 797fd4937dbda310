return job {
  model = llama { layers = 2, hidden = 64, heads = 4, ffn = 128, vocab = "bytes" },
  data  = text { files = "corpus" },
  cluster = cpu { ranks = 1 },
  train = { batch = tokens "8K", steps = 10, optimizer = adamw { lr = 1e-3 } },
}
--[[
byte_order_mark.lua:1: found a byte order mark, expected plain text; save the file as UTF-8 without one
]]
