--- Fields of a job: what each may be, and what is said about one that is wrong. What a field is,
--- is a table: its `type` below, `required`, `default`, and what the type needs (bounds, words,
--- fields).
---
--- `host` is what gen/job/parse.c gives to job.lua.
local host, units = ...

-- Nodes and places -------------------------------------------------------------------------------

--- What a constructor makes: `kind`, the `fields` that it was given, `file` and `line`.
local node_meta = { __name = "node", __metatable = "node" }

local function new_node(kind, fields, file, line)
  return setmetatable({ kind = kind, fields = fields, file = file, line = line }, node_meta)
end

local function is_node(value)
  return getmetatable(value) == "node"
end

local function in_words(value)
  if is_node(value) then return value.kind .. " { ... }" end
  if type(value) == "table" then return "a table" end
  if type(value) == "function" then return "a constructor that was not called" end
  return tostring(value)
end

local set_paths = {}                      -- "train.steps" -> "--set", where that gave it

--- Where a field is said: `at` holds its path, the node around it, and its path within the node.
local function below(at, name)
  return {
    path = at.path == "" and name or at.path .. "." .. name,
    node = at.node,
    inner = at.inner == "" and name or at.inner .. "." .. name,
  }
end

local function within(at, node)
  return { path = at.path, node = node, inner = "", outer = at }
end

--- The option of the command line that gave a field or what it stands in.
local function set_by(path)
  while path do
    if set_paths[path] then return set_paths[path] end
    path = path:match("^(.*)%.[^.]*$")
  end
end

local function place(at)
  local option = set_by(at.path)
  if option then return option end
  local node = at.node
  if at.inner == "" then return node.file, node.line end
  return node.file, host.field_line(node.file, node.line, node.kind, at.inner) or node.line
end

local function complain(at, found, expected, remedy)
  local file, line = place(at)
  error({ file = file, line = line, field = at.path ~= "" and at.path or nil,
          found = found ~= nil and in_words(found) or nil, expected = expected, remedy = remedy })
end

local origins = {}                        -- path -> "file:line", "--set" or "default"

local function note_origin(at, given)
  if not given then
    origins[at.path] = "default"
    return
  end
  local file, line = place(at)
  origins[at.path] = line and file .. ":" .. line or file
end

-- Types of fields --------------------------------------------------------------------------------

local types = {}
local resolve

local function bounds_in_words(field)
  if field.least and field.most then return " from " .. field.least .. " to " .. field.most end
  if field.least and field.below then
    return " from " .. field.least .. " to below " .. field.below
  end
  if field.least then return " of at least " .. field.least end
  if field.above and field.below then
    return " above " .. field.above .. " and below " .. field.below
  end
  if field.above then return " above " .. field.above end
  return ""
end

local function in_bounds(number, field)
  return number and not (field.least and number < field.least) and
    not (field.most and number > field.most) and not (field.above and number <= field.above) and
    not (field.below and number >= field.below)
end

--- A type that is a number read by `read`; `remedy(value)` may know what was meant.
local function numeric(expected, read, remedy)
  return function(field, value, at)
    local number = read(value)
    if not in_bounds(number, field) then
      complain(at, value, expected .. bounds_in_words(field), remedy and remedy(value, field))
    end
    return number
  end
end

types.whole = numeric("a whole number",
  function(value) return type(value) == "number" and math.tointeger(value) end,
  function(value, field)
    local number = type(value) == "string" and math.tointeger(tonumber(value))
    return in_bounds(number, field) and "write it without quotes: " .. number or nil
  end)
types.number = numeric("a number", units.number)
types.share = numeric("a share, as \"2%\" or 0.02,", units.share)
types.tokens = numeric("a number of tokens", units.tokens,
  function(value)
    local number, unit = tostring(value):match("^%s*([%d.]+)%s*(%a+)%s*$")
    unit = number and units.tokens(number .. unit:sub(1, 1):upper()) and unit:sub(1, 1):upper()
    return "write it as \"" .. (unit and number .. unit or "4K") .. "\": K is 1024"
  end)
types.bytes = numeric("a size in bytes", units.bytes,
  function(value)
    local number, unit = tostring(value):match("^%s*([%d.]+)%s*([kmgtKMGT])")
    if type(value) == "string" and units.bytes(value) then return nil end   -- only too small
    if number and not units.bytes(number .. " " .. unit:upper() .. "iB") then
      return "sizes end below 8192 TiB"
    end
    return "write it as \"" .. (number and number .. " " .. unit:upper() or "1 G") .. "iB\""
  end)

function types.text(_, value, at)
  if type(value) ~= "string" or value == "" then complain(at, value, "a text in quotes") end
  return value
end

function types.flag(_, value, at)
  if type(value) ~= "boolean" then complain(at, value, "true or false, without quotes") end
  return value
