-- A small Llama on real documents of very different lengths, two ranks of this machine.
return job {
  model   = llama { layers = 4, hidden = 96, heads = 3, kv_heads = 3, ffn = 256, vocab = "bytes" },
  data    = text { files = "../build/corpus", context = "2K", long = "split", held_out = "1%" },
  cluster = cpu { ranks = 2, memory = "1 GiB" },
  layout  = { stages = 2 },
  policy  = { "seq1f1b", slices = 4, spare = 1 },
  train   = { batch = tokens "16K", steps = 110, seed = 1, clip = 1.0,
              optimizer = adamw { lr = "2e-3", weight_decay = 0.1 },
              curve = cosine { warmup = 20, final = "2e-4" },
              save = { every = 50, keep = 2 }, evaluate = { every = 50 } },
}
