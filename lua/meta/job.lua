---@meta
--- The job language, for editors. lua/job.lua and lua/fields.lua say the same and are what counts.

---@class Job
---@field model Model
---@field data Data
---@field cluster? Cluster default: one rank
---@field layout? LayoutFields
---@field policy? string|PolicyChoice a name, `{ "name", option = value }`, or a file "mine.lua"
---@field train TrainFields

---@class Model
---@class Data
---@class Cluster
---@class BatchSize
---@class Optimizer
---@class Curve

---@class LayoutFields
---@field stages? integer default: as many as ranks; several stages a rank go round
---@field borders? number[] layers, from 0 to all: `{ 0, 3, 6 }`; a half lies inside a layer

---@class PolicyChoice
---@field [1] string
---@field [string] any options of the policy

---@class SaveFields
---@field every? integer steps from one saved state to the next; 0: only at the end; default 100
---@field keep? integer so many of the newest stay; default 2, the least
---@field keep_every? integer K: every K-th saved state stays for good; 0, the default: none

---@class TrainFields
---@field batch BatchSize `tokens "32K"` or `sequences(512)`
---@field steps integer
---@field seed? integer default 1
---@field clip? number most of the gradient's norm; 0: none; default 1
---@field optimizer? Optimizer
---@field curve? Curve
---@field save? SaveFields
---@field evaluate? { every: integer? }
---@field from? string a Hugging Face folder to start from

--- Everything that a trainer is made from. A job file returns one.
---@param fields Job
function job(fields) end

---@class RopeScaling
---@field type "default"|"linear"|"llama3"|"yarn"
---@field factor? number
---@field low_frequency? number
---@field high_frequency? number
---@field original_context? integer|string
---@field attention_factor? number
---@field beta_fast? number
---@field beta_slow? number

---@class LlamaFields
---@field layers integer
---@field hidden integer
---@field heads integer
---@field kv_heads? integer divides heads; default: heads
---@field head_dim? integer even; default: hidden / heads
---@field ffn integer
---@field vocab "bytes"|integer
---@field tied? boolean the head shares the embedding's values; default false
---@field epsilon? number of RMSNorm; default 1e-5
---@field rope_theta? number default 10000
---@field rope_scaling? RopeScaling

---@param fields LlamaFields
---@return Model
function llama(fields) end

--- Llama's fields; head_dim is 128, epsilon 1e-6 and rope_theta 1000000 by default.
---@param fields LlamaFields
---@return Model
function qwen3(fields) end

--- The shape of a Hugging Face model: no weights are needed. Fields of its family may differ.
---@param config string|{ config: string, [string]: any } a config.json beside the job file
---@return Model
function hf(config) end

---@class DataFields
---@field context? integer|string tokens: "2K" is 2048; default "2K"
---@field long? "split"|"cut"|"error" what a document longer than the context becomes
---@field held_out? number|string share of documents that are only evaluated on; default "2%"

---@class TextFields: DataFields
---@field files string a folder, a glob or a file of UTF-8 text

---@param files string|TextFields
---@return Data
function text(files) end

---@class JsonlFields: DataFields
---@field files string
---@field text? string key of a document's text; default "text"
---@field prompt? string key of what is read but not learned; default "prompt"
---@field completion? string key of what is learned after a prompt; default "completion"

---@param files string|JsonlFields
---@return Data
function jsonl(files) end

---@class TokenSetFields: DataFields
---@field prefix string path of .idx and .bin without their endings

---@param prefix string|TokenSetFields
---@return Data
function token_set(prefix) end

---@class LengthsFields: DataFields
---@field path string

---@class Lengths
---@field from_file fun(fields: string|LengthsFields): Data a length a line
---@overload fun(path: string|LengthsFields): Data

--- Lengths in place of documents: enough for plan, tune and build.
---@type Lengths
lengths = {}

--- `memory` is that of one rank: "1 GiB".
---@param fields { ranks: integer?, memory: integer|string?, precision: "float"|"double"? }
---@return Cluster
function cpu(fields) end

---@param count integer|string "32K"
---@return BatchSize
function tokens(count) end

---@param count integer
---@return BatchSize
function sequences(count) end

---@class AdamwFields
---@field lr? number|string default 1e-3
---@field weight_decay? number default 0.1
---@field beta1? number default 0.9
---@field beta2? number default 0.95
---@field epsilon? number default 1e-8

---@param fields AdamwFields
---@return Optimizer
function adamw(fields) end

---@param fields { warmup: integer? } steps
---@return Curve
function constant(fields) end

---@param fields { warmup: integer?, final: (number|string)? } final rate; default: a tenth
---@return Curve
function cosine(fields) end

--- Warm-up, stable, decay. `decay`: the last steps, by default a fifth.
---@param fields { warmup: integer?, decay: integer?, final: (number|string)? }
---@return Curve
function wsd(fields) end
