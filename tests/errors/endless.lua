local n = 0
while true do n = n + 1 end
--[[
endless.lua:2: the script does too much: found no end after 20000000 instructions; does a loop never end?
]]
