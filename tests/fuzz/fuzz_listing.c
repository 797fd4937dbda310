/* fuzz_listing: any text as the listing of a program. What is read prints and reads back the same,
 * and prove comes to a verdict on it. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/proof_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void read_back(Region *region, const Program *program, const Codelets *codelets)
{
    Error error = {0};
    Text  once = text_new(region), twice = text_new(region);
    program_print(program, codelets, &once);
    const Program *again = program_read(region, once.at, "printed", codelets, &error);
    if (!again)
        abort();
    program_print(again, codelets, &twice);
    if (strcmp(once.at, twice.at) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static Region   *owner;
    static ProofCase on; /* made once: it takes longer than a listing */
    if (!owner)
        on = proof_case(owner = region_new(), 2, false);
    Region *region = region_new();
    char   *text   = region_alloc(region, count + 1);
    Error   error  = {0};
    memcpy(text, bytes, count);
    const Program *program = program_read(region, text, "fuzz", on.codelets, &error);
    if (program) {
        read_back(region, program, on.codelets);
        prove(program, on.codelets, on.model, NULL, NULL, &error);
    }
    region_free(region);
    return 0;
}
