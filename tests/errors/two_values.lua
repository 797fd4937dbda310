return job({}, {})
--[[
two_values.lua:1: job: found "a table", expected one value in job
]]
