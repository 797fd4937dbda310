/* communicate, overlap: what is sent, where it is posted and waited for, and that the weakest
 * machine comes to its end. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/step/weakest.h"
#include "tests/support/lowered.h"

/* The kinds of a rank's instructions, "mark make send ...". */
static const char *kinds_of(Region *region, const Program *program, const Codelets *toys, int rank)
{
    Text text = text_new(region);
    for (int i = 0; i < program->ranks[rank].ninstructions; i++) {
        const Instruction *at = &program->ranks[rank].instructions[i];
        text_add(&text, "%s%s", i ? " " : "",
                 at->kind == PW_CALL ? toys->items[at->codelet].name : instruction_names[at->kind]);
    }
    return text.at;
}

static Program *communicated(Region *region, const Codelets *toys, const char *listing)
{
    Program *program = toy_program(region, toys, listing);
    Error    error   = {.status = 0};
    cr_assert(communicate(program, toys, &error), "%s", error.text);
    return program;
}

#define BUFFERS(rank) "rank " rank ":\n buffer A [4][16]\n buffer B [4][16]\n buffer C [4][16]\n"

/* What rank 0 makes and rank 1 uses goes once, whoever uses it how often. `sent` stands behind the
 * next operation. */
Test(communicate, a_value_is_sent_once)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = communicated(
         region, toys,
         BUFFERS("0") " mark F0\n call make\n writes x=A\n mark F1\n call make\n writes x=B\n"
                       " mark F2\n call use\n reads x=B\n" BUFFERS(
                          "1") " mark F0\n call use\n reads x=A\n call use\n reads x=A\n");
    cr_expect_str_eq(kinds_of(region, program, toys, 0), "mark make send mark make sent mark use");
    cr_expect_str_eq(kinds_of(region, program, toys, 1), "mark receive wait use use");
    cr_expect_eq(program->norder, 13);
    region_free(region);
}

/* Rows of two makers are two messages; adjacent rows of one maker are one. */
Test(communicate, rows_come_from_their_makers)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = communicated(
         region, toys,
         BUFFERS("0") " call make\n writes x=A[0,1)\n call make\n writes x=A[1,3)\n" BUFFERS(
             "1") " call make\n writes x=A[3,4)\n" BUFFERS("2") " call use\n reads x=A\n");
    cr_expect_str_eq(kinds_of(region, program, toys, 2), "receive receive wait wait use");
    cr_expect(strstr(listing_of(region, program, toys), "send     #0 to 2  A[0,3)"));
    cr_expect(strstr(listing_of(region, program, toys), "send     #0 to 2  A[3,4)"));
    region_free(region);
}

/* A dynamic buffer that nobody fills stands for the static one of its home; it is sent at once,
 * and gone before the home writes it anew. */
Test(communicate, a_weight_comes_from_its_home)
{
    Region   *region = region_new();
    Codelets *toys   = toy_codelets(region);
    Program  *program =
        communicated(region, toys,
                     "rank 0: static 64\n buffer w [1][64] static at 0x0\n buffer A [4][16]\n"
                     " mark F0\n call sum\n reads x=A\n adds y=w\n"
                     "rank 1:\n buffer w [1][64]\n mark F0\n call use\n reads x=w\n");
    cr_expect_str_eq(kinds_of(region, program, toys, 0), "send mark sent sum");
    cr_expect_str_eq(kinds_of(region, program, toys, 1), "mark receive wait use");
    region_free(region);
}

/* Receives are posted in the order of the queue, though the second is needed first. */
Test(communicate, receives_keep_the_order_of_the_queue)
{
    Region   *region = region_new();
    Codelets *toys   = toy_codelets(region);
    Program  *program =
        communicated(region, toys,
                     BUFFERS("0") " call make\n writes x=A\n call make\n writes x=B\n" BUFFERS(
                         "1") " call use\n reads x=B\n call use\n reads x=A\n");
    cr_expect_str_eq(kinds_of(region, program, toys, 1), "receive receive wait use wait use");
    const Instruction *first = &program->ranks[1].instructions[0];
    cr_expect_str_eq(program->ranks[1].buffers[first->operands[0].buffer].name, "A");
    region_free(region);
}

/* Both ranks would wait for their `sent` before they post what the other one waits for. */
static const char crossing[] =
    BUFFERS("0") " mark F0\n send #0 to 1 A\n sent #0 to 1\n receive #1 from 1 B\n wait #1 from 1\n"
                 " mark F1\n call make\n writes x=C\n" BUFFERS(
                     "1") " mark F0\n send #0 to 0 B\n sent #0 to 0\n receive #1 from 0 A\n"
                          " wait #1 from 0\n mark F1\n call make\n writes x=C\n";

