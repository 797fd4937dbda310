--- In which order each stage works: a list of operations for each stage, as "F3" and "B3". An order
--- remembers its chunks. `cost:arrange` makes an order of ranks of it where a rank has several
--- stages, and sets the weights' halves apart.
return function()
  local orders = {}

  --- Chunks in the order of their backwards: the chains that hang together one group after another,
  --- within a group the last chunk first. `ends[j]`: how many forwards the j-th one needs.
  local function backwards(chunks)
    local last, list, ends = {}, {}, {}
    for k, chunk in ipairs(chunks) do
      for _, segment in ipairs(chunk.segments) do last[segment[1]] = k end
    end
    local first, past = 1, 0
    for k, chunk in ipairs(chunks) do
      for _, segment in ipairs(chunk.segments) do past = math.max(past, last[segment[1]]) end
      if k == past then
        for i = past, first, -1 do list[#list + 1], ends[#ends + 1] = i - 1, past end
        first = k + 1
      end
    end
    return list, ends
  end

  --- Refuses what no order can be made of, in the policy's line that called.
  local function check(name, chunks, nstages)
    if type(chunks) ~= "table" then
      error("orders." .. name .. ": chunks: found " .. type(chunks) ..
            ", expected a list of chunks, as pw.chunking makes one", 3)
    end
    if math.type(nstages) ~= "integer" or nstages < 1 then
      error("orders." .. name .. ": nstages: found " .. tostring(nstages) ..
            ", expected the number of stages, as #layout.stages", 3)
    end
  end

  --- GPipe's: every forward, then every backward, the last chunk first.
  function orders.all_forward_then_backward(chunks, nstages)
    check("all_forward_then_backward", chunks, nstages)
    local order = { chunks = chunks }
    for s = 1, nstages do
      local list = {}
      for k = 0, #chunks - 1 do list[#list + 1] = "F" .. k end
      for k = #chunks - 1, 0, -1 do list[#list + 1] = "B" .. k end
      order[s] = list
    end
    return order
  end

  --- 1F1B over chunks: forwards in order, just as far ahead of the backwards as the last stage
  --- needs to go on without a pause, and one further for each stage before it. Of whole sequences,
  --- this is plain 1F1B; of a chain of n slices the warm-up is n - 1 longer. `spare` (0 if left
  --- out): so many more everywhere, which costs memory and takes up the unevenness of chunks.
  function orders.one_f_one_b(chunks, nstages, spare)
    check("one_f_one_b", chunks, nstages)
    local order       = { chunks = chunks }
    local list, ends  = backwards(chunks)
    local ahead, most = {}, 0
    for j = #list, 1, -1 do
      most     = math.max(most, ends[j] - j)
      ahead[j] = most
    end
    for s = 1, nstages do
      local operations, forwards = {}, 0
      for j, k in ipairs(list) do
        local needed = math.min(#chunks, j + ahead[j] + nstages - s + (spare or 0))
        while forwards < needed do
          operations[#operations + 1] = "F" .. forwards
          forwards = forwards + 1
        end
        operations[#operations + 1] = "B" .. k
      end
      order[s] = operations
    end
    return order
  end

  return orders
end
