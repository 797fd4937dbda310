--- A Lua value as JSON text without blanks, for a line of the model's table. Names are sorted, as
--- `pairs` goes here; numbers have the fewest digits that give them back; texts are words.
local json = { null = setmetatable({}, { __metatable = "null" }) }

local function number(value)
  if math.type(value) == "integer" then return tostring(value) end
  for digits = 15, 17 do
    local text = string.format("%." .. digits .. "g", value)
    if tonumber(text) == value then return text .. (text:find("[.e]") and "" or ".0") end
  end
end

function json.text(value)
  local parts = {}
  if value == json.null then return "null" end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) == "number" then return number(value) end
  if type(value) == "string" then
    assert(not value:find("[%s%c\"\\]"), "a text that JSON would have to escape")
    return "\"" .. value .. "\""
  end
  for i, element in ipairs(value) do parts[i] = json.text(element) end
  if #parts > 0 then return "[" .. table.concat(parts, ",") .. "]" end
  for name, field in pairs(value) do
    parts[#parts + 1] = json.text(name) .. ":" .. json.text(field)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

return json
