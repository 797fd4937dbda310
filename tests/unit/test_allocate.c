/* allocate: who may share bytes with whom, how good the arena is, and what is said where it is too
 * large. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/random.h"
#include "gen/step/gaps.h"
#include "gen/step/lives.h"
#include "tests/support/lowered.h"

static int64_t peak_of(const char *listing)
{
    Region   *region  = region_new();
    Codelets *toys    = toy_codelets(region);
    Program  *program = toy_program(region, toys, listing);
    Error     error   = {.status = 0};
    cr_assert(allocate(program, toys, &error), "%s", error.text);
    int64_t peak = program->ranks[0].peak;
    region_free(region);
    return peak;
}

/* A receive that is posted early holds its buffer from the post on, not from the wait. */
Test(allocate, early_receive_holds_its_buffer)
{
    cr_expect_eq(peak_of("rank 0:\n buffer A [512][1]\n buffer B [512][1]\n buffer C [512][1]\n"
                         " receive #0 from 1 A\n"
                         " call make\n writes x=B\n"
                         " call use\n reads x=B\n"
                         " call make\n writes x=C\n" /* in B's place, not A's */
                         " wait #0 from 1\n"
                         "rank 1:\n buffer A [512][1]\n send #0 to 0 A\n sent #0 to 0\n"),
                 1024);
}

/* What is sent is needed until `sent`. */
Test(allocate, a_send_holds_its_buffer_until_sent)
{
    static const char before[] = "rank 0:\n buffer A [512][1]\n buffer B [512][1]\n"
                                 " call make\n writes x=A\n send #0 to 1 A\n";
    static const char make_b[] = " call make\n writes x=B\n";
    static const char sent[]   = " sent #0 to 1\n";
    static const char rest[] =
        "rank 1:\n buffer A [512][1]\n receive #0 from 0 A\n wait #0 from 0\n";
    Region *region = region_new();
    cr_expect_eq(peak_of(region_format(region, "%s%s%s%s", before, make_b, sent, rest)), 1024);
    cr_expect_eq(peak_of(region_format(region, "%s%s%s%s", before, sent, make_b, rest)), 512);
    region_free(region);
}

/* Rows that die early make room while the others live on. */
Test(allocate, parts_have_lives_of_their_own)
{
    cr_expect_eq(peak_of("rank 0:\n buffer kv [128][8]\n buffer B [64][8]\n"
                         " call make\n writes x=kv[0,64)\n"
                         " call make\n writes x=kv[64,128)\n"
                         " call use\n reads x=kv[64,128)\n"
                         " call make\n writes x=B\n"
                         " call use\n reads x=B\n"
                         " call use\n reads x=kv[0,64)\n"),
                 1024);
}

/* A value that is written again after its last use has two lives. */
Test(allocate, rows_rest_between_two_lives)
{
    cr_expect_eq(peak_of("rank 0:\n buffer A [64][8]\n buffer B [64][8]\n"
                         " call make\n writes x=A\n call use\n reads x=A\n"
                         " call make\n writes x=B\n call use\n reads x=B\n"
                         " call make\n writes x=A\n call use\n reads x=A\n"),
                 512);
}

Test(allocate, what_the_runtime_reads_lives_to_the_end)
{
    static const char listing[] = "rank 0:\n buffer %s [64][8]\n buffer B [64][8]\n"
                                  " call make\n writes x=%s\n call make\n writes x=B\n";
    Region           *region    = region_new();
    cr_expect_eq(peak_of(region_format(region, listing, "losses", "losses")), 1024);
    cr_expect_eq(peak_of(region_format(region, listing, "lesser", "lesser")), 512);
    region_free(region);
}

Test(allocate, a_capacity_below_the_need_is_explained)
{
    Region   *region = region_new();
    Codelets *toys   = toy_codelets(region);
    Program  *program =
        toy_program(region, toys,
                    "rank 0: static 64, capacity 1000\n buffer A [1024][1]\n buffer B [64][1]\n"
                    " call make chunk 3 layer 5\n writes x=B\n call pass chunk 4 layer 6\n reads "
                    "x=B\n writes y=A\n");
    Error error = {.status = 0};
    cr_expect_not(allocate(program, toys, &error));
    cr_expect_eq(error.status, EXIT_INPUT);
    cr_expect_eq(program->ranks[0].peak, 1152);
    const char *said[] = {"152 bytes are missing", "instruction 1 (pass, chunk 4, layer 6)", "A 1"};
    for (int i = 0; i < COUNT(said); i++)
        cr_expect(strstr(error.text, said[i]), "\"%s\" lacks \"%s\"", error.text, said[i]);
    region_free(region);
}

