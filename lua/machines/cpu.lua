--- A core of a present-day server: AVX2 with fused multiply-add, ranks as threads of one process.
--- Stands in where `pipewright tune` has not measured the machine, the same everywhere.
return {
  name = "cpu profile", device = "cpu",
  flops = 70e9,              -- of matrix products, a second and core
  attention_flops = 45e9,    -- of attention, by blocks of keys
  bytes = 10e9,              -- of memory, a second and core: norms, activations, the optimizer
  call = 1e-6,               -- seconds that a codelet takes before its first token
  segment = 1e-6,            -- seconds that attention takes for each segment beside its pairs
  latency = 3e-6,            -- seconds of a message without bytes
  message_bytes = 6e9,       -- bytes of a message, a second
}
