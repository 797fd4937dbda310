-- A job of a minute, to be killed and resumed on other numbers of ranks: see examples/resume.
return job {
  model   = llama { layers = 4, hidden = 48, heads = 4, kv_heads = 2, ffn = 96, vocab = "bytes" },
  data    = text { files = "corpus", context = 256, long = "split" },
  cluster = cpu { ranks = 4, memory = "256 MiB" },
  layout  = { stages = 4 },
  policy  = { "gpipe" },
  train   = { batch = tokens "4K", steps = 18, seed = 1, clip = 1.0,
              optimizer = adamw { lr = "3e-3", weight_decay = 0.1 }, curve = constant {},
              save = { every = 3, keep = 2 } },
}
