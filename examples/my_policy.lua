--- A policy of one's own: 1F1B over equal slices of long sequences, short ones packed.
local chunking, orders, recompute, plan = pw.chunking, pw.orders, pw.recompute, pw.plan

return policy {
  name    = "my_policy",
  options = { k = { 4, least = 1 } },                               -- chunks in a full context
  decide  = function(batch, layout, cost, options)
    local limit  = batch.context // options.k
    local long, short = batch:split_at(limit)
    local chunks = chunking.equal_slices(long, limit)               -- 1 chunks: split the long,
    chunking.best_fit(chunks, short, limit)                         --   pack the short
    local stages = layout.stages                                    -- 2 where: as laid out
    local order  = orders.one_f_one_b(chunks, #stages)              -- 3 order
    local levels = recompute.least(stages, order, cost)             -- 4 recompute what must go
    return plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
  end,
}
