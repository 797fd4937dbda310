/* proof_cases: see the header. */
#include "tests/support/proof_cases.h"

#include "gen/job/job_passes.h"
#include "tests/support/tiny_model.h"

ProofCase proof_case(Region *region, int64_t layers, bool tied)
{
    Error     error = {0};
    ProofCase made  = {.model = tiny_model(region, (TinyShape){.layers     = layers,
                                                               .hidden     = 8,
                                                               .heads      = 2,
                                                               .kv_heads   = 1,
                                                               .ffn        = 8,
                                                               .vocabulary = 8,
                                                               .tied       = tied})};
    made.codelets   = differentiate(region, made.model, (int)sizeof(float), &error);
    if (!made.codelets || !fuse(region, made.codelets, made.model, &error))
        bug("the tiny model has no codelets: %s", error.text);
    for (int c = 0; c < made.codelets->count; c++)
        for (int i = 0; i < made.codelets->items[c].nrooms; i++)
            made.codelets->items[c].rooms[i] =
                (CodeletRoom){.kernel = "none", .fixed_bytes = PW_ALIGN};
    return made;
}

Program *lowered(Region *region, const ProofCase *on, const Plan *plan, const Batch *batch,
                 const Layout *layout, int ahead, Error *error)
{
    Program *program = expand(region, plan, batch, on->model, on->codelets, layout, error);
    return program && communicate(program, on->codelets, error) &&
                   overlap(program, on->codelets, NULL, ahead, error) &&
                   allocate(program, on->codelets, error)
               ? program
               : NULL;
}