static bool live_together(const BufferPart *a, const BufferPart *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static bool share_a_byte(const Buffer *x, const BufferPart *a, const Buffer *y, const BufferPart *b)
{
    return x->offset + part_start(x, a) < y->offset + part_past(y, b) &&
           y->offset + part_start(y, b) < x->offset + part_past(x, a);
}

/* All pairs, slowly. */
static void no_byte_shared(const RankProgram *rank, uint64_t seed)
{
    for (int x = 0; x < rank->nbuffers; x++)
        for (int y = 0; y < x; y++)
            for (int a = 0; a < rank->buffers[x].nparts; a++)
                for (int b = 0; b < rank->buffers[y].nparts; b++) {
                    const Buffer *one = &rank->buffers[x], *two = &rank->buffers[y];
                    cr_assert(!live_together(&one->parts[a], &two->parts[b]) ||
                                  !share_a_byte(one, &one->parts[a], two, &two->parts[b]),
                              "seed %d: %s and %s", (int)seed, one->name, two->name);
                }
}

Test(allocate, live_parts_share_no_byte)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        Region *region = region_new();
        Lowered made   = lowered(region, seed, (int)(seed % 2));
        for (int rank = 0; rank < made.program->nranks; rank++)
            no_byte_shared(&made.program->ranks[rank], seed);
        region_free(region);
    }
}

/* A taken range, and the gap that a walk over all of them finds. */
typedef struct Taken {
    int64_t start, past;
    int     first, last;
} Taken;

static int64_t slow_gap(const Taken *taken, int count, int64_t at, int64_t bytes, int first,
                        int last)
{
    for (int i = 0; i < count; i++)
        if (taken[i].first <= last && first <= taken[i].last && taken[i].start < at + bytes &&
            at < taken[i].past) {
            at = taken[i].past;
            i  = -1;
        }
    return at;
}

/* Lives of one operation come last, as `settle` asks; all others as they like. */
Test(allocate, the_lowest_gap_is_found)
{
    enum { INSTRUCTIONS = 400, PER_OPERATION = 5, TAKES = 300 };
    Region *region    = region_new();
    int    *operation = REGION_ARRAY(region, int, INSTRUCTIONS);
    Taken   taken[TAKES];
    for (int i = 0; i < INSTRUCTIONS; i++)
        operation[i] = i / PER_OPERATION;
    Gaps *gaps = gaps_new(region, operation, INSTRUCTIONS);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        gaps_clear(gaps);
        for (int i = 0; i < TAKES; i++) {
            bool settled = i >= TAKES / 2;
            if (i == TAKES / 2)
                gaps_settle(gaps);
            int     first = (int)random_below(&random, INSTRUCTIONS);
            int     rest  = settled ? PER_OPERATION - first % PER_OPERATION : INSTRUCTIONS - first;
            int     last  = first + (int)random_below(&random, rest);
            int64_t least = random_below(&random, 50);
            int64_t bytes = 1 + random_below(&random, 90);
            int64_t at    = gaps_lowest(gaps, least, bytes, first, last);
            cr_assert_eq(at, slow_gap(taken, i, least, bytes, first, last), "seed %d, take %d",
                         (int)seed, i);
            taken[i] = (Taken){at, at + bytes, first, last};
            gaps_take(gaps, at, at + bytes, first, last);
        }
    }
    region_free(region);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Over 1,000 random plans: 3% above the largest sum of live bytes in the median, 10% at the 95th
 * percentile, the static part left out. */
Test(allocate, the_arena_is_nearly_as_small_as_can_be)
{
    enum { PLANS = 1000, MOST = 16 };
    static double ratio[PLANS * MOST];
    size_t        count = 0;
    for (uint64_t seed = 0; seed < PLANS; seed++) {
        Region *region = region_new();
        Lowered made   = lowered(region, seed, 1);
        for (int i = 0; i < made.program->nranks && i < MOST; i++) {
            const RankProgram *rank = &made.program->ranks[i];
            int                fullest;
            int64_t            live = largest_live_bytes(rank, &fullest) - rank->static_bytes;
            if (live > 0)
                ratio[count++] = (double)(rank->peak - rank->static_bytes) / (double)live;
        }
        region_free(region);
    }
    qsort(ratio, count, sizeof *ratio, by_value);
    cr_expect_geq(ratio[0], 1.0);
    cr_expect_leq(ratio[count / 2], 1.03, "median %g", ratio[count / 2]);
    cr_expect_leq(ratio[count * 95 / 100], 1.10, "95th percentile %g", ratio[count * 95 / 100]);
}