Test(communicate, a_sent_that_stops_everyone_goes_later)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = toy_program(region, toys, crossing);
    Error     error   = {.status = 0};
    cr_assert(run_weakest(program, toys, &error), "%s", error.text);
    for (int rank = 0; rank < 2; rank++)
        cr_expect_str_eq(kinds_of(region, program, toys, rank),
                         "mark send receive wait sent mark make");
    region_free(region);
}

Test(communicate, a_wait_for_ever_is_named)
{
    Region   *region = region_new();
    Codelets *toys   = toy_codelets(region);
    Program  *program =
        toy_program(region, toys,
                    BUFFERS("0") " receive #0 from 1 A\n wait #0 from 1\n send #1 to 1 B\n sent #1 "
                                 "to 1\n" BUFFERS("1") " receive #0 from 0 B\n wait #0 from 0\n "
                                                       "send #1 to 0 A\n sent #1 to 0\n");
    Error error = {.status = 0};
    cr_expect_not(run_weakest(program, toys, &error));
    cr_expect(strstr(error.text, "rank 0 waits for ever at instruction 1: wait"), "%s", error.text);
    region_free(region);
}

/* What an operation needs is awaited where it begins, as the plan's rule has it. */
static const char three_operations[] =
    BUFFERS("0") " mark F0\n call make\n writes x=A\n mark F1\n call make\n writes x=B\n" BUFFERS(
        "1") " mark F0\n call make\n writes x=C\n mark F1\n call make\n writes x=C\n"
             " mark F2\n call use\n reads x=A\n call use\n reads x=B\n";

Test(communicate, overlap_posts_receives_early_and_in_order)
{
    static const char *const expected[] = {
        "mark make mark make mark receive receive wait wait use use",
        "mark make mark receive receive make mark wait wait use use",
        "mark receive receive make mark make mark wait wait use use",
    };
    for (int ahead = 0; ahead < COUNT(expected); ahead++) {
        Region   *region  = region_new();
        Codelets *toys    = toy_codelets(region);
        Program  *program = communicated(region, toys, three_operations);
        Error     error   = {.status = 0};
        cr_assert(overlap(program, toys, NULL, ahead, &error), "%s", error.text);
        cr_expect_str_eq(kinds_of(region, program, toys, 1), expected[ahead]);
        bool noted = strstr(listing_of(region, program, toys), "; early: needed at") != NULL;
        cr_expect_eq(noted, ahead > 0);
        region_free(region);
    }
}

/* By the cost table the message is done only when the receiver gets to it; the sender asks then. */
Test(communicate, a_sent_goes_to_where_it_does_not_wait)
{
    static const char table[] =
        "{\"format\": \"pipewright-cost-1\", \"name\": \"toys\", \"device\": \"cpu\","
        " \"latency\": 1.0, \"seconds_per_byte\": 0.0, \"probe\": 0.0, \"codelets\": {"
        "\"make\": {\"points\": [[0, 4.0], [1, 4.0]]}, \"use\": {\"points\": [[0, 9.0], [1, 9.0]]},"
        "\"pass\": {\"points\": [[0, 1.0], [1, 1.0]]}, \"sum\": {\"points\": [[0, 1.0], [1, "
        "1.0]]}}}";
    Region     *region  = region_new();
    Codelets   *toys    = toy_codelets(region);
    Error       error   = {.status = 0};
    const Cost *cost    = cost_read(region, table, "table", &error);
    Program    *program = communicated(
           region, toys,
           BUFFERS("0") " mark F0\n call make\n writes x=A\n mark F1\n call make\n writes x=B\n"
                           " mark F2\n call make\n writes x=B\n mark F3\n call make\n writes x=B\n"
                           " mark F4\n call make\n writes x=B\n" BUFFERS(
                            "1") " mark F0\n call use\n reads x=C\n"
                                    " mark F1\n call use\n reads x=A\n");
    cr_assert(cost, "%s", error.text);
    cr_expect_str_eq(kinds_of(region, program, toys, 0),
                     "mark make send mark make sent mark make mark make mark make");
    cr_assert(overlap(program, toys, cost, 0, &error), "%s", error.text);
    cr_expect_str_eq(kinds_of(region, program, toys, 0),
                     "mark make send mark make mark make sent mark make mark make");
    region_free(region);
}
