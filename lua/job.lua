--- The job language: constructors, what each field may be, and what several must agree on. Runs
--- before the user's file, in the same child; returns `finish(value)`, which turns what that file
--- returned into the resolved tree that gen/forms/job.c reads.
---
--- `host`, by gen/job/parse.c: ours(name, ...) runs one of our files; constructor(f) makes a
--- function that calls f(file, line, ...) with where it was called; field_line(file, line,
--- constructor, path) is the line of a field of the table that was given to a constructor there,
--- or nil; config(name) reads a JSON file beside the job, or returns nil and why not; job is the
--- job's file; sets is the list of `--set` texts; policies and families are the names of those that
--- are shipped.
local host = ...
local units = host.ours("units.lua")
local json = host.ours("json.lua")
local families = {}
for _, family in ipairs(host.families) do
  families[family] = host.ours("models/" .. family .. ".lua", host)
end
local reading = host.ours("fields.lua", host, units)
local types, resolve, complain = reading.types, reading.resolve, reading.complain
local below, within, is_node = reading.below, reading.within, reading.is_node
local new_node, in_words = reading.new_node, reading.in_words
local did_you_mean, note_origin = reading.did_you_mean, reading.note_origin
local origins, set_paths = reading.origins, reading.set_paths

-- The constructors -------------------------------------------------------------------------------

--- What makes a node of this kind. `short` names the field that a single text, or a value without a
--- name, stands for.
local function maker(kind, short)
  return function(file, line, given, ...)
    local node = new_node(kind, given, file, line)
    local at = { path = kind, node = node, inner = "" }
    if short and type(given) ~= "table" then
      node.fields = { [short] = given }
    elseif type(given) ~= "table" or is_node(given) then
      complain(at, given, "a table of fields: " .. kind .. " { name = value, ... }")
    end
    if select("#", ...) > 0 then complain(at, (...), "one value in " .. kind) end
    if short and node.fields[1] ~= nil and node.fields[short] == nil then
      node.fields[short], node.fields[1] = node.fields[1], nil
    end
    return node
  end
end

local function constructor(kind, short)
  return host.constructor(maker(kind, short))
end

local constructors = {
  job = constructor("job"),
  hf = constructor("hf", "config"),
  text = constructor("text", "files"), jsonl = constructor("jsonl", "files"),
  token_set = constructor("token_set", "prefix"),
  cpu = constructor("cpu"),
  tokens = constructor("tokens", "count"), sequences = constructor("sequences", "count"),
  adamw = constructor("adamw"),
  constant = constructor("constant"), cosine = constructor("cosine"), wsd = constructor("wsd"),
}
for _, family in ipairs(host.families) do constructors[family] = constructor(family) end
local make_lengths = maker("lengths", "path")
constructors.lengths = setmetatable({ from_file = constructor("from_file", "path") }, {
  __call = host.constructor(function(file, line, _, ...) return make_lengths(file, line, ...) end),
  __metatable = "lengths",
})

-- What a job is ----------------------------------------------------------------------------------

local function fields_node(fields, finish)
  return function(node, at)
    local result = resolve(fields, node.fields, at)
    return finish and finish(result, at) or result
  end
end

--- Model: the shape, resolved; its operations are made when the whole job is known.
local function complete_model(family)
  return function(shape, at)
    shape.family = family
    families[family].complete(shape, function(field, found, expected, remedy)
      complain(below(at, field), found, expected, remedy)
    end)
    shape.tokenizer = shape.vocab == "bytes" and "bytes" or "none"
    shape.vocabulary = shape.vocab == "bytes" and 257 or shape.vocab      -- 256, end of document
    return shape
  end
end

local model_kinds = {}
for _, family in ipairs(host.families) do
  model_kinds[family] = fields_node(families[family].fields, complete_model(family))
end

