--- What is rebuilt instead of kept: for each chunk a level for each layer (0 keep all, 1 lean, 2
--- the layer's input, 3 not even that).
return function(layout, cost, plan)
  local recompute = {}

  --- Layers that a stage has a part of, counted from 0.
  local function layers_of(stage)
    local list = {}
    for layer = math.floor(stage.first), math.ceil(stage.past) - 1 do list[#list + 1] = layer end
    return list
  end

  --- Refuses what is no list, in the policy's line that called.
  local function check(name, what, value, expected)
    if type(value) ~= "table" then
      error("recompute." .. name .. ": " .. what .. ": found " .. type(value) .. ", expected " ..
            expected, 3)
    end
  end

  local function everywhere(chunks, row)
    local levels = {}
    for k in ipairs(chunks) do levels[k] = row end
    return levels
  end

  --- Everything is kept.
  function recompute.none(chunks)
    check("none", "chunks", chunks, "a list of chunks, as pw.chunking makes one")
    return recompute.uniform(chunks, 0)
  end

  --- The same level in every layer; a stage's first layer keeps its input.
  function recompute.uniform(chunks, level, stages)
    check("uniform", "chunks", chunks, "a list of chunks, as pw.chunking makes one")
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

  --- The least that fits each rank's capacity; the least bytes where nothing does. First the lowest
  --- rung for all chunks, then as few chunks as will do on it, spread evenly, the others one below.
  --- Nothing is kept (level 3) only where inputs alone are too much: rebuilding then takes many
  --- layers at a time.
  function recompute.least(stages, order, judge)
    check("least", "stages", stages, "a list of stages, as layout.stages")
    check("least", "order", order, "an order, as pw.orders makes one")
    check("least", "order.chunks", order.chunks, "a list of chunks, as orders of pw.orders have it")
    judge = judge or cost
    local chunks       = order.chunks
    local ranks, first = layers_by_rank(stages)
    for rank, list in pairs(ranks) do
      if #list == 0 then ranks[rank] = nil end
    end

    --- shares[rank]: how many chunks stand on the rank's rung.
    local function levels_of(rungs, shares)
      local levels = {}
      for k = 1, #chunks do
        local lower = {}
        for rank in pairs(ranks) do
          local share = shares and shares[rank] or #chunks
          local on    = k * share // #chunks > (k - 1) * share // #chunks
          lower[rank] = on and rungs[rank] or math.max(0, rungs[rank] - 1)
        end
        levels[k] = row_of(ranks, first, lower)
      end
      return levels
    end

    local function bytes(rungs, shares)
      return judge:bytes(plan.pipeline { stages = stages, chunks = chunks, order = order,
                                         recompute = levels_of(rungs, shares) })
    end

    --- Of each rank the lowest number from low to high that fits, high where none does, by halving.
    local function lowest(low, high, bytes_at)
      while true do
        local middle, open = {}, false
        for rank in pairs(ranks) do
          middle[rank] = (low[rank] + high[rank]) // 2
          open = open or low[rank] < high[rank]
        end
        if not open then return high end
        local found = bytes_at(middle)
        for rank in pairs(ranks) do
          if low[rank] < high[rank] then
            if found[rank] <= layout.capacity[rank] then
              high[rank] = middle[rank]
            else
              low[rank] = middle[rank] + 1
            end
          end
        end
      end
    end

    local function times_layers(factor)
      local numbers = {}
      for rank, list in pairs(ranks) do numbers[rank] = factor * #list end
      return numbers
    end

    local rungs = times_layers(0)
    local found, tight = bytes(rungs), false
    for rank in pairs(ranks) do tight = tight or found[rank] > layout.capacity[rank] end
    if not tight then return levels_of(rungs) end

    rungs = lowest(times_layers(0), times_layers(2), bytes)
    found = bytes(rungs)
    local low, high, over = {}, {}, false
    for rank, list in pairs(ranks) do
      local too_much = found[rank] > layout.capacity[rank]
      low[rank], high[rank] = rungs[rank], too_much and 3 * #list or rungs[rank]
      over = over or too_much
    end
    if over then
      local higher = lowest(low, high, bytes)
      local after  = bytes(higher)
      for rank in pairs(ranks) do
        if after[rank] < found[rank] then rungs[rank] = higher[rank] end
      end
      found = bytes(rungs)
    end

    for rank in pairs(ranks) do
      local may = rungs[rank] > 0 and found[rank] <= layout.capacity[rank]
      low[rank], high[rank] = may and 1 or #chunks, #chunks
    end
    return levels_of(rungs, lowest(low, high, function(shares) return bytes(rungs, shares) end))
  end

  return recompute
end
