/* small_jobs: the job files of the end-to-end properties, as text. */
#ifndef PIPEWRIGHT_TESTS_SMALL_JOBS_H
#define PIPEWRIGHT_TESTS_SMALL_JOBS_H

#include "gen/base/region.h"

/* A tiny Llama over `stages` ranks; `policy` as it would stand in a job: "\"gpipe\"". `kv_heads` 4
 * or 2 (grouped); `memory` of a rank, "64 MiB". */
const char *small_job(Region *region, int stages, int kv_heads, const char *policy,
                      const char *memory);
/* The same with a Qwen3, whose heads are larger than hidden / heads. */
const char *small_qwen3_job(Region *region, int stages, int kv_heads, const char *policy);

#endif
