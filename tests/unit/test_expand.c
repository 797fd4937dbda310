/* expand: which codelets an operation of the plan becomes, by level, half and border; and that what
 * random plans become is right (prove). */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/lowered.h"
#include "tests/support/tiny_model.h"

static const char *calls(Region *region, TinyShape shape, const char *plan, int rank)
{
    Model    *model    = tiny_model(region, shape);
    Codelets *codelets = tiny_codelets(region, model);
    return calls_of(region, expanded(region, model, codelets, plan), codelets, rank);
}

#define PLAN(layers, levels, order)                                                                \
    "{\"format\":\"pipewright-plan-1\",\"step\":0,\"sequences\":[9],\"ranks\":1,"                  \
    "\"pipelines\":[{\"stages\":[{\"ranks\":[0],\"layers\":[0," layers "]}]}],"                    \
    "\"chunks\":[{\"pipeline\":0,\"segments\":[[0,0,9]],\"recompute\":[" levels "]}],"             \
    "\"order\":[[" order "]]}"

static void expect_calls(const char *levels, const char *order, const char *expected)
{
    Region     *region = region_new();
    const char *plan   = region_format(region, PLAN("2", "%s", "%s"), levels, order);
    const char *found  = calls(region, (TinyShape){.layers = 2}, plan, 0);
    const char *end    = strstr(found, "grad_norm");
    cr_assert(end);
    cr_expect_str_eq(region_format(region, "%.*s", (int)(end - found), found), expected);
    region_free(region);
}

#define FORWARD(level) "pre_forward_" level " core_forward_all post_forward_" level " "
#define BARE "pre_forward_bare core_forward_bare post_forward_bare "
#define BACKWARD(level) "post_backward_" level " core_backward pre_backward_" level " "
#define REBUILD "pre_rebuild_all core_forward_all post_rebuild_all "

Test(expand, all_and_lean)
{
    expect_calls("0,1", "\"F0\",\"B0\"",
                 "embed_forward " FORWARD("all") FORWARD("lean") "head_loss " BACKWARD("lean")
                     BACKWARD("all") "embed_backward ");
}

Test(expand, input_is_rebuilt_before_its_backward)
{
    expect_calls("2,0", "\"F0\",\"B0\"",
                 "embed_forward " BARE FORWARD("all") "head_loss " BACKWARD("all")
                     REBUILD           BACKWARD("all") "embed_backward ");
}

/* The layer before makes the input again: its post runs whole. */
Test(expand, none_is_rebuilt_from_the_nearest_input)
{
    expect_calls("2,3", "\"F0\",\"B0\"",
                 "embed_forward " BARE BARE "head_loss "
                 "pre_rebuild_all core_forward_all post_forward_all " REBUILD BACKWARD("all")
                     BACKWARD("all") "embed_backward ");
    expect_calls("1,3", "\"F0\",\"B0\"",
                 "embed_forward " FORWARD("lean") BARE
                 "head_loss post_forward_lean " REBUILD BACKWARD("all")
                     BACKWARD("lean") "embed_backward ");
}

Test(expand, early_rebuild_leaves_backward_alone)
{
    expect_calls("2,2", "\"F0\",\"R0\",\"B0\"",
                 "embed_forward " BARE BARE REBUILD REBUILD "head_loss " BACKWARD("all")
                     BACKWARD("all") "embed_backward ");
}

Test(expand, weights_apart)
{
    expect_calls(
        "0,1", "\"F0\",\"B0\",\"W0\"",
        "embed_forward " FORWARD("all")
            FORWARD("lean") "head_loss post_backward_lean_dx core_backward pre_backward_lean_dx "
                            "post_backward_all_dx core_backward pre_backward_all_dx embed_backward "
                            "post_backward_lean_dw pre_backward_lean_dw post_backward_all_dw "
                            "pre_backward_all_dw ");
}

static const char chain_plan[] =
    "{\"format\":\"pipewright-plan-1\",\"step\":0,\"sequences\":[9,4],\"ranks\":2,"
    "\"pipelines\":[{\"stages\":[{\"ranks\":[0],\"layers\":[0,0.5]},"
    "{\"ranks\":[1],\"layers\":[0.5,1]}]}],"
    "\"chunks\":[{\"pipeline\":0,\"segments\":[[0,0,5]],\"recompute\":[2]},"
    "{\"pipeline\":0,\"segments\":[[0,5,4],[1,0,4]],\"recompute\":[2]}],"
    "\"order\":[[\"F0\",\"F1\",\"B1\",\"B0\"],[\"F0\",\"F1\",\"B1\",\"B0\"]]}";

