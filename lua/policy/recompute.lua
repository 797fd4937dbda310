--- What is rebuilt instead of kept: for each chunk a level for each layer (0 keep all, 1 lean, 2 the
--- layer's input, 3 not even that).
return function(layout, cost, plan)
  local recompute = {}

  --- Layers that a stage has a part of, counted from 0.
  local function layers_of(stage)
    local list = {}
    for layer = math.floor(stage.first), math.ceil(stage.past) - 1 do list[#list + 1] = layer end
    return list
  end

  local function everywhere(chunks, row)
    local levels = {}
    for k in ipairs(chunks) do levels[k] = row end
    return levels
  end

  --- Everything is kept.
  function recompute.none(chunks)
    return recompute.uniform(chunks, 0)
  end

  --- The same level in every layer; a stage's first layer keeps its input.
  function recompute.uniform(chunks, level, stages)
    local row = {}
    for layer = 1, layout.layers do row[layer] = level end
    if level == 3 then
      for _, stage in ipairs(stages or layout.stages) do
        local first = layers_of(stage)[1]
        if first then row[first + 1] = 2 end
      end
    end
    return everywhere(chunks, row)
  end

  --- The layers of each rank, in order, and which of them are the first of a stage.
  local function layers_by_rank(stages)
    local ranks, first = {}, {}
    for _, stage in ipairs(stages) do
      local list = ranks[stage.rank + 1] or {}
      for i, layer in ipairs(layers_of(stage)) do
        list[#list + 1] = layer
        if i == 1 then first[layer] = true end
      end
      ranks[stage.rank + 1] = list
    end
    return ranks, first
  end

  --- A ladder of 3 n rungs for a rank of n layers: one layer after another becomes lean, then keeps
  --- its input alone, then nothing. A layer that two ranks share takes the higher of both levels.
  local function row_of(ranks, first, rungs)
    local row = {}
    for layer = 1, layout.layers do row[layer] = 0 end
    for rank, list in pairs(ranks) do
      local n = #list
      for i, layer in ipairs(list) do
        local level = rungs[rank] // n + (rungs[rank] % n >= i and 1 or 0)
        if level == 3 and first[layer] then level = 2 end
        row[layer + 1] = math.max(row[layer + 1], level)
      end
    end
    return row
  end

  --- The lowest rung of each rank on which the plan fits its capacity; the highest where none does.
  function recompute.least(stages, order, cost_)
    local judge, chunks = cost_ or cost, order.chunks
    local ranks, first  = layers_by_rank(stages)
    local low, high     = {}, {}
    for rank, list in pairs(ranks) do
      if #list == 0 then ranks[rank] = nil else low[rank], high[rank] = 0, 3 * #list end
    end
    local function bytes(rungs)
      return judge:bytes(plan.pipeline { stages = stages, chunks = chunks, order = order,
                                         recompute = everywhere(chunks, row_of(ranks, first, rungs)) })
    end
    local rungs, found = {}, bytes(low)
    for rank in pairs(ranks) do
      if found[rank] <= layout.capacity[rank] then high[rank] = 0 end
    end
    repeat
      local open = false
      for rank in pairs(ranks) do
        rungs[rank] = (low[rank] + high[rank]) // 2
        open = open or low[rank] < high[rank]
      end
      found = open and bytes(rungs)
      for rank in pairs(ranks) do
        if open and low[rank] < high[rank] then
          if found[rank] <= layout.capacity[rank] then
            high[rank] = rungs[rank]
          else
            low[rank] = rungs[rank] + 1
          end
        end
      end
    until not open
    return everywhere(chunks, row_of(ranks, first, high))
  end

  return recompute
end
