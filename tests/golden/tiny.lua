-- A job as small as jobs get, for the forms and the code in this folder to be readable: a chain of
-- two chunks and a packed one, on two ranks. Nothing of it is ever trained.
return job {
  model   = llama { layers = 2, hidden = 32, heads = 4, kv_heads = 2, ffn = 48, vocab = "bytes" },
  data    = lengths.from_file { path = "lengths.txt", context = "64", held_out = 0 },
  cluster = cpu { ranks = 2, memory = "64 MiB" },
  layout  = { stages = 2 },
  policy  = { "seq1f1b", slices = 2 },
  train   = { batch = sequences(3), steps = 1, seed = 1, clip = 1.0,
              optimizer = adamw { lr = "1e-3" }, curve = constant { warmup = 1 } },
}