/* A border between core and post, a chain of two chunks, a short sequence beside its end. */
Test(expand, chains_and_borders_inside_layers)
{
    Region     *region   = region_new();
    Model      *model    = tiny_model(region, (TinyShape){.layers = 1});
    Codelets   *codelets = tiny_codelets(region, model);
    Program    *program  = expanded(region, model, codelets, chain_plan);
    const char *first    = calls_of(region, program, codelets, 0);
    cr_expect(strstr(first, "embed_forward pre_forward_bare core_forward_bare embed_forward "
                            "pre_forward_bare core_forward_bare pre_rebuild_all core_forward_all "
                            "core_backward pre_backward_all embed_backward "),
              "%s", first);
    cr_expect(strstr(calls_of(region, program, codelets, 1),
                     "post_forward_bare post_forward_bare head_loss post_rebuild_all "
                     "post_backward_all head_loss"));
    const char *listing = listing_of(region, program, codelets);
    /* The chain's keys and values stand for chunk 0; chunk 1 rebuilds its own. */
    cr_expect(strstr(listing, "segment S0 row 0 [0,5) kv=S0.L0.kv+0 kept"));
    cr_expect(strstr(listing, "segment S0 row 0 [5,9) kv=S0.L0.kv+0\n"));
    cr_expect(strstr(listing, "segment S0 row 0 [5,9) kv=S0.L0.kv+0 dkv=S0.L0.dkv+0 first"));
    cr_expect(strstr(listing, "segment S0 row 0 [0,5) kv=S0.L0.kv+0 dkv=S0.L0.dkv+0\n"));
    /* A sequence that lies inside one chunk has the chunk's buffer, a new one when rebuilt. */
    cr_expect(strstr(listing, "segment S1 row 4 [0,4) kv=C1.L0.kv+0\n"));
    cr_expect(strstr(listing, "segment S1 row 4 [0,4) kv=C1.L0.kv'+0 dkv=C1.L0.dkv+0 first"));
    region_free(region);
}

/* The first to touch a gradient writes it; where only some of a call's are new, these are
 * cleared. */
Test(expand, first_touchers_write)
{
    Region     *region   = region_new();
    Model      *model    = tiny_model(region, (TinyShape){.layers = 1});
    Codelets   *codelets = tiny_codelets(region, model);
    const char *plan =
        "{\"format\":\"pipewright-plan-1\",\"step\":0,\"sequences\":[5,4],\"ranks\":1,"
        "\"pipelines\":[{\"stages\":[{\"ranks\":[0],\"layers\":[0,1]}]}],"
        "\"chunks\":[{\"pipeline\":0,\"segments\":[[0,0,5]]},{\"pipeline\":0,\"segments\":[[1,0,4]]"
        "}],"
        "\"order\":[[\"F0\",\"F1\",\"B0\",\"B1\",\"W0\"]]}";
    Program *program = expanded(region, model, codelets, plan);
    int      clears = 0, firsts = 0;
    for (int i = 0; i < program->ranks[0].ninstructions; i++) {
        const Instruction *at = &program->ranks[0].instructions[i];
        clears += at->kind == PW_CLEAR;
        firsts += (at->flags & PW_CALL_FIRST) != 0;
    }
    cr_expect_eq(clears, 4, "%d", clears); /* o, gate_up, down and qkv: their dx half came first */
    cr_expect_eq(firsts, 4, "%d", firsts); /* head, post's and pre's gains, embedding            */
    region_free(region);
}

Test(expand, a_tied_head_is_a_sum_of_its_own)
{
    Region     *region   = region_new();
    Model      *model    = tiny_model(region, (TinyShape){.layers = 2, .tied = true});
    Codelets   *codelets = tiny_codelets(region, model);
    Program    *program  = expanded(region, model, codelets, PLAN("2", "0,0", "\"F0\",\"B0\""));
    const char *listing  = listing_of(region, program, codelets);
    cr_expect(strstr(listing, "add      embed.table.gradient"), "%s", listing);
    cr_expect(strstr(listing, "dw_lm_head=R0.head.lm_head.gradient"));
    region_free(region);
}

static void prove_lowered(uint64_t seed, int ahead)
{
    Region *region = region_new();
    Lowered made   = lowered(region, seed, ahead);
    Error   error  = {.status = 0};
    cr_expect(prove(made.program, made.codelets, made.model, made.random.layout, made.random.batch,
                    &error),
              "seed %d: %s", (int)seed, error.text);
    region_free(region);
}

/* The prover shares no code with the passes. */
Test(expand, random_plans_become_right_programs)
{
    for (uint64_t seed = 0; seed < 400; seed++)
        prove_lowered(seed, (int)(seed % 3));
}

/* The head's weight was sent by a rank that had gone ahead into the end of its step, where it
 * waited for the rank that needed the weight. */
Test(expand, a_fetched_weight_is_sent_before_its_home_waits_for_the_fetcher)
{
    prove_lowered(9947, 0);
}

static void prove_forward(Program *program, const Lowered *made, const Batch *batch, uint64_t seed)
{
    Error error = {.status = 0};
    bool  good  = program && communicate(program, made->codelets, &error) &&
                overlap(program, made->codelets, NULL, 1, &error) &&
                allocate(program, made->codelets, &error) &&
                prove(program, made->codelets, made->model, made->random.layout, batch, &error);
    cr_expect(good, "seed %d: %s", (int)seed, error.text);
}

Test(expand, forward_only_programs_are_right)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        Region *region = region_new();
        Lowered made   = lowered(region, seed, 0);
        Error   error  = {.status = 0};
        int64_t chunk  = 1 + (int64_t)(seed % 40);
        prove_forward(expand_evaluate(region, made.random.batch, chunk, made.model, made.codelets,
                                      made.random.layout, &error),
                      &made, made.random.batch, seed);
        prove_forward(expand_generate(region, 1 + (int64_t)(seed % 9), 1 + (int64_t)(seed % 5),
                                      made.model, made.codelets, made.random.layout, &error),
                      &made, NULL, seed);
        region_free(region);
    }
}

Test(expand, more_than_the_context_is_not_generated)
{
    Region *region = region_new();
    Lowered made   = lowered(region, 0, 0);
    Error   error  = {.status = 0};
    cr_expect_not(
        expand_generate(region, 4000, 98, made.model, made.codelets, made.random.layout, &error));
    cr_expect(strstr(error.text, "context of 4096"), "%s", error.text);
    region_free(region);
}
