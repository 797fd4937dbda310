---@meta
--- What of Lua's library scripts see, for editors: no clock, address, hash order or file.
--- lua/sandbox.lua is what counts.

---@param value any
---@param message? any
---@return any
function assert(value, message, ...) end

---@param message any
---@param level? integer
function error(message, level) end

---@return table|false|nil
function getmetatable(value) end

---@generic V
---@param list V[]
---@return fun(list: V[], i: integer): integer, V
---@return V[]
---@return integer
function ipairs(list) end

--- Runs a file in the folder of the script, or below it, and returns its value.
---@param name string
function include(name) end

--- Text only; nil and a message where it is wrong.
---@param chunk string
---@param name? string
---@return function?
---@return string?
function load(chunk, name) end

---@param word string
---@param names string[]
---@return string? the name that was meant
function nearest(word, names) end

--- The next key in order; slow, use pairs.
function next(table, key) end

--- In the order of the keys: numbers, then strings; other keys are an error.
---@generic K, V
---@param table table<K, V>
---@return fun(): K, V
function pairs(table) end

function pcall(f, ...) end
function print(...) end
function rawequal(a, b) end
function rawget(table, key) end
function rawlen(value) end
function select(n, ...) end

--- Neither __gc nor __mode.
function setmetatable(table, meta) end

function tonumber(value, base) end
function tostring(value) end
function type(value) end
function xpcall(f, handler, ...) end

--- Marks a list as one where it is handed on, also when it is empty.
---@generic T
---@param list T
---@return T
function array(list) end

---@class stringlib
string = {}
function string.byte(s, i, j) end
function string.char(...) end
function string.find(s, pattern, init, plain) end
--- %s of a table is "table"; %p is refused.
function string.format(form, ...) end
function string.gmatch(s, pattern) end
function string.gsub(s, pattern, with, n) end
function string.len(s) end
function string.lower(s) end
function string.match(s, pattern, init) end
function string.rep(s, n, between) end
function string.reverse(s) end
function string.sub(s, i, j) end
function string.upper(s) end

---@class tablelib
table = {}
function table.concat(list, between, i, j) end
function table.insert(list, ...) end
function table.move(from, first, last, place, to) end
function table.pack(...) end
function table.remove(list, place) end
--- Stable.
function table.sort(list, before) end
function table.unpack(list, i, j) end

---@class mathlib
---@field huge number
---@field maxinteger integer
---@field mininteger integer
---@field pi number
math = {}
function math.abs(x) end
function math.ceil(x) end
function math.floor(x) end
function math.fmod(x, y) end
function math.max(x, ...) end
function math.min(x, ...) end
function math.modf(x) end
--- From the job's seed.
function math.random(low, high) end
function math.sqrt(x) end
function math.tointeger(x) end
function math.type(x) end
function math.ult(a, b) end
