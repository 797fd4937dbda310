return job {
  model = hf "/etc/passwd",
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
hf_outside.lua:2: model.config: found "/etc/passwd", expected a Hugging Face config.json in the job's folder or below it; write its path without ".", ".." or links
]]
