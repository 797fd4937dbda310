/* manual: prints docs/KERNELS.md or docs/INSTRUCTIONS.md out of the one table that each comes from.
 *     manual kernels > docs/KERNELS.md
 * A test compares what is stored with what is printed. */
#include <stdio.h>
#include <string.h>

#include "gen/forms/operations.h"

static void print_kernels(void)
{
    printf(
        "# Kernels\n\n"
        "Printed from `templates/kernels.def` by `docs/manual.c`; edit the table, not this "
        "page.\n\n"
        "Each kernel is a whole source file of `templates/cpu`, copied into an artifact unchanged "
        "and compiled\nwith the job's shapes. Pointers come in the order written, added to, read; "
        "then counts; then scratch.\n\n");
#define PW_KERNEL_ENTRY(name, parameters) printf("- `%s%s`\n", #name, #parameters);
#include "templates/kernels.def"
    printf(
        "\n## Work and scratch\n\n"
        "Executed flops of a token and of a pair (a query and a key that it attends), scratch in "
        "bytes.\n`out` and `in` are the weight's, `width` is a row of what is written.\n\n"
        "| kernel | flops a token | flops a pair | scratch a token | of at most | scratch |\n"
        "| --- | --- | --- | --- | --- | --- |\n");
#define PW_WORK(name, flops, pair, token_bytes, most, bytes)                                       \
    printf("| %s | %s | %s | %s | %s | %s |\n", #name, #flops, #pair, #token_bytes, #most, #bytes);
#include "templates/kernels.def"
}

static void print_call(const char *what, const char *call)
{
    if (call)
        printf("- %s `%s`\n", what, call);
}

static void print_operations(void)
{
    printf(
        "\n## Operations of a model\n\n"
        "What differentiate reads. In a call `=` marks what is written, `+` what is added to, `<` "
        "what is read;\n`d_x` is the gradient of `x`; `sum` is what its gradient has already; what "
        "follows a `;` is found\nthrough the call's segments.\n");
    for (const Operation *o = operations; o < operations + noperations; o++) {
        printf("\n### %s\n\n- takes %s; makes %s\n", o->name, o->inputs,
               *o->outputs ? o->outputs : "the loss");
        print_call("forward:", o->forward);
        print_call("rebuild:", o->rebuild);
        print_call("dx:", o->dx);
        print_call("dw:", o->dw);
        print_call("passes its gradient on to:", o->passes);
        print_call("sample:", o->sample);
    }
    printf("\n## Fusions\n\n");
    for (const Fusion *f = fusions; f < fusions + nfusions; f++)
        printf("- `%s` takes in the `%s` that follows, as its argument %d\n", f->kernel, f->taken,
               f->argument + 1);
    printf("\n## Updates\n\n");
    for (const Update *u = updates; u < updates + nupdates; u++)
        printf("- %s: `%s`\n", u->codelet, u->call);
}

static void print_instructions(void)
{
    printf("# Instructions\n\n"
           "Printed from `runtime/instructions.def` by `docs/manual.c`; edit the table, not this "
           "page.\n\nA program is, for every rank, a flat list of these.\n\n"
           "| instruction | fields and meaning |\n| --- | --- |\n");
#define PW_INSTRUCTION(kind, name, meaning) printf("| `%s` | %s |\n", name, meaning);
#include "runtime/instructions.def"
#undef PW_INSTRUCTION
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "kernels") == 0) {
        print_kernels();
        print_operations();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "instructions") == 0) {
        print_instructions();
        return 0;
    }
    fprintf(stderr, "use: manual kernels|instructions\n");
    return 2;
}
