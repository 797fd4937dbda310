--- How the sequences of a batch become chunks. A chunk is { segments = { {sequence, start, length}
--- }, tokens = n }; chunks stand in the order in which they flow, those of a sequence in its own.
return function(batch, cost, solve)
  local chunking = {}

  local function segment(sequence, start, length)
    return { sequence.index, start, length }
  end

  local function add(chunks, segments)
    local tokens = 0
    for _, part in ipairs(segments) do tokens = tokens + part[3] end
    chunks[#chunks + 1] = { segments = segments, tokens = tokens }
  end

  --- Refuses what no chunks can be made of, in the policy's line that called.
  local function check(name, sequences, limit)
    if type(sequences) ~= "table" then
      error("chunking." .. name .. ": sequences: found " .. type(sequences) ..
            ", expected a list of sequences, as batch.sequences", 3)
    end
    if math.type(limit) ~= "integer" or limit < 1 then
      error("chunking." .. name .. ": limit: found " .. tostring(limit) ..
            ", expected a whole number of tokens, at least 1", 3)
    end
  end

  --- Longest first: behind the long chains the short ones fill the pipeline's end.
  local function longest_first(sequences)
    local list = {}
    for i, sequence in ipairs(sequences) do list[i] = sequence end
    table.sort(list, function(a, b) return a.length > b.length end)
    return list
  end

  --- Puts whole sequences where room is left in `chunks`, the largest first, each where it fits
  --- best; then into new chunks of up to `limit` tokens. A longer one is a chunk of its own.
  function chunking.best_fit(chunks, sequences, limit)
    check("best_fit", sequences, limit)
    local sizes, room = {}, {}
    for i, sequence in ipairs(sequences) do sizes[i] = sequence.length end
    for k, chunk in ipairs(chunks) do room[k] = math.max(0, limit - chunk.tokens) end
    for i, bin in ipairs(solve.best_fit(sizes, limit, room)) do
      local chunk = chunks[bin] or { segments = {}, tokens = 0 }
      chunks[bin] = chunk
      chunk.segments[#chunk.segments + 1] = segment(sequences[i], 0, sizes[i])
      chunk.tokens = chunk.tokens + sizes[i]
    end
    return chunks
  end

  --- Whole sequences, packed.
  function chunking.whole(sequences, limit)
    check("whole", sequences, limit)
    return chunking.best_fit({}, sequences, limit)
  end

  --- Every sequence in as few slices of at most `limit` tokens as there can be, all as long, within
  --- one token.
  function chunking.equal_slices(sequences, limit)
    check("equal_slices", sequences, limit)
    local chunks = {}
    for _, sequence in ipairs(longest_first(sequences)) do
      local slices, start = (sequence.length + limit - 1) // limit, 0
      for i = 1, slices do
        local past = sequence.length * i // slices
        add(chunks, { segment(sequence, start, past - start) })
        start = past
      end
    end
    return chunks
  end

  --- Tokens from `start` on whose forward takes `seconds`, by halving.
  local function tokens_in(sequence, start, seconds)
    local low, high = 1, sequence.length - start
    while low < high do
      local middle = (low + high + 1) // 2
      if cost:seconds({ segment(sequence, start, middle) }) <= seconds then
        low = middle
      else
        high = middle - 1
      end
    end
    return low
  end

  --- As many slices as equal_slices makes, all of the same time: later ones, with more context
  --- before them, are shorter.
  function chunking.equal_time_slices(sequences, limit)
    check("equal_time_slices", sequences, limit)
    local chunks = {}
    for _, sequence in ipairs(longest_first(sequences)) do
      local slices, start = (sequence.length + limit - 1) // limit, 0
      local seconds = cost:seconds({ segment(sequence, 0, sequence.length) }) / slices
      for i = slices, 2, -1 do
        local most   = sequence.length - start - i + 1
        local length = math.min(tokens_in(sequence, start, seconds), most)
        add(chunks, { segment(sequence, start, length) })
        start = start + length
      end
      add(chunks, { segment(sequence, start, sequence.length - start) })
    end
    return chunks
  end

  return chunking
end
