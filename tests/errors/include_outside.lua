local shared = include "../shared.lua"
return job(shared)
--[[
include_outside.lua:1: include: found "../shared.lua", expected a file in the script's folder or below it; write its path without ".", ".." or links
]]
