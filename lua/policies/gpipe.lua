--- GPipe (Huang et al. 2019, arXiv 1811.06965): whole sequences, packed; every chunk's forward,
--- then every chunk's backward.
local chunking, orders, recompute, plan = pw.chunking, pw.orders, pw.recompute, pw.plan

return policy {
  name    = "gpipe",
  options = { chunk = { 0, least = 0 } },                   -- tokens in a chunk; 0: a full context
  --- @param batch Batch
  --- @param layout Layout
  --- @param cost Cost
  --- @return Plan
  decide = function(batch, layout, cost, options)
    local limit  = options.chunk > 0 and options.chunk or batch.context
    local chunks = chunking.whole(batch.sequences, limit)   -- 1 chunks: nothing is cut
    local stages = layout.stages                            -- 2 where: as laid out for the job
    local order  = orders.all_forward_then_backward(chunks, #stages)  -- 3 order
    local levels = recompute.least(stages, order, cost)     -- 4 recompute only what must go
    return plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
  end,
}
