/* place: borders come from what layers cost on the job's documents. */
#include <criterion/criterion.h>

#include "gen/job/job_passes.h"
#include "tests/support/tiny_model.h"

/* Where the last of two stages begins, in half layers, for documents of these lengths. */
static int border(const char *lengths, LongDocuments too_long)
{
    Region *region = region_new();
    Error   error;
    Model  *model = tiny_model(
         region, (TinyShape){.layers = 8, .hidden = 64, .vocabulary = 2000, .context = 4096});
    Codelets *codelets = differentiate(region, model, 4, &error);
    cr_assert(codelets && fuse(region, codelets, model, &error), "%s", error.text);
    Cost    *cost   = cost_profile(region, "cpu", codelets, model, &error);
    Lengths *data   = lengths ? lengths_read(region, lengths, "lengths.txt", &error) : NULL;
    Job      job    = {.path    = "test.lua",
                       .folder  = ".",
                       .model   = model,
                       .nranks  = 2,
                       .nstages = 2,
                       .memory  = (int64_t)1 << 32,
                       .data    = {.context = model->context, .too_long = too_long}};
    Layout  *layout = place(region, &job, model, codelets, cost, data, &error);
    cr_assert(layout && (data || !lengths), "%s", error.text);
    int first = layout->stages[1].first;
    region_free(region);
    return first;
}

/* The head weighs more beside layers whose attention is short: the last stage has fewer of them. */
Test(place, short_documents_move_borders_towards_the_head)
{
    int full = border("4096\n4096\n", LONG_SPLIT);
    cr_expect_gt(border("64\n32\n64\n", LONG_SPLIT), full);
    cr_expect_eq(border(NULL, LONG_SPLIT), full);
}

Test(place, long_documents_count_as_they_are_trained_on)
{
    cr_expect_eq(border("40960\n", LONG_SPLIT), border("4096\n", LONG_SPLIT));
    cr_expect_eq(border("40961\n", LONG_CUT), border("4096\n", LONG_CUT));
    cr_expect_eq(border("0\n", LONG_SPLIT), border(NULL, LONG_SPLIT), "no token at all");
}
