/* plan_file: see plan_file.h. The text is read once and walked in a circle, since whoever asks
 * mostly asks for the plan behind the last one. */
#include "gen/forms/plan_file.h"

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

/* What is no plan ends a lap: plans ahead of it may still be asked for. */
Plan *plan_file_step(PlanFile *file, Region *region, int64_t step, int64_t layers, Error *error)
{
    size_t     last = file->place, begin;
    json_int_t found;
    bool       broken = false;
    for (int lap = 0; lap < 2; lap++, file->place = 0)
        while ((begin = next_begin(file)) < (lap ? last : file->length)) {
            if (!pass_plan(file, begin, &found, error)) {
                broken = true;
                break;
            }
            int length = (int)(file->place - begin);
            if (found == step)
                return plan_read(region, region_format(region, "%.*s", length, file->text + begin),
                                 file->path, layers, error);
        }
    if (!broken)
        error_input(error,
                    "%s: found no plan of step %lld; every step that is built or run needs one",
                    file->path, (long long)step);
    return NULL;
}
