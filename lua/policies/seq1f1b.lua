--- Seq1F1B (Sun et al. 2024, arXiv 2406.03488): 1F1B over slices of long sequences; short ones are
--- packed. Along a chain forward runs in order and backward in reverse.
local chunking, orders, recompute, plan = pw.chunking, pw.orders, pw.recompute, pw.plan

return policy {
  name    = "seq1f1b",
  options = { slices = { 4, least = 1 },                    -- chunks in a full context
              balance = { "tokens", words = { "tokens", "time" } },  -- what slices have equal
              spare = { 0, least = 0 } },                   -- forwards further ahead
  --- @param batch Batch
  --- @param layout Layout
  --- @param cost Cost
  --- @return Plan
  decide = function(batch, layout, cost, options)
    local limit = math.max(1, batch.context // options.slices)  -- tokens in a chunk
    local long, short = batch:split_at(limit)
    local cut    = options.balance == "time" and chunking.equal_time_slices
                   or chunking.equal_slices
    local chunks = cut(long, limit)                         -- 1 chunks: split the long,
    chunking.best_fit(chunks, short, limit)                 --   pack the short
    local stages = layout.stages                            -- 2 where: as laid out for the job
    local order  = orders.one_f_one_b(chunks, #stages, options.spare)  -- 3 order
    local levels = recompute.least(stages, order, cost)     -- 4 recompute only what must go
    return plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
  end,
}
