/* Stored programs and rings: damage is refused or harmless, and the trainer waits for a planner. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/ring.h"
#include "runtime/sha256.h"
#include "tests/support/toy_trainer.h"

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Every address that the executor would use. Touching them all under ASan is the judge. */
static int64_t touch_everything(const PwProgram *program, const PwJob *job)
{
    int64_t sum = 0;
    for (int number = 0; number < program->nranks; number++) {
        const PwRank        *rank  = pw_program_rank(program, number);
        const PwInstruction *list  = pw_rank_instructions(program, rank);
        unsigned char       *arena = calloc(1, (size_t)rank->arena_bytes);
        for (uint64_t i = 0; i < rank->ninstructions; i++) {
            char what[200];
            pw_describe(&list[i], job, what, sizeof what);
            for (uint32_t j = 0; j < list[i].noperands; j++) {
                const PwOperand *o = pw_rank_operands(program, rank) + list[i].operand + j;
                if (o->address >= 0 && o->bytes > 0)
                    sum += arena[o->address] + arena[o->address + o->bytes - 1];
            }
            for (uint32_t j = 0; j < list[i].nsources; j++)
                sum += pw_rank_sources(program, rank)[list[i].source + j].tokens;
        }
        free(arena);
    }
    return sum;
}

Test(stored_program, damage_is_refused_or_harmless)
{
    size_t         bytes;
    uint64_t       state   = 3;
    int            refused = 0, taken = 0;
    unsigned char *good = toy_program(2, 4, false, &bytes);
    PwError        error;
    cr_assert(pw_program_check(good, bytes, toy_job(2), "toy", &error), "%s", error.text);
    unsigned char *copy = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, good, bytes);
        for (uint64_t n = next(&state) % 3 + 1; n > 0; n--)
            copy[next(&state) % bytes] = (unsigned char)(next(&state) % 3 ? next(&state) : 0xff);
        if (!pw_program_check(copy, bytes, toy_job(2), "toy", &error)) {
            refused++;
            continue;
        }
        taken++;
        touch_everything((const PwProgram *)(const void *)copy, toy_job(2));
    }
    cr_expect(refused > 2000 && taken > 2000, "%d refused, %d taken", refused, taken);
    for (size_t cut = 0; cut < bytes; cut += 8)
        cr_expect_not(pw_program_check(good, cut, toy_job(2), "toy", &error));
    cr_expect_not(pw_program_check(good, bytes, toy_job(1), "toy", &error), "for 2 ranks, not 1");
    free(copy);
    free(good);
}

/* A ring as a planner makes it: the header first, programs appended later. */
enum { SLOTS = 4, DATA = 8192 };

static PwRing *make_live(const char *path, FILE **file)
{
    PwRing ring = {.slots      = SLOTS,
                   .data       = DATA,
                   .data_bytes = 1 << 20,
                   .first_step = 2,
                   .written    = 2,
                   .consumed   = 2};
    memcpy(ring.magic, PW_RING_MAGIC, 8);
    *file = fopen(path, "w+b");
    cr_assert(*file);
    cr_assert(fwrite(&ring, sizeof ring, 1, *file) == 1 && fflush(*file) == 0);
    cr_assert_eq(ftruncate(fileno(*file), DATA), 0);
    void *map = mmap(NULL, DATA, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(*file), 0);
    cr_assert(map != MAP_FAILED);
    return map;
}

static void append(PwRing *ring, FILE *file, long long step)
{
    size_t         bytes;
    char           hash[65];
    unsigned char *program = toy_program(2, step, false, &bytes);
    PwSlot        *slot    = (PwSlot *)(ring + 1) + step % SLOTS;
    *slot =
        (PwSlot){.step = step, .offset = DATA + (uint64_t)(step % SLOTS) * 65536, .bytes = bytes};
    pw_sha256(program, bytes, hash);
    memcpy(slot->hash, hash, 64);
    fseek(file, (long)slot->offset, SEEK_SET);
    cr_assert(fwrite(program, 1, bytes, file) == bytes && fflush(file) == 0);
    free(program);
    atomic_store(&ring->written, step + 1);
}

Test(ring, waits_for_a_planner_and_frees_what_it_has_run)
{
    char       folder[64], path[128];
    FILE      *file;
    PwPrograms programs;
    PwError    error;
    int        stop = 0;
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/live.pw", folder);
    PwRing *ring = make_live(path, &file);
    cr_assert(pw_ring_open(&programs, path, &error), "%s", error.text);
    cr_expect_eq(pw_ring_wait(&programs, 1, &stop, &error), PW_RING_WRONG, "before its first step");
    pid_t planner = fork();
    if (planner == 0) {
        for (long long step = 2; step < 12; step++) {
            while (step >= atomic_load(&ring->consumed) + SLOTS)
                usleep(100);
            append(ring, file, step);
            usleep(500);
        }
        atomic_store(&ring->finished, 1);
        _exit(0);
    }
    for (long long step = 2; step < 12; step++) {
        cr_assert_eq(pw_ring_wait(&programs, step, &stop, &error), PW_RING_READY);
        const PwProgram *program = pw_ring_program(&programs, step, toy_job(2), &error);
        cr_assert(program, "%s", error.text);
        cr_assert_eq(program->step, step);
        cr_expect_eq(pw_ring_forecast(&programs, 1), pw_program_rank(program, 1)->arena_bytes);
        pw_ring_consume(&programs, step);
    }
    waitpid(planner, NULL, 0);
    cr_expect_eq(pw_ring_wait(&programs, 12, &stop, &error), PW_RING_END);
    pw_ring_close(&programs);
}

