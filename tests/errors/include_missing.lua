local shared = include "shared.lua"
return job(shared)
--[[
include_missing.lua:1: include: found "shared.lua", expected a file in the script's folder or below it; there is no such file
]]
