--- The library that scripts see: what Lua has, less what has a clock, an address, a hash order
--- or a file, and with every loop that a script can choose written in Lua, where the budget counts.
--- The first thing that runs in a child; `host` holds functions of gen/host/sandbox_library.c:
---   charge(n)  write(text)  include(name)  nearest(word, names) -> name or nil  seed
---   line() -> the text of the line that a user's script is at
--- Returns the builtins and the globals of users' scripts, which read through to the builtins.
local host = ...
local raw = { string = string, table = table, math = math, load = load, tostring = tostring }
local assert, error, getmetatable, select, type = assert, error, getmetatable, select, type
local rawget, rawlen, raw_next, raw_setmetatable = rawget, rawlen, next, setmetatable
local format, gmatch, tointeger = string.format, string.gmatch, math.tointeger

local sorted_keys, text

--- A table in which a name that it has not is an error where it is read, not nil.
local function strict(table, name)
  return raw_setmetatable(table, {
    __metatable = false,
    __index = function(_, key)
      local names, word = sorted_keys(table), text(key)
      local near = host.nearest(word, names)
      error(format("%s.%s: there is no such field%s", name, word,
                   near and "; did you mean " .. name .. "." .. near .. "?" or
                   " (" .. raw.table.concat(names, ", ") .. ")"), 2)
    end,
  })
end

--- One that can be read but not written, also not by our own scripts.
local function read_only(table, name)
  strict(table, name)
  return raw_setmetatable({}, {
    __index = table, __metatable = false,
    __newindex = function(_, key)
      error(format("%s.%s cannot be set: %s is read-only", name, text(key), name), 2)
    end,
  })
end

