/* small_jobs: see small_jobs.h. */
#include "tests/support/small_jobs.h"

#include <string.h>

#include "gen/base/data_folder.h"
#include "gen/base/file.h"
#include "runtime/kernel.h"

const char *small_job(Region *region, int stages, int kv_heads, const char *policy,
                      const char *memory)
{
    return region_format(
        region,
        "return job {\n"
        "  model   = llama { layers = 4, hidden = 32, heads = 4, kv_heads = %d, ffn = 48, vocab = "
        "\"bytes\" },\n"
        "  data    = text { files = \"corpus\", context = 96, long = \"split\" },\n"
        "  cluster = cpu { ranks = %d, memory = \"%s\", precision = \"%s\" },\n"
        "  layout  = { stages = %d },\n"
        "  policy  = { %s },\n"
        "  train   = { batch = tokens(500), steps = 40, seed = 3, clip = 1.0,\n"
        "              optimizer = adamw { lr = \"1e-3\", weight_decay = 0.1 }, curve = constant "
        "{} },\n"
        "}\n",
        kv_heads, stages, memory, sizeof(real) == sizeof(double) ? "double" : "float", stages,
        policy);
}

char **shipped_policies(Region *region)
{
    Error       error;
    int         count;
    const char *folder = path_join(region, data_folder(), "lua/policies");
    char      **names  = file_names(region, folder, &count, &error);
    if (!names || count == 0)
        bug("no policies in %s", folder);
    for (int i = 0; i < count; i++)
        *strrchr(names[i], '.') = 0;
    return names;
}
