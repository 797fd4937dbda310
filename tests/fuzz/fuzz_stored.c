/* fuzz_stored: a stored program with damage. The first byte says which random plan's program, the
 * second how much of it is left (255: all); then every four bytes put a value into a byte of it:
 * word of eight bytes (two bytes), which byte of it, value. So inputs stay short and get past the
 * first checks. The runtime's door and program_load must each come to a verdict, prove to one on
 * what is loaded; and undamaged programs are accepted. */
#include <stdlib.h>
#include <string.h>

#include "runtime/stored_program.h"
#include "tests/support/proof_cases.h"
#include "tests/support/random_plans.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { SUBJECTS = 32 };

typedef struct Subject {
    ProofCase  on;
    RandomPlan random;
    PwJob      job;    /* as far as the door looks */
    Text       stored; /* undamaged */
} Subject;

static void fill_job(Region *region, Subject *subject)
{
    const Layout   *layout   = subject->random.layout;
    const Model    *model    = subject->on.model;
    int64_t        *statics  = REGION_ARRAY(region, int64_t, layout->nranks);
    int64_t        *capacity = REGION_ARRAY(region, int64_t, layout->nranks);
    PwCodeletEntry *entries  = REGION_ARRAY(region, PwCodeletEntry, subject->on.codelets->count);
    for (int r = 0; r < layout->nranks; r++) {
        statics[r]  = layout->ranks[r].static_bytes;
        capacity[r] = layout->ranks[r].capacity;
    }
    for (int i = 0; i < subject->on.codelets->count; i++)
        entries[i].name = subject->on.codelets->items[i].name;
    subject->job = (PwJob){.nranks       = layout->nranks,
                           .heads        = model->heads,
                           .kv_heads     = model->kv_heads,
                           .head_dim     = model->head_dim,
                           .static_bytes = statics,
                           .capacity     = capacity,
                           .codelets     = entries,
                           .ncodelets    = subject->on.codelets->count};
}

static void make_subject(Region *region, uint8_t seed, Subject *subject)
{
    Error error     = {0};
    subject->on     = proof_case(region, 2, seed % 2);
    subject->random = random_plan(region, subject->on.model, seed);
    subject->stored = text_new(region);
    fill_job(region, subject);
    Program *program = lowered(region, &subject->on, subject->random.plan, subject->random.batch,
                               subject->random.layout, seed % 3, &error);
    if (!program)
        abort();
    program_store(program, subject->on.codelets, &subject->stored);
}

/* Made once: it takes longer than what is done with it. */
static const Subject *the_subject(uint8_t seed)
{
    static Region *owner;
    static Subject subjects[SUBJECTS];
    Subject       *subject = &subjects[seed % SUBJECTS];
    if (!owner)
        owner = region_new();
    if (!subject->on.model)
        make_subject(owner, seed % SUBJECTS, subject);
    return subject;
}

/* Returns whether anything was changed. */
static bool damage(Text *stored, const uint8_t *bytes, size_t count)
{
    size_t left =
        count ? bytes[0] == 255 ? stored->length : stored->length * bytes[0] / 255 : stored->length;
    bool changed   = left < stored->length;
    stored->length = left;
    for (size_t i = 1; i + 4 <= count; i += 4) {
        size_t at = 8 * (size_t)(bytes[i] | bytes[i + 1] << 8) + bytes[i + 2] % 8;
        if (at >= stored->length)
            continue;
        changed |= stored->at[at] != (char)bytes[i + 3];
        stored->at[at] = (char)bytes[i + 3];
    }
    return changed;
}

/* Of exactly its size, for the address sanitizer. */
static char *exact_copy(const Text *stored)
{
    char *copy = malloc(stored->length ? stored->length : 1);
    if (!copy)
        abort();
    memcpy(copy, stored->at, stored->length);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    const Subject *subject = the_subject(bytes[0]);
    Region        *region  = region_new();
    Error          error   = {0};
    PwError        reason  = {0};
    Text           stored  = text_new(region);
    text_bytes(&stored, subject->stored.at, subject->stored.length);
    bool     changed = damage(&stored, bytes + 1, count - 1);
    char    *copy    = exact_copy(&stored);
    bool     enters  = pw_program_check(copy, stored.length, &subject->job, "fuzz", &reason);
    Program *loaded =
        program_load(region, stored.at, stored.length, "fuzz", subject->on.codelets, &error);
    bool proven = loaded && prove(loaded, subject->on.codelets, subject->on.model,
                                  subject->random.layout, subject->random.batch, &error);
    if (!changed && !(enters && proven))
        abort();
    free(copy);
    region_free(region);
    return 0;
}
