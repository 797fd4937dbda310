local shared = include "../shared.lua"
return job(shared)
--[[
include_outside.lua:1: include: found "../shared.lua", expected a file of at most 1 MiB in the script's folder or below it, by a path without ".", ".." or links
]]
