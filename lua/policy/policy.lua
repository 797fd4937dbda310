--- What every policy sees: `policy`, and `pw` with what policies share. Runs before the policy's
--- file, with `host`: the batch, the layout, and functions of gen/host. Returns the function that
--- runs a policy. docs/POLICIES.md says what all of it means.
local host, chunking, orders, recompute = ...

local function number(value)
  return type(value) == "number"
end

local function refuse(field, found, expected, remedy)
  error({ field = field, found = found, expected = expected, remedy = remedy })
end

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

local layout, cost = host.layout, read_only(host.cost, "cost")

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

local solve = read_only({ best_fit = host.best_fit, divide = host.divide }, "solve")
local shared = { plan = read_only(plan, "plan"), solve = solve }
shared.chunking  = read_only(chunking(batch, cost, solve), "chunking")
shared.orders    = read_only(orders(), "orders")
shared.recompute = read_only(recompute(layout, cost, plan), "recompute")
pw = read_only(shared, "pw")

--- The constructor of a policy's file; what is wrong with it is found when it is run.
function policy(parts)
  return parts
end

local fields = { "name", "options", "decide" }
local function check(parts, file)
  local function wrong(text)
    error(file .. ": " .. text, 0)
  end
  if type(parts) ~= "table" then
    wrong("this file returns " .. type(parts) .. ", expected a policy: `return policy { .. }`")
  end
  for key in pairs(parts) do
    if key ~= "name" and key ~= "options" and key ~= "decide" then
      local near = nearest(tostring(key), fields)
      wrong("policy: there is no field '" .. tostring(key) .. "'" ..
            (near and "; did you mean '" .. near .. "'?" or ""))
    end
  end
  if type(parts.name) ~= "string" then wrong("policy: name: expected a text") end
  if type(parts.decide) ~= "function" then wrong("policy: decide: expected a function") end
  if type(parts.options or {}) ~= "table" then wrong("policy: options: expected a table") end
end

local function merged(parts, given)
  local options, names = {}, {}
  for name, default in pairs(parts.options or {}) do
    options[name], names[#names + 1] = default, name
  end
  for name, value in pairs(given) do
    local default, field = options[name], "policy." .. tostring(name)
    if default == nil then
      local near = nearest(tostring(name), names)
      refuse(field, tostring(value), "an option of policy " .. parts.name ..
             (#names > 0 and " (" .. table.concat(names, ", ") .. ")" or ", which has none"),
             near and "did you mean " .. near .. "?" or nil)
    end
    if type(value) ~= type(default) then
      refuse(field, tostring(value), "a " .. type(default) .. ", as its default " ..
             tostring(default))
    end
    options[name] = value
  end
  return options
end

--- Runs a policy: what its file returned, the options that the job gives.
return function(parts, given, file)
  check(parts, file)
  local options = merged(parts, given)
  local result  = parts.decide(batch, layout, cost, options)
  if type(result) == "table" then
    result.policy, result.options = parts.name, next(options) and options or nil
  end
  return result, parts.decide
end
