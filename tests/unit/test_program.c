/* program: a listing reads back to the same program, a stored program to the same bytes, and
 * neither reader takes what it should not. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/base/random.h"
#include "tests/support/lowered.h"

static const char every_kind[] =
    "program: train, step 12, ranks 2, sequences 3, tokens 14, weight 0.1, position 7\n"
    "plan 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "losses 2 1\n"
    "rank 0: static 64, capacity 4096, arena 896, full at 4   (of 2, 10 instructions)\n"
    "  buffer w [1][64] static at 0x0\n"
    "  buffer C0.tokens [10][4] at 0x40\n"
    "  buffer C0.x [10][16] at 0x80\n"
    "  buffer C0.y [10][16] at 0x140\n"
    "     0  load      chunk 0 layer -1 tokens 10\n"
    "                  writes  tokens=C0.tokens@0x40\n"
    "                  source document 5 [100,110) row 0 sequence 2 context 20\n"
    "     1  mark     F0.1 operation 0\n"
    "     2  receive  #0 from 1  C0.x@0x80 chunk 0 layer 3   ; early: needed at 3\n"
    "     3  wait     #0 from 1 chunk 0 layer 3   (C0.x)\n"
    "     4  call     pass  chunk 0 layer 3 tokens 10 count 7 first predicted 0.25\n"
    "                  reads   x=C0.x@0x80\n"
    "                  writes  y=C0.y[2,5)@0x160\n"
    "     5  send     #1 to 1  C0.y[3,7)@0x170\n"
    "     6  sent     #1 to 1   (C0.y)\n"
    "     7  add      C0.x@0x80 C0.y@0x140 count 40\n"
    "     8  clear    w@0x0 count 16\n"
    "     9  mark     E operation -1\n"
    "rank 1: static 0, capacity 8192, arena 256, full at 0   (of 2, 4 instructions)\n"
    "  buffer x [1][160] at 0x0\n"
    "  buffer z [4][16] at 0xc0\n"
    "     0  send     #0 to 0  x@0x0\n"
    "     1  receive  #1 from 0  z@0xc0\n"
    "     2  sent     #0 to 0   (x)\n"
    "     3  wait     #1 from 0   (z)\n"
    "order 0:0-2 1:0-2 0:3-9 1:3\n";

Test(program, every_instruction_reads_back)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = toy_program(region, toys, every_kind);
    cr_expect_str_eq(listing_of(region, program, toys), every_kind);
    Error error = {.status = 0};
    cr_expect(program_check(program, toys, NULL, &error), "%s", error.text);
    region_free(region);
}

/* What a person leaves out stands for the usual. */
Test(program, a_short_listing_reads_too)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = toy_program(region, toys,
                                    "rank 0:\n buffer A [512][1]\n call make\n writes x=A\n"
                                     "# a remark\n\n call use\n reads x=A\n");
    cr_expect_eq(program->nranks, 1);
    cr_expect_eq(program->ranks[0].ninstructions, 2);
    cr_expect_eq(program->ranks[0].instructions[1].operands[0].rows, 512);
    cr_expect_eq(program->ranks[0].buffers[0].bytes, 512);
    cr_expect_eq(program->ranks[0].buffers[0].offset, -1);
    region_free(region);
}

static void refused(const char *listing, const char *message)
{
    Region *region = region_new();
    Error   error  = {.status = 0};
    cr_expect_not(program_read(region, listing, "bad", toy_codelets(region), &error), "%s",
                  listing);
    cr_expect_eq(error.status, EXIT_INPUT);
    cr_expect(strstr(error.text, message), "\"%s\" lacks \"%s\"", error.text, message);
    region_free(region);
}

Test(program, wrong_listings_are_refused_by_line)
{
    refused("", "0 ranks");
    refused("program: sleep\n", "bad:1: program");
    refused("program: train, ranks 2\nrank 0:\n", "as many as its first line says");
    refused("rank 1:\n", "bad:1: rank");
    refused("rank 0:\n jump\n", "bad:2: instruction");
    refused("rank 0:\n 1 mark E\n", "the rank's next number");
    refused("rank 0:\n call make\n writes x=A\n", "bad:3: buffer: found \"A\"");
    refused("rank 0:\n buffer A [0][4]\n", "[ROWS][BYTES OF A ROW]");
    refused("rank 0:\n buffer A [9223372036854775807][4]\n", "[ROWS][BYTES OF A ROW]");
    refused("rank 0:\n buffer A [1][4]\n buffer A [1][4]\n clear A\n", "names that differ");
    refused("rank 0:\n buffer A [1][4]\n clear A\n buffer B [1][4]\n", "before the first");
    refused("rank 0:\n call fly\n", "a codelet of the table");
    refused("rank 0:\n buffer A [1][4]\n call make\n writes z=A\n", "make");
    refused("rank 0:\n buffer A [1][4]\n call make\n writes x=A[0,2)\n", "rows");
    refused("rank 0:\n buffer A [1][4] at 0x40\n clear A@0x80\n", "the place that the buffer's");
    refused("rank 0:\n send 1 to 1\n", "# and its number");
    refused("rank 0:\n mark E\norder 0:0-1\n", "RANK:FIRST-LAST");
}

static void ill_made(const char *listing, const char *message)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = toy_program(region, toys, listing);
    Error     error   = {.status = 0};
    cr_expect_not(program_check(program, toys, NULL, &error), "%s", listing);
    cr_expect(strstr(error.text, message), "\"%s\" lacks \"%s\"", error.text, message);
    region_free(region);
}

