/* The codelet table of a tiny model: what stands in it, by the rules that the other passes rely
 * on. */
#include <criterion/criterion.h>
#include <string.h>

#include "gen/job/job_passes.h"
#include "tests/support/tiny_model.h"

static Codelets *table_of(Region *region, const Model *model)
{
    Error     error = {0};
    Codelets *table = differentiate(region, model, 4, &error);
    cr_assert(table && fuse(region, table, model, &error), "%s", error.text);
    return table;
}

static const Codelet *codelet_of(const Codelets *table, const char *name)
{
    int index = codelet_named(table, name);
    cr_assert(index >= 0, "no %s", name);
    return &table->items[index];
}

/* "input>input+1" : reads, then what is written or added to; weights and scratch left out. */
static const char *values_of(Region *region, const Codelet *codelet)
{
    Text text = text_new(region);
    for (int written = 0; written < 2; written++) {
        text_add(&text, "%s", written ? ">" : "");
        for (int i = 0; i < codelet->noperands; i++) {
            const CodeletOperand *operand = &codelet->operands[i];
            if ((operand->access != ACCESS_READ) == written && operand->weight < 0 &&
                operand->role != ROLE_SCRATCH && operand->role != ROLE_TABLE)
                text_add(&text, operand->shift ? " %s+%d" : " %s", operand->name, operand->shift);
        }
    }
    return text.at;
}

Test(codelets, operands)
{
    static const struct {
        const char *name, *values;
    } expected[] = {
        {"embed_forward", " tokens> input+1"},
        {"embed_backward", " d_input+1 tokens>"},
        {"pre_forward_all", " input> normed scale q kv"},
        {"pre_forward_lean", " input> scale q kv"},
        {"pre_forward_bare", " input> q kv"},
        {"pre_rebuild_all", " input> normed scale q kv"},
        {"pre_backward_all", " d_q d_kv normed input scale d_hidden> d_input"},
        {"pre_backward_all_dx", " d_q d_kv input scale d_hidden> d_qkv d_input"},
        {"pre_backward_all_dw", " d_qkv normed>"},
        {"pre_backward_lean", " d_q d_kv input scale d_hidden> d_input"},
        {"pre_backward_lean_dx", " d_q d_kv input scale d_hidden> d_qkv d_input"},
        {"pre_backward_lean_dw", " input scale d_qkv>"},
        {"core_forward_all", " q kv> attended lse"},
        {"core_forward_bare", " q kv> attended"},
        {"core_backward", " d_attended q attended lse kv> d_q d_kv"},
        {"post_forward_all", " attended input> hidden normed2 scale2 gate_up act input+1"},
        {"post_forward_lean", " attended input> hidden scale2 gate_up input+1"},
        {"post_forward_bare", " attended input> input+1"},
        {"post_rebuild_all", " attended input> hidden normed2 scale2 gate_up act"},
        {"post_backward_all",
         " d_input+1 act gate_up normed2 hidden scale2 attended> d_hidden d_attended"},
        {"post_backward_all_dx", " d_input+1 gate_up hidden scale2> d_gate_up d_hidden d_attended"},
        {"post_backward_all_dw", " d_input+1 act d_gate_up normed2 d_hidden attended>"},
        {"post_backward_lean", " d_input+1 gate_up hidden scale2 attended> d_hidden d_attended"},
        {"post_backward_lean_dw", " gate_up d_input+1 hidden scale2 d_gate_up d_hidden attended>"},
        {"head_loss", " input targets weights> loss d_input"},
        {"head_evaluate", " input targets weights> loss"},
        {"head_sample", " input> next"},
        {"adamw", " gradient factor> weight moment1 moment2"},
        {"grad_norm", " gradient> norm"},
        {"clip", " norms losses> factor"},
    };
    Region   *region = region_new();
    Codelets *table  = table_of(region, tiny_model(region, (TinyShape){0}));
    for (int i = 0; i < COUNT(expected); i++) {
        const char *found = values_of(region, codelet_of(table, expected[i].name));
        cr_expect_str_eq(found, expected[i].values, "%s:%s", expected[i].name, found);
    }
    region_free(region);
}

