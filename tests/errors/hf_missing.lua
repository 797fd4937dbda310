return job {
  model = hf "no/config.json",
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
hf_missing.lua:2: model.config: found "no/config.json", expected a Hugging Face config.json in the job's folder or below it; there is no such file
]]
