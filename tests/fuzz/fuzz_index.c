/* fuzz_index: any bytes as an .idx; the first byte says how large the .bin is. What is accepted
 * adds up. Under libFuzzer: clang -fsanitize=fuzzer,address; else replay.c runs the corpus. */
#include <stdlib.h>

#include "gen/data/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    Region     *region    = region_new();
    int64_t     bin_bytes = bytes[0] == 255 ? -1 : bytes[0];
    Error       error;
    TokenIndex *index  = index_parse(region, bytes + 1, count - 1, bin_bytes, "fuzz", &error);
    int64_t     tokens = 0;
    for (int64_t d = 0; index && d < index->documents; d++) {
        if (index->length[d] < 0)
            abort();
        tokens += index->length[d];
    }
    if (index && tokens != index->tokens)
        abort();
    region_free(region);
    return 0;
}
