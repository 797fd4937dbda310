--- ZB1P (Qi et al. 2023, arXiv 2401.10241): 1F1B with backward split; the gradients of the weights,
--- which nobody waits for, fill the time in which a stage would wait.
local chunking, orders, recompute, plan = pw.chunking, pw.orders, pw.recompute, pw.plan

return policy {
  name    = "zb1p",
  options = { chunk = { 0, least = 0 },                     -- tokens in a chunk; 0: a full context
              spare = { 0, least = 0 },                     -- forwards further ahead
              waiting = { 0, least = 0 } },                 -- most W put off; 0: one a stage
  --- @param batch Batch
  --- @param layout Layout
  --- @param cost Cost
  --- @return Plan
  decide = function(batch, layout, cost, options)
    local limit   = options.chunk > 0 and options.chunk or batch.context
    local chunks  = chunking.whole(batch.sequences, limit)  -- 1 chunks: nothing is cut
    local stages  = layout.stages                           -- 2 where: as laid out for the job
    local waiting = options.waiting > 0 and options.waiting or #stages
    local joint   = orders.one_f_one_b(chunks, #stages, options.spare)
    local best, last
    repeat                                                  -- W that waits takes memory: half as
      local order = cost:arrange {                          --   many, until it fits
        stages = stages, chunks = chunks, order = joint,    -- 3 order: W where a rank would wait
        weights = true, waiting = waiting }
      local levels = recompute.least(stages, order, cost)   -- 4 recompute only what must go
      best = plan.pipeline { stages = stages, chunks = chunks, order = order, recompute = levels }
      last, waiting = waiting == 0, waiting // 2
    until last or cost:fits(best)
    return best
  end,
}