end

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do list[i] = '"' .. word .. '"' end
  local last = table.remove(list)
  return #list == 0 and last or table.concat(list, ", ") .. " or " .. last
end

--- What people call a field elsewhere, and where it stands here.
local elsewhere = {
  lr = "train = { optimizer = adamw { lr = ... } }",
  learning_rate = "train = { optimizer = adamw { lr = ... } }",
  weight_decay = "train = { optimizer = adamw { weight_decay = ... } }",
  warmup = "train = { curve = cosine { warmup = ... } }",
  warmup_steps = "train = { curve = cosine { warmup = ... } }",
  batch_size = "train = { batch = tokens \"32K\" }",
  micro_batch = "policy = { \"gpipe\", chunk = ... }",
  epochs = "train = { steps = ... }", max_steps = "train = { steps = ... }",
  grad_clip = "train = { clip = ... }", optimizer = "train = { optimizer = ... }",
  steps = "train = { steps = ... }", seed = "train = { seed = ... }",
  n_layers = "layers", num_layers = "layers", num_hidden_layers = "layers", depth = "layers",
  hidden_size = "hidden", d_model = "hidden", dim = "hidden",
  n_heads = "heads", num_heads = "heads", num_attention_heads = "heads",
  num_key_value_heads = "kv_heads", intermediate_size = "ffn", d_ff = "ffn",
  vocab_size = "vocab", vocabulary = "vocab", tie_word_embeddings = "tied",
  rms_norm_eps = "epsilon",
  seq_len = "data = text { context = ... }", seq_length = "data = text { context = ... }",
  sequence_length = "data = text { context = ... }",
  context_length = "data = text { context = ... }",
  dataset = "data", gpus = "cluster = cpu { ranks = ... }", stages = "layout = { stages = ... }",
  checkpoint = "save = { every = ... }", save_every = "save = { every = ... }",
  eval = "evaluate = { every = ... }", eval_every = "evaluate = { every = ... }",
  scheduler = "curve = cosine { ... }", lr_scheduler = "curve = cosine { ... }",
}

local function did_you_mean(value, words)
  local near = type(value) == "string" and nearest(value, words)
  return near and "the nearest right one is \"" .. near .. "\"" or nil
end

function types.word(field, value, at)
  for _, word in ipairs(field.words) do
    if value == word then return word end
  end
  complain(at, value, quoted(field.words), did_you_mean(value, field.words))
end

function types.vocabulary(_, value, at)
  if value == "bytes" then return value end
  local count = type(value) == "number" and math.tointeger(value)
  if not in_bounds(count, { least = 2, most = 1 << 24 }) then
    complain(at, value, "\"bytes\", or the number of ids of a token set's tokenizer, at least 2",
             did_you_mean(value, { "bytes" }))
  end
  return count
end

function types.group(field, value, at)
  if type(value) ~= "table" or is_node(value) then
    complain(at, value, "a table of named fields")
  end
  return resolve(field.fields, value, at)
end

--- One of several constructors; `nodes` is what can be written, `hint(value)` what was meant.
function types.node(field, value, at)
  if not is_node(value) or not field.kinds[value.kind] then
    complain(at, value, field.nodes, field.hint and field.hint(value))
  end
  return field.kinds[value.kind](value, within(at, value))
end

function types.any(_, value)
  return value
end

-- Tables of fields -------------------------------------------------------------------------------

local function names_of(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  return names
end

local function refuse_unknown(fields, name, value, at)
  if type(name) ~= "string" then
    complain(at, value, "only fields with names, name = value", "give this value a name")
  end
  local names = names_of(fields)
  complain(below(at, name), name, "one of the fields " .. table.concat(names, ", "),
           elsewhere[name] and "write " .. elsewhere[name] or
           did_you_mean(name, names) or "there is no such field: remove it")
end

--- The given fields, read by their types, in the order of their names; the rest by default.
function resolve(fields, given, at)
  local result = {}
  for name, value in pairs(given) do
    if not fields[name] then refuse_unknown(fields, name, value, at) end
  end
  for name, field in pairs(fields) do
    local value, here = given[name], below(at, name)
    if value ~= nil then
      result[name] = types[field.type](field, value, here)
    elseif field.required then
      complain(at, nil, "the field " .. name, "add " .. name .. " = " .. (field.example or "..."))
    elseif field.type == "group" and field.default == nil and field.filled then
      result[name] = resolve(field.fields, {}, here)
    else
      result[name] = field.default
    end
    if field.type ~= "group" and field.type ~= "node" and result[name] ~= nil then
      note_origin(here, value ~= nil)
    end
  end
  return result
end

return {
  origins = origins, set_paths = set_paths, types = types,
  new_node = new_node, is_node = is_node, below = below, within = within,
  complain = complain, note_origin = note_origin, in_words = in_words,
  did_you_mean = did_you_mean, resolve = resolve,
}
