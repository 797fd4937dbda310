/* prove: programs of all ranks, as a listing or stored: proven, or the instruction that is
 * wrong. */
#include <stdio.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/hash.h"
#include "gen/commands/job_command.h"

static const Option options[] = {
    {"artifact", "TRAINER", "the artifact whose model and codelets a listing belongs to"},
    {0},
};

/* The ring's head, copied out of the file's bytes, and whether its slots are there. */
static bool read_head(const char *bytes, size_t length, PwRing *ring, const char *path,
                      Error *error)
{
    if (length < sizeof *ring || memcmp(bytes, PW_RING_MAGIC, sizeof ring->magic) != 0)
        return error_input(error, "%s: not a ring of programs", path);
    memcpy(ring, bytes, sizeof *ring);
    if (ring->slots == 0 || ring->slots > (length - sizeof *ring) / sizeof(PwSlot))
        return error_input(error, "%s: the ring's parts lie outside the file", path);
    return (ring->first_step >= 0 && ring->consumed >= ring->first_step &&
            ring->written >= ring->consumed &&
            (uint64_t)(ring->written - ring->consumed) <= ring->slots) ||
           error_input(
               error,
               "%s: found programs of steps %lld to before %lld, counted from step %lld, in "
               "%llu slots; the ring's head was changed",
               path, (long long)ring->consumed, (long long)ring->written,
               (long long)ring->first_step, (unsigned long long)ring->slots);
}

/* The slot is this step's; the program's bytes are where it says, and hash to what it says. */
static bool read_slot(Region *region, const char *bytes, size_t length, const PwSlot *slot,
                      int64_t step, const char *name, Error *error)
{
    if (slot->step != step)
        return error_input(error, "%s: its slot holds step %lld's program; the file was changed",
                           name, (long long)slot->step);
    if (slot->offset > length || slot->bytes > length - slot->offset)
        return error_input(error, "%s: its program lies outside the file", name);
    const char *hash = hash_bytes(region, bytes + slot->offset, slot->bytes);
    return !memcmp(hash, slot->hash, sizeof slot->hash) ||
           error_input(error, "%s: found SHA-256 %s, expected %.64s; the file was changed", name,
                       hash, slot->hash);
}

static bool prove_stored(const Compilation *job, const char *path, int64_t *count, Error *error)
{
    size_t  length;
    PwRing  ring  = {.slots = 0};
    Region *file  = region_new();
    char   *bytes = file_read(file, path, (size_t)1 << 36, &length, error);
    bool    good  = bytes && read_head(bytes, length, &ring, path, error);
    /* What the trainer of a live ring is past may have been overwritten. */
    for (int64_t step = ring.consumed; good && step < ring.written; step++) {
        Region *region = region_new();
        PwSlot  slot;
        char   *name = region_format(region, "%s: step %lld", path, (long long)step);
        memcpy(&slot, bytes + sizeof ring + (uint64_t)step % ring.slots * sizeof slot, sizeof slot);
        good = read_slot(region, bytes, length, &slot, step, name, error);
        Program *program =
            good ? program_load(region, bytes + slot.offset, slot.bytes, name, job->codelets, error)
                 : NULL;
        good = program && prove(program, job->codelets, job->model, job->layout, NULL, error);
        *count += good;
        region_free(region);
    }
    region_free(file);
    return good;
}

static bool prove_listing(const Compilation *job, const char *path, Error *error)
{
    char    *text    = file_read(job->region, path, (size_t)1 << 30, NULL, error);
    Program *program = text ? program_read(job->region, text, path, job->codelets, error) : NULL;
    return program && prove(program, job->codelets, job->model, job->layout, NULL, error);
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region = arguments->region;
    const char *word   = artifact_of(region, arguments->words[0]);
    const char *folder = is_artifact(region, word) ? word : argument(arguments, "artifact");
    int64_t     count  = 0;
    Compilation job;
    if (!folder && file_is_folder(word))
        return run_artifact(region, word, error) != NULL;
    if (!folder)
        return error_input(error,
                           "pipewright prove %s: --artifact TRAINER is missing: a listing "
                           "names codelets, and only an artifact says what they do",
                           word);
    if (!open_artifact(region, folder, &job, error))
        return false;
    if (folder != word) {
        if (!prove_listing(&job, word, error))
            return false;
        printf("%s: proven\n", word);
        return true;
    }
    const char *evaluate = path_join(region, folder, "evaluate.pw");
    if (!prove_stored(&job, path_join(region, folder, "programs.pw"), &count, error) ||
        (file_exists(evaluate) && !prove_stored(&job, evaluate, &count, error)))
        return false;
    printf("%s: %s proven\n", folder, text_count(region, count, "program"));
    return true;
}

const Command command_prove = {
    .name      = "prove",
    .words     = "LISTING|TRAINER",
    .min_words = 1,
    .max_words = 1,
    .summary   = "proves programs: no deadlock, every byte and every gradient right",
    .details   = "Exit status 1 names the rank and the instruction that is wrong.",
    .options   = options,
    .run       = run,
};