--- hf "config.json", or hf { config = "config.json", ... } with fields of the family that differ.
--- A config without a model_type is an old Llama's.
local function finish_hf(node, at)
  local name = node.fields.config
  if type(name) ~= "string" then
    complain(below(at, "config"), name, "the path of a Hugging Face config.json")
  end
  local config, why = host.config(name)
  if not config then
    complain(below(at, "config"), name,
             "a Hugging Face config.json in the job's folder or below it", why)
  end
  local function wrong(key, found, wanted)
    error({ file = name, field = key, found = in_words(found), expected = wanted })
  end
  local family = config.model_type or "llama"
  if not families[family] then
    wrong("model_type", family,
          "one of the families that are built: " .. table.concat(host.families, ", "))
  end
  local given = families[family].from_config(config, wrong)
  for field, value in pairs(node.fields) do
    if field ~= "config" then given[field] = value end
  end
  local shape = model_kinds[family]({ fields = given }, at)
  shape.config = name
  return shape
end
model_kinds.hf = finish_hf

--- Documents -----
local context = { type = "tokens", least = 2, most = 1 << 30, default = 2048 }
local function data_fields(more)
  local fields = {
    context = context,
    long = { type = "word", words = { "split", "cut", "error" }, default = "split" },
    held_out = { type = "share", least = 0, most = 0.9, default = 0.02 },
  }
  for name, field in pairs(more) do fields[name] = field end
  return fields
end

local function data_kind(kind, path, more)
  return fields_node(data_fields(more), function(data)
    data.kind, data.path = kind, data[path]
    return data
  end)
end

local files = { type = "text", required = true, example = "\"folder\"" }
local lengths_path = { type = "text", required = true, example = "\"lengths.json\"" }
local data_kinds = {
  text = data_kind("text", "files", { files = files }),
  jsonl = data_kind("jsonl", "files", {
    files = files,
    text = { type = "text", default = "text" },
    prompt = { type = "text", default = "prompt" },
    completion = { type = "text", default = "completion" },
  }),
  token_set = data_kind("token_set", "prefix", {
    prefix = { type = "text", required = true, example = "\"folder/tokens\"" },
  }),
  lengths = data_kind("lengths", "path", { path = lengths_path }),
  from_file = data_kind("lengths", "path", { path = lengths_path }),
}

