--- 1F1B (Narayanan et al. 2019, PipeDream; 2021, arXiv 2104.04473): whole sequences, packed; after
--- a short warm-up each stage does one forward and one backward in turn, so few chunks are kept.
local chunking, orders, recompute, plan = pw.chunking, pw.orders, pw.recompute, pw.plan

return policy {
  name    = "1f1b",
  options = { chunk = { 0, least = 0 },                     -- tokens in a chunk; 0: a full context
              spare = { 0, least = 0 } },                   -- forwards further ahead
  --- @param batch Batch
  --- @param layout Layout
  --- @param cost Cost
  --- @return Plan
  decide = function(batch, layout, cost, options)
    local limit  = options.chunk > 0 and options.chunk or batch.context
    local chunks = chunking.whole(batch.sequences, limit)   -- 1 chunks: nothing is cut
    local stages = layout.stages                            -- 2 where: as laid out for the job
    local order  = orders.one_f_one_b(chunks, #stages, options.spare)  -- 3 order
    local levels = recompute.least(stages, order, cost)     -- 4 recompute only what must go
    return plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
  end,
}
