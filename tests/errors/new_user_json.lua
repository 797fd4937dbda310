{ "model": { "layers": 2 } }
--[[
new_user_json.lua:1: found JSON, or a table alone, expected a Lua script; begin it with `return job {`, a policy's with `return policy {`, and write name = value
]]