--- Layout: `borders` are layers, 0 first and all last; a half is between core and post.
function types.borders(_, value, at)
  local right = type(value) == "table" and not is_node(value) and #value >= 2
  for i = 1, right and #value or 0 do
    local border = type(value[i]) == "number" and value[i]
    right = right and border and math.tointeger(2 * border) ~= nil and
      (i == 1 and border == 0 or i > 1 and border >= value[i - 1])
  end
  if not right then
    complain(at, value, "a list of borders that rise from 0 to the number of layers by halves",
             "write it as { 0, 3, 6 }")
  end
  return array(table.move(value, 1, #value, 1, {}))
end

--- policy: "name", { "name", option = value }, or a file's name in place of a name.
function types.policy(_, value, at)
  local options = {}
  local name = value
  if type(value) == "table" and not is_node(value) then
    name = value[1]
    for option, chosen in pairs(value) do
      if option ~= 1 then
        if type(option) ~= "string" then complain(at, chosen, "options with names") end
        options[option] = chosen
        note_origin(below(at, option), true)
      end
    end
  end
  if type(name) ~= "string" then
    complain(at, value,
             "the name of a policy, { \"name\", option = value }, or a file \"mine.lua\"")
  end
  if not name:find("%.lua$") then
    local known = false
    for _, shipped in ipairs(host.policies) do known = known or shipped == name end
    if not known then
      complain(at, name, "one of the policies " .. table.concat(host.policies, ", ") ..
               ", or a file that ends in .lua", did_you_mean(name, host.policies))
    end
  end
  return { name = name, options = options }
end

local function curve(kind, more)
  local fields = { warmup = { type = "whole", least = 0, most = 1 << 40, default = 0 } }
  for name, field in pairs(more) do fields[name] = field end
  return fields_node(fields, function(result)
    result.kind = kind
    return result
  end)
end

local rate = { type = "number", least = 0 }
local steps_from_0 = { type = "whole", least = 0, most = 1 << 40 }
local function steps(default)
  return { type = "whole", least = 0, most = 1 << 40, default = default }
end

local function count_node(kind, field)
  return fields_node({ count = field }, function(result)
    return { kind = kind, count = result.count }
  end)
end

local train = {
  batch = {
    type = "node", required = true, example = "tokens \"32K\"",
    nodes = "tokens \"32K\" or sequences(512)",
    kinds = {
      tokens = count_node("tokens", { type = "tokens", least = 1, required = true }),
      sequences = count_node("sequences",
                             { type = "whole", least = 1, most = 1 << 30, required = true }),
    },
    hint = function(value)
      if not units.tokens(value) then return nil end
      return type(value) == "string" and "write tokens \"" .. value .. "\"" or
        "write tokens(" .. value .. ") or sequences(" .. value .. ")"
    end,
  },
  steps = { type = "whole", least = 1, most = 1 << 40, required = true, example = "300" },
  seed = { type = "whole", least = 0, most = math.maxinteger, default = 1 },
  clip = { type = "number", least = 0, default = 1.0 },
  optimizer = {
    type = "node", nodes = "adamw { lr = \"1e-3\", ... }",
    kinds = {
      adamw = fields_node {
        lr = { type = "number", above = 0, default = 1e-3 },
        weight_decay = { type = "number", least = 0, default = 0.1 },
        beta1 = { type = "number", least = 0, below = 1, default = 0.9 },
        beta2 = { type = "number", least = 0, below = 1, default = 0.95 },
        epsilon = { type = "number", above = 0, default = 1e-8 },
      },
    },
  },
  curve = {
    type = "node", nodes = "constant { ... }, cosine { ... } or wsd { ... }",
    kinds = {
      constant = curve("constant", {}),
      cosine = curve("cosine", { final = rate }),
      wsd = curve("wsd", { final = rate, decay = steps_from_0 }),
    },
  },
  save = {
    type = "group", filled = true,
    fields = {
      every = steps(100),
      keep = { type = "whole", least = 2, most = 1 << 20, default = 2 },   -- the newest ones
      keep_every = steps(0),                                               -- K: and every K-th
    },
  },
  evaluate = { type = "group", filled = true, fields = { every = steps(0) } },
  from = { type = "text" },
}

local job = {
  model = {
    type = "node", required = true, example = "llama { layers = 6, ... }",
    nodes = table.concat(host.families, " { ... }, ") .. " { ... } or hf \"config.json\"",
    kinds = model_kinds,
  },
  data = {
    type = "node", required = true, example = "text { files = \"corpus\" }",
    nodes = "text { ... }, jsonl { ... }, token_set \"PREFIX\" or lengths \"lengths.json\"",
    kinds = data_kinds,
    hint = function(value)
      if type(value) == "string" then return "write text { files = \"" .. value .. "\" }" end
    end,
  },
  cluster = {
    type = "node", nodes = "cpu { ranks = 2, memory = \"1 GiB\" }",
    kinds = {
      cpu = fields_node({
        ranks = { type = "whole", least = 1, most = 4096, default = 1 },
        memory = { type = "bytes", least = 1 << 20, default = 1 << 30 },
        precision = { type = "word", words = { "float", "double" }, default = "float" },
      }, function(cluster)
        cluster.device = "cpu"
        return cluster
      end),
    },
  },
  layout = { type = "group", filled = true, fields = {
    stages = { type = "whole", least = 1, most = 1 << 14 },
    borders = { type = "borders" },
  } },
  policy = { type = "policy", default = { name = "seq1f1b", options = {} } },
  train = { type = "group", required = true, example = "{ batch = tokens \"32K\", steps = 300 }",
            fields = train },
}

-- What several fields must agree on --------------------------------------------------------------

--- The place of a field that may lie in a constructor of its own.
local function find(root, path)
  local at, value = root, root.node.fields
  for name in path:gmatch("[^.]+") do
    at = below(at, name)
    value = type(value) == "table" and value[name] or nil
    if is_node(value) then
      at, value = within(at, value), value.fields
    end
  end
  return at
end

local function check_layout(tree, root)
  local layout, ranks, layers = tree.layout, tree.cluster.ranks, tree.model.layers
  local borders = layout.borders
  if borders and borders[#borders] ~= layers then
    complain(find(root, "layout.borders"), borders[#borders],
             "the last border to be the number of layers, " .. layers)
  end
  if borders and layout.stages and layout.stages ~= #borders - 1 then
    complain(find(root, "layout.stages"), layout.stages,
             (#borders - 1) .. ", as many stages as layout.borders make")
  end
  if not layout.stages then origins["layout.stages"] = "default" end
  layout.stages = layout.stages or borders and #borders - 1 or ranks
  local where = root.node.fields.layout and "layout.stages" or "cluster.ranks"
  if layout.stages > 2 * layers then
    complain(find(root, where), layout.stages,
             "at most " .. 2 * layers .. " stages: a model of " .. layers ..
             " layers is cut into halves of layers", "take fewer stages, or more layers")
  end
  if layout.stages < ranks then
    complain(find(root, where), layout.stages,
             "at least as many stages as cluster.ranks = " .. ranks ..
             ": every rank has a stage of its own", "take fewer ranks, or more stages")
  end
end

local function check_data(tree, root)
  local data, batch = tree.data, tree.train.batch
  if (data.kind == "text" or data.kind == "jsonl") and tree.model.tokenizer ~= "bytes" then
    complain(find(root, "model.vocab"), tree.model.vocab,
             "\"bytes\": documents are read as bytes",
             "or take a token set whose ids are below " .. tree.model.vocab ..
             ": data = token_set \"PREFIX\"")
  end
  if batch.kind == "tokens" and batch.count < data.context then
    complain(find(root, "train.batch"), batch.count,
             "at least one sequence of data.context = " .. data.context .. " tokens",
             "take a larger batch or a shorter context")
  end
end

local function check_train(tree, root)
  local train = tree.train
  local curve, lr = train.curve, train.optimizer.lr
  if curve.kind == "wsd" then curve.decay = curve.decay or train.steps // 5 end
  curve.decay = curve.decay or 0
  local final = { constant = lr, cosine = lr / 10, wsd = 0 }
  curve.final = curve.final or final[curve.kind]
  -- a run that --set made short, to try something, may end before its warm-up
  if curve.warmup + curve.decay > train.steps and not set_paths["train.steps"] then
    complain(find(root, "train.curve.warmup"), curve.warmup + curve.decay,
             "warmup and decay within train.steps = " .. train.steps)
  end
  if curve.final > lr then
    complain(find(root, "train.curve.final"), curve.final,
             "at most the optimizer's lr = " .. lr)
  end
  if train.evaluate.every > 0 and tree.data.held_out == 0 then
    complain(find(root, "data.held_out"), 0, "a share of documents to evaluate on",
             "write held_out = \"2%\", or remove train.evaluate")
  end
end

-- --set ------------------------------------------------------------------------------------------

--- The text after '=': a Lua value that may use constructors, else the text itself.
local function set_value(text)
  local chunk = load("return " .. text, "=--set", "t", setmetatable({}, { __index = constructors }))
  local ok, value
  if chunk then ok, value = pcall(chunk) end
  if not ok or value == nil or type(value) == "function" or getmetatable(value) == "lengths" then
    return text
  end
  return value
end

local function apply_set(node, set)
  local path, text = set:match("^%s*-*([%w_.]+)%s*=(.*)$")
  if not path then
    error({ file = "--set", found = set, expected = "FIELD=VALUE", remedy = "as train.steps=10" })
  end
  local fields, name = node.fields, nil
  for part in path:gmatch("[^.]+") do
    if name then
      local next_fields = fields[name]
      if is_node(next_fields) then
        next_fields = next_fields.fields
      elseif type(next_fields) ~= "table" then             -- none yet; "gpipe" as { "gpipe" }
        next_fields = { next_fields }
        fields[name] = next_fields
      end
      fields = next_fields
    end
    name = part
  end
  fields[name] = set_value(text)
  set_paths[path] = set:match("^%-%-[%w_]+") or "--set"    -- "--policy=gpipe": an option of its own
end

-- The model as its table ------------------------------------------------------------------------

local function model_lines(model)
  local shape, parts = model, families[model.family].parts(model)
  local rope = shape.rope_scaling
  local lines = { "model " .. shape.family }
  local function add(form, ...) lines[#lines + 1] = string.format(form, ...) end
  for _, name in ipairs { "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocabulary",
                          "context" } do
    add("%s %d", name, shape[name])
  end
  add("tied %s", shape.tied and "yes" or "no")
  add("epsilon %.17g", shape.epsilon)
  add("rope_theta %.17g", shape.rope_theta)
  add("rope %s factor %.17g low_frequency %.17g high_frequency %.17g original_context %d " ..
      "attention_factor %.17g beta_fast %.17g beta_slow %.17g", rope.type, rope.factor or 1,
      rope.low_frequency or 0, rope.high_frequency or 0, rope.original_context or 0,
      rope.attention_factor or 0, rope.beta_fast or 0, rope.beta_slow or 0)
  add("tokenizer %s", shape.tokenizer)
  local config = families[model.family].to_config(shape, json.null)
  for key, value in pairs(config) do add("config %s %s", key, json.text(value)) end
  for _, w in ipairs(parts.weights) do
    local tensors = {}
    for i, tensor in ipairs(w.tensors) do tensors[i] = tensor[1] .. " " .. tensor[2] end
    add("weight %s %s rows %d columns %d deviation %.17g decays %s tied %s %s", w.name, w.part,
        w.rows, w.columns, w.deviation, w.decays and "yes" or "no", w.tied or "-",
        table.concat(tensors, " "))
  end
  for _, v in ipairs(parts.values) do add("value %s %s columns %d", v[1], v[2], v[3]) end
  for _, o in ipairs(parts.operations) do
    add("operation %s %s %s -> %s", o[1], o[2], o[3], o[4])
  end
  return lines
end

-- From what the file returned to the tree -------------------------------------------------------

for name, make in pairs(constructors) do _ENV[name] = make end

--- A name that is no constructor, where one must stand: which there are.
local made_of = { model = job.model, data = job.data, cluster = job.cluster, batch = train.batch,
                  optimizer = train.optimizer, curve = train.curve }
on_unknown(function(name, field)
  local node = made_of[field]
  if not node then return field == "policy" and "write policy = \"" .. name .. "\"" or nil end
  local names = {}
  for kind in pairs(node.kinds) do names[#names + 1] = kind end
  local near = nearest(name, names)
  return (near and "the nearest right one is '" .. near .. "'; " or "") ..
    field .. " is written " .. node.nodes
end)
on_unknown = nil

--- Constructors that may be left out stand there all the same, for --set to change.
local function fill_in(fields, file, line)
  fields.cluster = fields.cluster or new_node("cpu", {}, file, line)
  local train = fields.train
  if type(train) == "table" and not is_node(train) then
    train.optimizer = train.optimizer or new_node("adamw", {}, file, line)
    train.curve = train.curve or new_node("constant", {}, file, line)
  end
end

local function finish(value)
  if not is_node(value) or value.kind ~= "job" then
    error({ file = host.job, found = in_words(value), expected = "the file to return job { ... }",
            remedy = "begin it with: return job {" })
  end
  local root = { path = "", node = value, inner = "" }
  fill_in(value.fields, value.file, value.line)
  for _, set in ipairs(host.sets) do apply_set(value, set) end
  fill_in(value.fields, value.file, value.line)
  local tree = resolve(job, value.fields, root)
  check_layout(tree, root)
  check_data(tree, root)
  check_train(tree, root)
  tree.model.context = tree.data.context
  tree.model_table = model_lines(tree.model)
  tree.origin = origins
  return tree
end

return finish
