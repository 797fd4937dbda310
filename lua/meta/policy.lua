---@meta
--- What a policy sees, for editors. docs/POLICIES.md explains it; lua/policy/ is what counts.

---@class Sequence
---@field index integer counts from 0
---@field length integer tokens

---@class Batch the sequences of one step
---@field step integer
---@field context integer tokens
---@field tokens integer of all sequences
---@field sequences Sequence[]
local Batch = {}

--- Sequences longer than `limit` tokens, and the others.
---@param limit number
---@return Sequence[] long
---@return Sequence[] short
function Batch:split_at(limit) end

---@class Stage
---@field rank integer counts from 0
---@field first number layers [first, past), in steps of 0.5
---@field past number

---@class Layout fixed for the job
---@field ranks integer
---@field layers integer
---@field stages Stage[]
---@field capacity integer[] bytes, by rank, rank 0 first
---@field static integer[] bytes of weights, gradients, moments, by rank

---@alias Segment integer[] sequence, start, length

---@class Chunk
---@field segments Segment[] at most one of a sequence
---@field tokens integer

---@alias OrderList string[][] for each stage its operations: "F3", "B3"
---@alias Levels integer[][] for each chunk a level a layer: 0 all, 1 lean, 2 input, 3 none

---@class Plan a value: make many, return one
---@field pipelines table[]
---@field chunks table[]
---@field order OrderList by rank

---@class Cost
local Cost = {}

--- Seconds of one chunk through all stages, forward and backward.
---@param segments Segment[]
---@param stages? Stage[]
---@return number
function Cost:seconds(segments, stages) end

---@class ChunkCosts lists over the stages, as in plan.json --with-costs
---@field forward number[]
---@field backward number[]
---@field weight number[]
---@field transfer number[]
---@field rebuild number[][]
---@field keep integer[][]
---@field held integer[]
---@field grow integer[]
---@field shrink integer[]
---@field scratch integer[]

---@param segments Segment[]
---@param stages? Stage[]
---@return ChunkCosts
function Cost:chunk(segments, stages) end

---@param plan Plan
---@return { seconds: number, bound: number, bubble: number }
function Cost:simulate(plan) end

---@param plan Plan
---@return integer[] peak of each rank in bytes
function Cost:bytes(plan) end

---@param plan Plan
---@return boolean
function Cost:fits(plan) end

---@class ArrangeFields
---@field stages Stage[]
---@field chunks Chunk[]
---@field order OrderList by stage
---@field weights? boolean split backward; W fills the time in which a rank would wait
---@field waiting? integer the most W that are put off on one rank

--- An order of ranks made of one of stages, by list scheduling.
---@param fields ArrangeFields
---@return OrderList
function Cost:arrange(fields) end

--- An option that not every value will do for: its default, and what is allowed.
---@class PolicyOption
---@field [1] number|string
---@field least? number
---@field most? number
---@field words? string[]

---@class PolicyFields
---@field name string
---@field options? table<string, number|string|boolean|PolicyOption> every option with its default
---@field decide fun(batch: Batch, layout: Layout, cost: Cost, options: table): Plan

---@param fields PolicyFields
function policy(fields) end

---@class Chunking
---@field whole fun(sequences: Sequence[], limit: number): Chunk[]
---@field best_fit fun(chunks: Chunk[], sequences: Sequence[], limit: number): Chunk[]
---@field equal_slices fun(sequences: Sequence[], limit: number): Chunk[]
---@field equal_time_slices fun(sequences: Sequence[], limit: number): Chunk[]

---@class Orders
---@field all_forward_then_backward fun(chunks: Chunk[], nstages: integer): OrderList
---@field one_f_one_b fun(chunks: Chunk[], nstages: integer, spare: integer?): OrderList

---@class Recompute
---@field none fun(chunks: Chunk[]): Levels
---@field uniform fun(chunks: Chunk[], level: integer, stages: Stage[]): Levels
---@field least fun(stages: Stage[], order: OrderList, cost: Cost): Levels

---@class PipelineFields
---@field stages Stage[]
---@field chunks Chunk[]
---@field order OrderList by stage; by rank where it has `by_rank = true`
---@field recompute? Levels

---@class PlanBuilders
---@field pipeline fun(fields: PipelineFields): Plan
---@field new fun(fields: { pipelines: table[], chunks: table[], order: OrderList }): Plan

---@class Solvers
---@field best_fit fun(sizes: number[], limit: number, room: number[]?): integer[]
---@field divide fun(weights: number[], parts: integer): integer[]

---@class Shared
---@field chunking Chunking
---@field orders Orders
---@field recompute Recompute
---@field plan PlanBuilders
---@field solve Solvers
pw = {}
