local t = {}
while true do
  t[#t + 1] = ("x"):rep(1 << 20) .. #t
end
--[[
eats_memory.lua:3: the script does too much: found no end after 20000000 instructions; does a loop never end?
]]
