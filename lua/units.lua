--- Sizes, lengths, rates and shares as people write them. Each function takes a number or a text
--- and returns a number, or nil where it is not one.
local KI <const> = 1024
local KILO <const> = 1000

local bytes_in = {
  B = 1, KiB = KI, MiB = KI ^ 2, GiB = KI ^ 3, TiB = KI ^ 4,
  KB = KILO, MB = KILO ^ 2, GB = KILO ^ 3, TB = KILO ^ 4,
}
--- Context lengths are powers of two: "2K" is 2,048.
local tokens_in = { [""] = 1, K = KI, M = KI ^ 2, G = KI ^ 3 }

--- A count of something whole, below 2^53.
local function whole(value)
  local count = math.tointeger(value)
  return count and count >= 0 and count < 1 << 53 and count or nil
end

local function quantity(text, units)
  local number, unit = text:match("^(%d+%.?%d*)%s*(%a*)$")
  if not number or not units[unit] then return nil end
  return whole(tonumber(number) * units[unit])
end

local units = {}

function units.bytes(value)
  if type(value) == "string" then return quantity(value, bytes_in) end
  return whole(value)
end

function units.tokens(value)
  if type(value) == "string" then return quantity((value:gsub("%s*tokens?$", "")), tokens_in) end
  return whole(value)
end

function units.number(value)
  if type(value) == "string" and value:find("^[%d.+-][%d.eE+-]*$") then value = tonumber(value) end
  if type(value) ~= "number" or value ~= value or math.abs(value) == math.huge then return nil end
  return value
end

--- A part of a whole: "2%" or 0.02.
function units.share(value)
  local percent = type(value) == "string" and value:match("^(.-)%s*%%$")
  if not percent then return units.number(value) end
  local number = units.number(percent)
  return number and number / 100
end

return units