Test(program, ill_made_programs_are_refused)
{
    ill_made("rank 0:\n buffer A [1][4]\n call pass\n reads x=A\n", "no buffer for y");
    ill_made("rank 0:\n buffer A [1][4]\n send #0 to 0 A\n sent #0 to 0\n", "peer 0");
    ill_made("rank 0:\n buffer A [1][4]\n send #0 to 1 A\nrank 1:\n", "has no `sent`");
    ill_made("rank 0:\n sent #0 to 1\nrank 1:\n", "no send before it opened");
    ill_made("rank 0:\n buffer A [1][4]\n receive #0 from 1 A\n receive #0 from 1 A\n"
             " wait #0 from 1\nrank 1:\n",
             "stands twice");
    ill_made("rank 0:\n buffer A [2][4]\n buffer B [1][4]\n add A B\n", "add of 1 rows to 2");
    ill_made("losses 1\nrank 0:\n mark E\n", "there are 0");
    ill_made("rank 0:\n mark E\n mark E\norder 0:1 0:0\n", "out of its turn");
}

/* Notes are for people and not stored. */
static void drop_notes(Program *program)
{
    for (int rank = 0; rank < program->nranks; rank++)
        for (int i = 0; i < program->ranks[rank].ninstructions; i++)
            program->ranks[rank].instructions[i].note = NULL;
}

static bool same_bytes(const Text *a, const Text *b)
{
    return a->length == b->length && memcmp(a->at, b->at, a->length) == 0;
}

Test(program, listings_and_stored_programs_read_back)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        Region     *region  = region_new();
        Lowered     made    = lowered(region, seed, 1);
        Error       error   = {.status = 0};
        const char *listing = listing_of(region, made.program, made.codelets);
        Program    *read    = program_read(region, listing, "listing", made.codelets, &error);
        cr_assert(read, "seed %d: %s", (int)seed, error.text);
        cr_assert_str_eq(listing_of(region, read, made.codelets), listing, "seed %d", (int)seed);
        Text stored = text_new(region), again = text_new(region), third = text_new(region);
        program_store(made.program, made.codelets, &stored);
        program_store(read, made.codelets, &again);
        cr_assert(same_bytes(&stored, &again), "seed %d", (int)seed);
        Program *loaded =
            program_load(region, stored.at, stored.length, "stored", made.codelets, &error);
        cr_assert(loaded, "seed %d: %s", (int)seed, error.text);
        program_store(loaded, made.codelets, &third);
        cr_assert(same_bytes(&stored, &third), "seed %d", (int)seed);
        drop_notes(made.program);
        cr_assert_str_eq(listing_of(region, loaded, made.codelets),
                         listing_of(region, made.program, made.codelets), "seed %d", (int)seed);
        region_free(region);
    }
}

/* The rank that embeds has the sampled tokens as well, but for the last. */
Test(program, sampled_tokens_are_those_of_the_rank_that_samples)
{
    Region  *region = region_new();
    Error    error  = {.status = 0};
    uint64_t seed   = 0;
    Lowered  made   = lowered(region, seed, 0);
    while (made.random.layout->stages[0].rank ==
           made.random.layout->stages[made.random.layout->nstages - 1].rank)
        made = lowered(region, ++seed, 0);
    const Layout *layout = made.random.layout;
    Program *program     = expand_generate(region, 3, 4, made.model, made.codelets, layout, &error);
    cr_assert(program && communicate(program, made.codelets, &error) &&
                  allocate(program, made.codelets, &error),
              "%s", error.text);
    Text stored = text_new(region);
    program_store(program, made.codelets, &stored);
    const PwProgram *head  = (const PwProgram *)(const void *)stored.at;
    const PwRank    *ranks = (const PwRank *)(const void *)(stored.at + head->ranks);
    for (int rank = 0; rank < head->nranks; rank++) {
        bool samples = rank == layout->stages[layout->nstages - 1].rank;
        cr_expect_eq(ranks[rank].next >= 0, samples, "rank %d", rank);
        cr_expect_eq(ranks[rank].nnext, samples ? 4 : 0);
    }
    region_free(region);
}

/* Damage is refused, or is a program that is well made: never followed out of bounds. */
Test(program, damaged_bytes_are_never_followed)
{
    Region  *region = region_new();
    Lowered  made   = lowered(region, 5, 0);
    Text     stored = text_new(region);
    uint64_t state  = 1;
    Error    error  = {.status = 0};
    program_store(made.program, made.codelets, &stored);
    for (size_t length = 0; length < stored.length; length += 1 + stored.length / 200)
        cr_expect_not(program_load(region, stored.at, length, "cut", made.codelets, &error));
    int refused_ones = 0;
    for (int i = 0; i < 2000; i++) {
        Region *own  = region_new();
        char   *copy = region_alloc(own, stored.length);
        memcpy(copy, stored.at, stored.length);
        copy[random_below(&state, (int64_t)stored.length)] ^= (char)(1 + random_below(&state, 255));
        Program *loaded = program_load(own, copy, stored.length, "damaged", made.codelets, &error);
        if (!loaded)
            refused_ones++;
        else
            cr_expect(program_check(loaded, made.codelets, NULL, &error));
        region_free(own);
    }
    cr_expect_gt(refused_ones, 500);
    region_free(region);
}
