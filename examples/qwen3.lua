-- A small Qwen3: a norm for each head's query and key, heads larger than hidden / heads. To train
-- one of Qwen's own shapes, put its config.json beside this file: model = hf "config.json".
return job {
  model   = qwen3 { layers = 4, hidden = 96, heads = 4, kv_heads = 2, head_dim = 32, ffn = 256,
                    vocab = "bytes", tied = true },
  data    = text { files = "../build/corpus", context = "2K", long = "split", held_out = "1%" },
  cluster = cpu { ranks = 2, memory = "1 GiB" },
  policy  = { "seq1f1b", slices = 4 },
  train   = { batch = tokens "16K", steps = 150, seed = 1, clip = 1.0,
              optimizer = adamw { lr = "2e-3", weight_decay = 0.1 },
              curve = cosine { warmup = 20, final = "2e-4" },
              save = { every = 50, keep = 2 }, evaluate = { every = 50 } },
}
