/* small_jobs: see small_jobs.h. */
#include "tests/support/small_jobs.h"

#include "runtime/kernel.h"

/* `family` with its opening brace, and fields of its own. */
static const char *job_of(Region *region, const char *family, int stages, int kv_heads,
                          const char *policy, const char *memory)
{
    return region_format(
        region,
        "return job {\n"
        "  model   = %s layers = 4, hidden = 32, heads = 4, kv_heads = %d, ffn = 48,\n"
        "              vocab = \"bytes\" },\n"
        "  data    = text { files = \"corpus\", context = 96, long = \"split\" },\n"
        "  cluster = cpu { ranks = %d, memory = \"%s\", precision = \"%s\" },\n"
        "  layout  = { stages = %d },\n"
        "  policy  = { %s },\n"
        "  train   = { batch = tokens(500), steps = 40, seed = 3, clip = 1.0,\n"
        "              optimizer = adamw { lr = \"1e-3\", weight_decay = 0.1 }, curve = constant "
        "{} },\n"
        "}\n",
        family, kv_heads, stages, memory, sizeof(real) == sizeof(double) ? "double" : "float",
        stages, policy);
}

const char *small_job(Region *region, int stages, int kv_heads, const char *policy,
                      const char *memory)
{
    return job_of(region, "llama {", stages, kv_heads, policy, memory);
}

const char *small_qwen3_job(Region *region, int stages, int kv_heads, const char *policy)
{
    return job_of(region, "qwen3 { head_dim = 12,", stages, kv_heads, policy, "64 MiB");
}