Test(ring, a_planner_that_failed_and_a_wish_to_stop)
{
    char       folder[64], path[128];
    FILE      *file;
    PwPrograms programs;
    PwError    error;
    int        stop = 1;
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/live.pw", folder);
    PwRing *ring = make_live(path, &file);
    cr_assert(pw_ring_open(&programs, path, &error), "%s", error.text);
    cr_expect_eq(pw_ring_wait(&programs, 2, &stop, &error), PW_RING_STOPPED);
    strcpy(ring->message, "no plan for step 2");
    ring->status = PW_EXIT_INPUT;
    atomic_store(&ring->finished, -1);
    cr_expect_eq(pw_ring_wait(&programs, 2, &stop, &error), PW_RING_WRONG);
    cr_expect(strstr(error.text, "no plan for step 2"), "%s", error.text);
    cr_expect_eq(error.status, PW_EXIT_INPUT);
    pw_ring_close(&programs);
}

Test(ring, headers_that_lie_are_refused)
{
    static const struct {
        size_t   at;
        uint64_t value;
    } lies[] = {
        {offsetof(PwRing, magic), 0},
        {offsetof(PwRing, slots), 0},
        {offsetof(PwRing, slots), UINT64_MAX / 64},
        {offsetof(PwRing, data), 8},
        {offsetof(PwRing, data), UINT64_C(1) << 40},
        {offsetof(PwRing, data_bytes), UINT64_MAX},
        {offsetof(PwRing, first_step), UINT64_C(1) << 63},
        {offsetof(PwRing, first_step), 4},
        {offsetof(PwRing, written), UINT64_C(1) << 63},
        {offsetof(PwRing, consumed), UINT64_C(1) << 63},
        {offsetof(PwRing, finished), 2},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char       folder[64], path[128];
        PwPrograms programs;
        PwError    error = {{0}, 0};
        toy_folder(folder);
        snprintf(path, sizeof path, "%s/lie.pw", folder);
        toy_ring(path, 2, 3, -1);
        FILE *file = fopen(path, "r+b");
        fseek(file, (long)lies[i].at, SEEK_SET);
        fwrite(&lies[i].value, 8, 1, file);
        fclose(file);
        cr_expect_not(pw_ring_open(&programs, path, &error), "lie %zu", i);
        cr_expect_eq(error.status, PW_EXIT_INPUT);
    }
}

Test(ring, a_file_cut_short_is_refused_at_the_step_that_is_missing)
{
    char       folder[64], path[128];
    PwPrograms programs;
    PwError    error = {{0}, 0};
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/cut.pw", folder);
    toy_ring(path, 2, 3, -1);
    FILE *file = fopen(path, "r+b");
    fseek(file, 0, SEEK_END);
    cr_assert_eq(ftruncate(fileno(file), ftell(file) - 200), 0);
    fclose(file);
    cr_assert(pw_ring_open(&programs, path, &error), "%s", error.text);
    cr_expect(pw_ring_program(&programs, 1, toy_job(2), &error) != NULL, "%s", error.text);
    cr_expect_null(pw_ring_program(&programs, 2, toy_job(2), &error));
    pw_ring_close(&programs);
}

/* Beyond the ring's parts, far behind the map's end. */
Test(ring, a_slot_in_a_files_tail_is_not_read)
{
    enum { TAIL = 1 << 24 };
    char       folder[64], path[128];
    PwPrograms programs;
    PwError    error = {{0}, 0};
    toy_folder(folder);
    snprintf(path, sizeof path, "%s/long.pw", folder);
    toy_ring(path, 2, 3, -1);
    cr_assert_eq(truncate(path, 2 * TAIL), 0);
    cr_assert(pw_ring_open(&programs, path, &error), "%s", error.text);
    cr_assert_leq(programs.bytes, TAIL);
    int64_t most = pw_ring_forecast(&programs, 0);
    cr_expect_gt(most, 0);
    PwSlot *slot = (PwSlot *)(programs.ring + 1) + 1;
    slot->offset = TAIL;
    cr_expect_eq(pw_ring_forecast(&programs, 0), most);
    cr_expect_null(pw_ring_program(&programs, 1, toy_job(2), &error));
    pw_ring_close(&programs);
}
