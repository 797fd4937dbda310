--- ChunkFlow (Yuan et al. 2025, arXiv 2503.02356): chunks of one size. Longer sequences are cut
--- into chains of them, shorter ones packed. Of a chain only the last K chunks keep what backward
--- needs; the earlier ones keep their layers' inputs and are forwarded again, just before their
--- backward. Departs from it in two ways: an earlier chunk's backward comes in falling order, since
--- the gradients of keys and values ask for that; its layers' inputs stay instead of only its
--- first.
local chunking, orders, plan = pw.chunking, pw.orders, pw.plan

--- For each chunk its number in its chain, from 0, and how many the chain has.
local function places(chunks)
  local count, place = {}, {}
  for k, chunk in ipairs(chunks) do
    local sequence = chunk.segments[1][1]
    place[k] = count[sequence] or 0
    count[sequence] = place[k] + 1
  end
  return place, function(k) return count[chunks[k].segments[1][1]] end
end

return policy {
  name    = "chunkflow",
  options = { chunk = { 0, least = 0 },                     -- tokens in a chunk; 0: context / 4
              keep = { 1, least = 0 } },                    -- K: chunks of a chain that keep all
  --- @param batch Batch
  --- @param layout Layout
  --- @param cost Cost
  --- @return Plan
  decide = function(batch, layout, cost, options)
    local limit = options.chunk > 0 and options.chunk or math.max(1, batch.context // 4)
    local long, short = batch:split_at(limit)
    local chunks = chunking.equal_slices(long, limit)       -- 1 chunks: cut the long,
    local chains = #chunks
    chunking.best_fit(chunks, short, limit)                 --   pack the short
    local stages = layout.stages                            -- 2 where: as laid out for the job
    local order  = orders.one_f_one_b(chunks, #stages)      -- 3 order
    local place, length = places(chunks)
    local levels = {}                                       -- 4 recompute: all but K of a chain
    for k in ipairs(chunks) do
      local early = k <= chains and place[k] < length(k) - options.keep
      levels[k] = {}
      for layer = 1, layout.layers do levels[k][layer] = early and 2 or 0 end
    end
    return plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
  end,
}