/* Rebuild leaves out the product that makes only the layer's output; adds went into products. */
Test(codelets, lines)
{
    static const struct {
        const char *name, *kernel;
        int         calls;
    } expected[] = {
        {"post_forward_all", "matmul_forward", 3},
        {"post_rebuild_all", "matmul_forward", 2},
        {"post_rebuild_all", "swiglu_forward", 1},
        {"post_forward_bare", "add_forward", 0},
        {"post_backward_all", "swiglu_forward", 0},
        {"post_backward_lean", "swiglu_forward", 1},
        {"post_backward_lean", "rmsnorm_rebuild", 1},
        {"pre_backward_lean_dx", "rmsnorm_rebuild", 0},
        {"head_loss", "rmsnorm_forward", 1},
        {"head_loss", "head_evaluate", 0},
    };
    Region   *region = region_new();
    Codelets *table  = table_of(region, tiny_model(region, (TinyShape){0}));
    for (int i = 0; i < COUNT(expected); i++) {
        const Codelet *codelet = codelet_of(table, expected[i].name);
        int            calls   = 0;
        for (int j = 0; j < codelet->nlines; j++)
            calls += strcmp(codelet->lines[j].kernel, expected[i].kernel) == 0;
        cr_expect_eq(calls, expected[i].calls, "%s in %s: %d", expected[i].kernel, expected[i].name,
                     calls);
    }
    region_free(region);
}

/* Joint and split backward are the same calls, apart from where temporaries lie. */
Test(codelets, halves_are_the_whole)
{
    static const char *const names[] = {"pre_backward_all", "pre_backward_lean",
                                        "post_backward_all", "post_backward_lean"};
    Region                  *region  = region_new();
    Codelets                *table   = table_of(region, tiny_model(region, (TinyShape){0}));
    for (int i = 0; i < COUNT(names); i++) {
        const Codelet *whole = codelet_of(table, names[i]);
        const Codelet *half[2];
        half[0]     = codelet_of(table, region_format(region, "%s_dx", names[i]));
        half[1]     = codelet_of(table, region_format(region, "%s_dw", names[i]));
        int at[2]   = {0, 0};
        int rebuilt = 0;
        for (int j = 0; j < whole->nlines; j++)
            for (int h = 0; h < 2; h++)
                if (at[h] < half[h]->nlines &&
                    strcmp(whole->lines[j].kernel, half[h]->lines[at[h]].kernel) == 0) {
                    at[h]++;
                    rebuilt++;
                    break;
                }
        cr_expect_eq(rebuilt, whole->nlines, "%s", names[i]);
        cr_expect_eq(at[0] + at[1], half[0]->nlines + half[1]->nlines, "%s", names[i]);
        cr_expect_float_eq(whole->flops_per_token,
                           half[0]->flops_per_token + half[1]->flops_per_token, 1e-9);
    }
    region_free(region);
}

Test(codelets, find)
{
    Region   *region = region_new();
    Codelets *table  = table_of(region, tiny_model(region, (TinyShape){0}));
    static const struct {
        Part        part;
        Direction   direction;
        Level       level;
        Half        half;
        const char *name;
    } expected[] = {
        {PART_PRE, DIRECTION_FORWARD, LEVEL_NONE, HALF_BOTH, "pre_forward_bare"},
        {PART_PRE, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DW, "pre_backward_lean_dw"},
        {PART_PRE, DIRECTION_BACKWARD, LEVEL_INPUT, HALF_DX, "pre_backward_all_dx"},
        {PART_PRE, DIRECTION_REBUILD, LEVEL_INPUT, HALF_BOTH, "pre_rebuild_all"},
        {PART_CORE, DIRECTION_FORWARD, LEVEL_LEAN, HALF_BOTH, "core_forward_all"},
        {PART_CORE, DIRECTION_FORWARD, LEVEL_NONE, HALF_BOTH, "core_forward_bare"},
        {PART_CORE, DIRECTION_REBUILD, LEVEL_ALL, HALF_BOTH, "core_forward_all"},
        {PART_CORE, DIRECTION_BACKWARD, LEVEL_LEAN, HALF_DX, "core_backward"},
        {PART_EMBED, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DX, "embed_backward"},
        {PART_HEAD, DIRECTION_BACKWARD, LEVEL_ALL, HALF_BOTH, "head_loss"},
        {PART_HEAD, DIRECTION_SAMPLE, LEVEL_ALL, HALF_BOTH, "head_sample"},
    };
    for (int i = 0; i < COUNT(expected); i++)
        cr_expect_eq(codelet_find(table, expected[i].part, expected[i].direction, expected[i].level,
                                  expected[i].half),
                     codelet_named(table, expected[i].name), "%s", expected[i].name);
    cr_expect_eq(codelet_find(table, PART_CORE, DIRECTION_BACKWARD, LEVEL_ALL, HALF_DW), -1);
    cr_expect_eq(codelet_find(table, PART_HEAD, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH), -1);
    region_free(region);
}

