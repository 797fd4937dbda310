/* replay: gives each file of a corpus to a fuzz target, for compilers without libFuzzer. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { LARGEST_INPUT = 1 << 24 };

/* A copy of exactly its size, so that the address sanitizer sees a read one byte beyond. */
static void replay(const char *bytes, size_t count)
{
    uint8_t *exact = malloc(count ? count : 1);
    if (!exact)
        exit(EXIT_FAILED);
    for (size_t i = 0; i < count; i++)
        exact[i] = (uint8_t)bytes[i];
    LLVMFuzzerTestOneInput(exact, count);
    free(exact);
}

int main(int count, char **words)
{
    Region *region = region_new();
    int     nfiles = 0;
    for (int i = 1; i < count; i++) {
        Error  error;
        char **names = file_names(region, words[i], NULL, &error);
        for (char **name = names; name && *name; name++) {
            size_t length;
            char  *bytes = file_read(region, path_join(region, words[i], *name), LARGEST_INPUT,
                                     &length, &error);
            if (!bytes)
                break;
            replay(bytes, length);
            nfiles++;
        }
    }
    printf("%d inputs\n", nfiles);
    region_free(region);
    return nfiles > 0 ? 0 : EXIT_FAILED;
}