--- A value as text, without its address.
function text(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" or kind == "nil" then return raw.tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" then
    local convert = rawget(meta, "__tostring")
    if convert then
      local result = convert(value)
      if type(result) ~= "string" then error("'__tostring' must return a string", 2) end
      return result
    end
  end
  return kind
end

--- All keys in order: numbers, then strings; others have no order that is the same in every run.
function sorted_keys(table)
  local numbers, strings = {}, {}
  for key in raw_next, table do
    local kind = type(key)
    if kind == "number" then
      numbers[#numbers + 1] = key
    elseif kind == "string" then
      strings[#strings + 1] = key
    else
      error("pairs: a key is a " .. kind .. "; only numbers and strings have an order", 3)
    end
  end
  host.charge(16 * (#numbers + #strings))
  raw.table.sort(numbers)
  raw.table.sort(strings)
  return raw.table.move(strings, 1, #strings, #numbers + 1, numbers)
end

local function pairs(table)
  if type(table) ~= "table" then
    error("bad argument #1 to 'pairs' (table expected, got " .. type(table) .. ")", 2)
  end
  local keys, i = sorted_keys(table), 0
  return function()
    local value
    repeat
      i = i + 1
      if keys[i] == nil then return nil end
      value = table[keys[i]]
    until value ~= nil
    return keys[i], value
  end, table, nil
end

local function is_above(a, b)
  if type(a) == type(b) then return a > b end
  return type(a) == "string"
end

--- The first key in the order above `key`, which may have been cleared since it was given.
local function next(table, key)
  if type(table) ~= "table" then
    error("bad argument #1 to 'next' (table expected, got " .. type(table) .. ")", 2)
  end
  local kind = type(key)
  if kind ~= "nil" and kind ~= "number" and kind ~= "string" then
    error("bad argument #2 to 'next' (a key is expected, got " .. kind .. ")", 2)
  end
  local keys = sorted_keys(table)
  local i = 1
  while keys[i] ~= nil and key ~= nil and not is_above(keys[i], key) do i = i + 1 end
  if keys[i] == nil then return nil end
  return keys[i], table[keys[i]]
end

--- No finalizers, where a loop would not be counted, and no weak tables, which depend on when
--- memory is collected.
local function setmetatable(table, meta)
  if type(meta) == "table" and (rawget(meta, "__gc") or rawget(meta, "__mode")) then
    error("a metatable may have neither __gc nor __mode here", 2)
  end
  return raw_setmetatable(table, meta)
end

local users

local function load(chunk, name, _, environment)
  if type(chunk) ~= "string" then
    error("bad argument #1 to 'load' (string expected, got " .. type(chunk) .. ")", 2)
  end
  if #chunk > 1 << 20 then return nil, "a text of more than 1 MiB" end
  return raw.load(chunk, name or "=(load)", "t", environment or users)
end

local function print(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = text((select(i, ...))) end
  host.write(raw.table.concat(words, "\t"))
end

local function string_format(form, ...)
  if type(form) ~= "string" then
    error("bad argument #1 to 'format' (string expected, got " .. type(form) .. ")", 2)
  end
  local arguments = raw.table.pack(...)
  local i = 0
  for conversion in gmatch(form, "%%[-+ #0]*%d*%.?%d*(.?)") do
    if conversion == "p" then error("string.format: %p would print an address", 2) end
    if conversion ~= "%" then
      i = i + 1
      if conversion == "s" and i <= arguments.n then arguments[i] = text(arguments[i]) end
    end
  end
  return format(form, raw.table.unpack(arguments, 1, arguments.n))
end

local function rep(subject, count, between)
  local times = tointeger(count)
  if times and times > 0 then
    if times > 1 << 32 then error("string.rep: more than 2^32 times", 2) end
    host.charge(times + times * (#subject + (between and #between or 0)) // 8)
  end
  return raw.string.rep(subject, count, between)
end

local function insert(list, ...)
  local count = #list
  if select("#", ...) == 1 then
    list[count + 1] = (...)
    return
  end
  local place, value = ...
  place = tointeger(place)
  if select("#", ...) ~= 2 or not place then error("wrong arguments to 'insert'", 2) end
  if place < 1 or place > count + 1 then error("insert: position out of bounds", 2) end
  for i = count, place, -1 do list[i + 1] = list[i] end
  list[place] = value
end

local function remove(list, place)
  local count = #list
  place = place or count
  if count > 0 and (place < 1 or place > count + 1) or count == 0 and place ~= 0 and place ~= 1 then
    error("remove: position out of bounds", 2)
  end
  local value = list[place]
  for i = place, count - 1 do list[i] = list[i + 1] end
  list[count > place and count or place] = nil
  return value
end

local function move(from, first, last, place, to)
  to = to or from
  if place > first and place <= last and to == from then
    for i = last - first, 0, -1 do to[place + i] = from[first + i] end
  else
    for i = 0, last - first do to[place + i] = from[first + i] end
  end
  return to
end

local function less(a, b)
  return a < b
end

--- Merge sort from the bottom up: equal elements keep their order, and an inconsistent `before`
--- gives some order instead of an error.
local function sort(list, before)
  before = before or less
  local count, width = #list, 1
  local from, to = move(list, 1, count, 1, {}), {}
  while width < count do
    for start = 1, count, 2 * width do
      local a, b = start, start + width
      local a_end, b_end = b, b + width
      if a_end > count + 1 then a_end = count + 1 end
      if b_end > count + 1 then b_end = count + 1 end
      for i = start, b_end - 1 do
        if a < a_end and (b >= b_end or not before(from[b], from[a])) then
          to[i], a = from[a], a + 1
        else
          to[i], b = from[b], b + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  move(from, 1, count, 1, list)
end

--- splitmix64 (Steele, Lea, Flood 2014) from the sandbox's seed.
local state = host.seed
local function random_bits()
  state = state + 0x9e3779b97f4a7c15
  local x = state
  x = (x ~ (x >> 30)) * 0xbf58476d1ce4e5b9
  x = (x ~ (x >> 27)) * 0x94d049bb133111eb
  return x ~ (x >> 31)
end

local function random(low, high)
  if not low then return (random_bits() >> 11) * 2.0 ^ -53 end
  if not high then low, high = 1, low end
  low, high = tointeger(low), tointeger(high)
  if not low or not high or low > high then error("random: the interval is empty", 2) end
  local span = high - low                                    -- as unsigned
  if span < 0 or span == math.maxinteger then
    local x
    repeat x = random_bits() until not math.ult(span, x - low)
    return x
  end
  local limit = math.maxinteger - math.maxinteger % (span + 1)
  local x
  repeat x = random_bits() >> 1 until x < limit
  return low + x % (span + 1)
end

--- Pattern functions: what a match costs is the product at least; a pattern that is worse is ended
--- by the limit on processor time.
local function bounded(name)
  local match = raw.string[name]
  return function(subject, pattern, ...)
    if type(subject) == "string" and type(pattern) == "string" then
      host.charge(#subject * #pattern // 16 + 1)
    end
    return match(subject, pattern, ...)
  end
end

local safe_string = {
  byte = string.byte, char = string.char, find = bounded("find"), format = string_format,
  gmatch = bounded("gmatch"), gsub = bounded("gsub"), len = string.len, lower = string.lower,
  match = bounded("match"), rep = rep, reverse = string.reverse, sub = string.sub,
  upper = string.upper,
}
local safe_table = {
  concat = table.concat, insert = insert, move = move, pack = table.pack, remove = remove,
  sort = sort, unpack = table.unpack,
}
--- Of libm only sqrt: the others differ between machines.
local safe_math = {
  abs = math.abs, ceil = math.ceil, floor = math.floor, fmod = math.fmod, huge = math.huge,
  max = math.max, maxinteger = math.maxinteger, min = math.min, mininteger = math.mininteger,
  modf = math.modf, pi = math.pi, random = random, sqrt = math.sqrt, tointeger = math.tointeger,
  type = math.type, ult = math.ult,
}

local string_meta = getmetatable("")
string_meta.__index = read_only(safe_string, "string")
string_meta.__metatable = false

--- Words of other languages, for the message about a name that is not there.
local foreign = { True = "true", False = "false", None = "nil", null = "nil" }

local array_meta = { __name = "array", __metatable = false }

local builtins = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, load = load,
  next = next, pairs = pairs, pcall = pcall, print = print, rawequal = rawequal,
  rawget = rawget, rawlen = rawlen, select = select, setmetatable = setmetatable,
  tonumber = tonumber, tostring = text, type = type, xpcall = xpcall,
  string = string_meta.__index, table = read_only(safe_table, "table"),
  math = read_only(safe_math, "math"),
  include = host.include, nearest = host.nearest, strict = strict, read_only = read_only,
  --- Marks a list as an array where it is handed on, also when it is empty.
  array = function(list) return raw_setmetatable(list, array_meta) end,
}

--- What is said of a name that is not there. `explain(name, field)` may know better, where the
--- script's line has it as `field = name`.
local explain

--- For our own scripts, who take it away from users: sets `explain`.
function builtins.on_unknown(f)
  explain = f
end

local function about_unknown(name)
  local line = name:find("^[%a_][%w_]*$") and host.line() or ""
  if line:find("^%s*" .. name .. "%s*:[^:]") then
    return "found ':' behind it, expected '='; write " .. name .. " = ..."
  end
  local field = line:match("([%a_][%w_]*)%s*=%s*" .. name .. "%f[^%w_]")
  local better = field and explain and explain(name, field)
  if better then return better end
  local near = foreign[name] or host.nearest(name, sorted_keys(builtins))
  return (near and "the nearest right one is '" .. near .. "'; " or "") ..
    "a text is written in quotes"
end

raw_setmetatable(builtins, {
  __metatable = false,
  __index = function(_, name)
    name = text(name)
    error(format("there is no name '%s'; %s", name, about_unknown(name)), 2)
  end,
})
users = raw_setmetatable({}, { __index = builtins, __metatable = false })
return builtins, users