Test(codelets, scratch_is_rounded_after_each_temporary)
{
    CodeletTemporary temporaries[] = {{"a", 12}, {"b", 4}};
    Codelet          codelet       = {.temporaries = temporaries, .ntemporaries = 2};
    cr_expect_eq(codelet_scratch(&codelet, 6), 128 + 64);
    cr_expect_eq(codelet_scratch(&codelet, 17), 256 + 128);
}

/* Each kernel has all that lies behind the temporaries; the largest need counts. */
Test(codelets, rooms_share_what_is_behind_the_temporaries)
{
    CodeletTemporary temporaries[] = {{"a", 16}};
    CodeletRoom      rooms[]       = {{"x", 10, 0, 0}, {"y", 100, 4, 0}, {"z", 0, 0, 200}};
    Codelet codelet = {.temporaries = temporaries, .ntemporaries = 1, .rooms = rooms, .nrooms = 3};
    cr_expect_eq(codelet_scratch(&codelet, 1), 64 + 256);    /* z */
    cr_expect_eq(codelet_scratch(&codelet, 8), 128 + 448);   /* y, of 4 */
    cr_expect_eq(codelet_scratch(&codelet, 64), 1024 + 640); /* x */
}

Test(codelets, reads_back)
{
    Region   *region = region_new();
    Error     error  = {0};
    Model    *model  = tiny_model(region, (TinyShape){.layers = 8, .tied = true});
    Text      first = text_new(region), second = text_new(region);
    Codelets *table = table_of(region, model);
    codelets_print(table, model, &first);
    Codelets *copy = codelets_read(region, first.at, "first", &error);
    cr_assert(copy, "%s", error.text);
    codelets_print(copy, model, &second);
    cr_expect_str_eq(first.at, second.at);
    region_free(region);
}

Test(codelets, refuses_a_malformed_table)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"operand a value read token 1 x 4 shift 0 weight -1\n", "a codelet line first"},
        {"codelet a pre forward all\n", "another number of words"},
        {"codelet a pre sideways all both\n", "sideways"},
        {"codelet a pre forward all both\n  operand a value read token x x 4 shift 0 weight -1\n",
         "a whole number"},
        {"nonsense\n", "nonsense"},
    };
    Region *region = region_new();
    for (int i = 0; i < COUNT(cases); i++) {
        Error error = {0};
        cr_expect_null(codelets_read(region, cases[i].text, "t", &error));
        cr_expect(strstr(error.text, cases[i].complaint), "%s", error.text);
        cr_expect_eq(error.status, EXIT_INPUT);
    }
    region_free(region);
}

Test(codelets, check_refuses)
{
    static const struct {
        const char *line, *complaint;
    } cases[] = {
        {"line no_such_kernel $a", "no kernel"},
        {"line rmsnorm_forward $b, $a", "neither"},
        {"line rmsnorm_forward $a+1", "neither"},
        {"operand a value read token 1 x 4 shift 0 weight -1", "two operands"},
        {"operand b weight read one 1 x 4 shift 0 weight 99", "weight 99"},
        {"operand b value read token 0 x 4 shift 0 weight -1", "without columns"},
    };
    Region *region = region_new();
    Model  *model  = tiny_model(region, (TinyShape){0});
    for (int i = 0; i < COUNT(cases); i++) {
        Error       error = {0};
        const char *text =
            region_format(region,
                          "codelet c pre forward all both\n"
                          "  operand a value read token 1 x 4 shift 0 weight -1\n  %s\n",
                          cases[i].line);
        Codelets *table = codelets_read(region, text, "t", &error);
        cr_assert(table, "%s", error.text);
        cr_expect_not(codelets_check(table, model, &error));
        cr_expect(strstr(error.text, cases[i].complaint), "%s", error.text);
    }
    region_free(region);
}

/* A model that no kernel can differentiate is refused, not compiled wrongly. */
Test(codelets, refuses_models)
{
    Region *region              = region_new();
    Error   error               = {0};
    Model  *model               = tiny_model(region, (TinyShape){0});
    model->operations[1].kernel = "layernorm";
    cr_expect_null(differentiate(region, model, 4, &error));
    cr_expect(strstr(error.text, "no operation \"layernorm\""), "%s", error.text);
    model                        = tiny_model(region, (TinyShape){0});
    model->operations[2].ninputs = 1;
    cr_expect_null(differentiate(region, model, 4, &error));
    cr_expect(strstr(error.text, "takes \"x w\""), "%s", error.text);
    model                           = tiny_model(region, (TinyShape){0});
    model->operations[10].inputs[0] = model->operations[7].outputs[0]; /* normed2 used twice */
    cr_expect_null(differentiate(region, model, 4, &error));
    cr_expect(strstr(error.text, "normed2"), "%s", error.text);
    region_free(region);
}
