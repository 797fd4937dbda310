--- What every policy sees: `policy`, and `pw` with what policies share. Runs before the policy's
--- file, with `host`: the batch, the layout, and functions of gen/host. Returns the function that
--- runs a policy. docs/POLICIES.md says what all of it means.
local host, chunking, orders, recompute = ...

local function number(value)
  return type(value) == "number"
end

on_unknown = nil

--- The batch, with its methods.
local batch = host.batch
function batch:split_at(limit)
  if not number(limit) then error("batch:split_at: a number of tokens is missing", 2) end
  local long, short = {}, {}
  for _, sequence in ipairs(self.sequences) do
    local list = sequence.length > limit and long or short
    list[#list + 1] = sequence
  end
  return long, short
end

strict(batch, "batch")

local layout, cost = strict(host.layout, "layout"), read_only(host.cost, "cost")

--- Plans are values, of the shape of plan.json.
local plan = {}

--- A list of its own that is handed on as a list, also when it is empty.
local function list_of(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = value end
  return array(list)
end

local function lengths()
  local list = {}
  for i, sequence in ipairs(batch.sequences) do list[i] = sequence.length end
  return array(list)
end

function plan.new(parts)
  if type(parts) ~= "table" then error("plan.new: expected a table", 2) end
  for _, name in ipairs { "pipelines", "chunks", "order" } do
    if type(parts[name]) ~= "table" then
      error("plan.new: " .. name .. ": found " .. type(parts[name]) .. ", expected a list", 2)
    end
  end
  local order = {}
  for rank = 1, layout.ranks do order[rank] = list_of(parts.order[rank] or {}) end
  for rank = layout.ranks + 1, #parts.order do order[rank] = list_of(parts.order[rank]) end
  return {
    format = "pipewright-plan-1", step = batch.step, sequences = lengths(), ranks = layout.ranks,
    pipelines = list_of(parts.pipelines), chunks = list_of(parts.chunks), order = list_of(order),
  }
end

--- From an order of each stage to one of each rank: as it stands where every rank has one stage.
local function by_rank(stages, chunks, order)
  if order.by_rank then return order end
  if #order ~= #stages then
    error("plan.pipeline: order has " .. #order .. " lists, there are " .. #stages .. " stages", 3)
  end
  local ranks = {}
  for s, stage in ipairs(stages) do
    if ranks[stage.rank + 1] then
      return cost:arrange { stages = stages, chunks = chunks, order = order }
    end
    ranks[stage.rank + 1] = order[s]
  end
  for rank = 1, layout.ranks do ranks[rank] = ranks[rank] or {} end
  return ranks
end

function plan.pipeline(parts)
  if type(parts) ~= "table" then error("plan.pipeline: expected a table", 2) end
  for _, name in ipairs { "stages", "chunks", "order" } do
    if type(parts[name]) ~= "table" then
      error("plan.pipeline: " .. name .. ": found " .. type(parts[name]) .. ", expected a list", 2)
    end
  end
  local chunks, stages = {}, {}
  for k, chunk in ipairs(parts.chunks) do
    chunks[k] = { pipeline = 0, segments = list_of(chunk.segments),
                  recompute = parts.recompute and list_of(parts.recompute[k]) }
  end
  for s, stage in ipairs(parts.stages) do
    stages[s] = { ranks = { stage.rank }, layers = { stage.first, stage.past } }
  end
  return plan.new { pipelines = { { stages = stages } }, chunks = chunks,
                    order = by_rank(parts.stages, parts.chunks, parts.order) }
end

local solve = read_only({ best_fit = host.best_fit, divide = host.divide }, "pw.solve")
local shared = { plan = read_only(plan, "pw.plan"), solve = solve }
shared.chunking  = read_only(chunking(batch, cost, solve), "pw.chunking")
shared.orders    = read_only(orders(), "pw.orders")
shared.recompute = read_only(recompute(layout, cost, plan), "pw.recompute")
pw = read_only(shared, "pw")

--- The constructor of a policy's file; what is wrong with it is found when it is run.
function policy(parts)
  return parts
end

-- Options -----------------------------------------------------------------------------------------

--- An option is declared by its default: 4, "tokens", true. Where not every number or text will do,
--- by a table: { 4, least = 1 }, { "tokens", words = { "tokens", "time" } }.
local function declaration(option)
  local is_table = type(option) == "table"
  return is_table and (option.least or option.most or option.words) and option or { option }
end

local function is_one_of(value, words)
  for _, word in ipairs(words) do
    if word == value then return true end
  end
end

local function bounds_in_words(option)
  if option.least and option.most then return " from " .. option.least .. " to " .. option.most end
  if option.least then return " of at least " .. option.least end
  if option.most then return " of at most " .. option.most end
  return ""
end

--- The value as the policy gets it, or nil and what was expected.
local function taken(option, value)
  local default = option[1]
  if option.words then
    return is_one_of(value, option.words) and value or nil,
           '"' .. table.concat(option.words, '", "') .. '"'
  end
  if not number(default) then
    if type(value) == type(default) then return value end
    return nil, "a " .. type(default) .. ", as its default " .. tostring(default)
  end
  local whole = math.type(default) == "integer"
  local read  = number(value) and (not whole and value or math.tointeger(value))
  if read and read >= (option.least or read) and read <= (option.most or read) then return read end
  return nil, (whole and "a whole number" or "a number") .. bounds_in_words(option)
end

local function remedy_for(option, value)
  if option.words then
    local near = type(value) == "string" and nearest(value, option.words)
    return near and 'did you mean "' .. near .. '"?'
  end
  local meant = type(value) == "string" and number(option[1]) and tonumber(value)
  return meant and taken(option, meant) and "write it without quotes: " .. value or nil
end

--- Where the job says an option: "job.lua:7", "--set", or nil.
local function place_of(origins, name)
  local origin = origins["policy." .. name] or origins.policy
  if not origin then return end
  local file, line = origin:match("^(.*):(%d+)$")
  return file or origin, math.tointeger(tonumber(line))
end

--- Every option of the policy: what the job gives, or the default.
local function merged(parts, given, origins)
  local options, declared, names = {}, {}, {}
  for name, option in pairs(parts.options or {}) do
    declared[name] = declaration(option)
    options[name], names[#names + 1] = declared[name][1], name
  end
  for name, value in pairs(given) do
    local function refuse(expected, remedy)
      local file, line = place_of(origins, name)
      error({ file = file, line = line, field = "policy." .. name, found = tostring(value),
              expected = expected, remedy = remedy })
    end
    if not declared[name] then
      local near = nearest(name, names)
      refuse("an option of policy " .. parts.name ..
             (#names > 0 and " (" .. table.concat(names, ", ") .. ")" or ", which has none"),
             near and "did you mean " .. near .. "?" or "remove it")
    end
    local read, expected = taken(declared[name], value)
    if read == nil then refuse(expected, remedy_for(declared[name], value)) end
    options[name] = read
  end
  return options
end

-- The file ----------------------------------------------------------------------------------------

local fields = { { "name", "string", "a text" }, { "options", "table", "a table" },
                 { "decide", "function", "a function" } }

local function check(parts, file)
  local function wrong(text)
    error({ text = file .. ": " .. text })
  end
  if type(parts) ~= "table" then
    wrong("this file returns " .. type(parts) .. ", expected a policy: `return policy { .. }`")
  end
  local names = {}
  for i, field in ipairs(fields) do names[i] = field[1] end
  for key in pairs(parts) do
    if not is_one_of(key, names) then
      local near = nearest(tostring(key), names)
      wrong("policy: there is no field '" .. tostring(key) .. "'" ..
            (near and "; did you mean '" .. near .. "'?" or ""))
    end
  end
  for _, field in ipairs(fields) do
    local name, kind, expected = field[1], field[2], field[3]
    local value = parts[name]
    if name == "options" and value == nil then value = {} end
    if type(value) ~= kind then wrong("policy: " .. name .. ": expected " .. expected) end
  end
end

--- Runs a policy: what its file returned, the options that the job gives, and where it says them.
return function(parts, given, file, origins)
  check(parts, file)
  local options = merged(parts, given, origins)
  local result  = parts.decide(batch, layout, cost, strict(options, "options"))
  if type(result) == "table" then
    result.policy, result.options = parts.name, next(options) and options or nil
  end
  return result, parts.decide
end
