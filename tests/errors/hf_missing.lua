return job {
  model = hf "no/config.json",
  data  = text { files = "corpus" },
  train = { batch = tokens "8K", steps = 10 },
}
--[[
hf_missing.lua:2: model.config: found "no/config.json", expected a file in the job's folder or below it, by a path without ".." or links
]]
