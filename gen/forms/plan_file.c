/* plan_file: see plan_file.h. The text is read once and walked in a circle, since whoever asks
 * mostly asks for the plan behind the last one. */
#include "gen/forms/plan_file.h"

#include <stdlib.h>
#include <string.h>

#include "gen/base/file.h"

enum { LARGEST = 1 << 30 };

struct PlanFile {
    const char *path, *text;
    size_t      length, place; /* place: behind the plan that was found last */
};

PlanFile *plan_file_open(Region *region, const char *path, Error *error)
{
    PlanFile *file = REGION_NEW(region, PlanFile);
    file->path     = region_copy(region, path);
    file->text     = file_read(region, path, LARGEST, &file->length, error);
    return file->text ? file : NULL;
}

/* Reads the plan that begins there, and goes behind it. */
static bool pass_plan(PlanFile *file, size_t begin, json_int_t *step, Error *error)
{
    json_error_t where;
    json_t      *plan = json_loadb(file->text + begin, file->length - begin,
                                   JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &where);
    if (!plan)
        return error_input(error, "%s: %s, at byte %zu", file->path, where.text,
                           begin + (size_t)where.position);
    *step       = json_integer_value(json_object_get(plan, "step"));
    file->place = begin + (size_t)where.position;
    json_decref(plan);
    return true;
}

static size_t next_begin(const PlanFile *file)
{
    return file->place + strspn(file->text + file->place, " \t\r\n");
}

/* Goes behind the plan of that step, which begins at `begin`. What is no plan ends a lap: plans
 * ahead of it may still be asked for. */
static bool find_plan(PlanFile *file, int64_t step, size_t *begin, Error *error)
{
    size_t     last = file->place;
    json_int_t found;
    bool       broken = false;
    for (int lap = 0; lap < 2; lap++, file->place = 0)
        while ((*begin = next_begin(file)) < (lap ? last : file->length)) {
            if (!pass_plan(file, *begin, &found, error)) {
                broken = true;
                break;
            }
            if (found == step)
                return true;
        }
    return !broken &&
           error_input(error,
                       "%s: found no plan of step %lld; every step that is built or run needs one",
                       file->path, (long long)step);
}

Plan *plan_file_step(PlanFile *file, Region *region, int64_t step, int64_t layers, Error *error)
{
    size_t begin;
    if (!find_plan(file, step, &begin, error))
        return NULL;
    const char *text =
        region_format(region, "%.*s", (int)(file->place - begin), file->text + begin);
    return plan_read(region, text, file->path, layers, error);
}

static int in_order(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* A step may have several plans. */
static int64_t count_distinct(int64_t *steps, int nsteps)
{
    int64_t count = 0;
    if (nsteps > 0)
        qsort(steps, (size_t)nsteps, sizeof *steps, in_order);
    for (int i = 0; i < nsteps; i++)
        count += i == 0 || steps[i] != steps[i - 1];
    return count;
}

static bool too_few(PlanFile *file, int64_t first, int64_t past, int64_t missing, Error *error)
{
    Region    *region = region_new();
    int64_t   *steps  = NULL; /* those of [first, past) that the file has plans of */
    size_t     begin;
    json_int_t found;
    int        nsteps = 0, room = 0;
    bool       good = true;
    file->place     = 0;
    while (good && (begin = next_begin(file)) < file->length)
        if ((good = pass_plan(file, begin, &found, error)) && found >= first && found < past)
            REGION_APPEND(region, steps, nsteps, room, (int64_t)found);
    int64_t count = count_distinct(steps, nsteps);
    region_free(region);
    if (!good)
        return false;
    return error_input(error,
                       "%s: found plans of %lld of the steps %lld to %lld, expected %lld, one of "
                       "each; the first that is missing is step %lld's; add it and those behind it "
                       "(`pipewright plan JOB --step %lld --json` prints one), or ask for fewer "
                       "--steps",
                       file->path, (long long)count, (long long)first, (long long)past - 1,
                       (long long)(past - first), (long long)missing, (long long)missing);
}

bool plan_file_has(PlanFile *file, int64_t first, int64_t past, Error *error)
{
    size_t begin;
    for (int64_t step = first; step < past; step++)
        if (!find_plan(file, step, &begin, error))
            return too_few(file, first, past, step, error);
    return true;
}
