/* compile_remedies: see the header. Nothing here is estimated: every change is lowered with the
 * step's own batch, as `plan` would. A person reads this once and waits some seconds for it. */
#include "gen/compile_remedies.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/data_folder.h"
#include "gen/base/fields.h"
#include "gen/base/file.h"
#include "gen/compile_capacity.h"

/* A job that differs in one field. */
typedef struct Change {
    const char *text; /* as the job would say it */
    Compilation job;
    Job         fields;
    Batch       batch;
} Change;

typedef struct Remedies {
    Region            *region;
    const Compilation *job;
    const Batch       *batch;
    Text               enough, short_of;
} Remedies;

/* ---- other fields ---- */

static Change change_of(const Remedies *remedies)
{
    Change change = {.job = *remedies->job, .fields = *remedies->job->job};
    change.batch  = *remedies->batch;
    return change;
}

static void try_change(Remedies *remedies, Change *change)
{
    bool fits;
    change->job.job   = &change->fields;
    int64_t     takes = capacity_try(&change->job, &change->batch, &fits);
    const char *size  = text_size(remedies->region, takes);
    if (takes >= 0 && fits)
        text_add(&remedies->enough, "\n  %-32s takes %s on this step", change->text, size);
    else if (takes >= 0)
        text_add(&remedies->short_of, "%s%s (%s)", remedies->short_of.length ? ", " : "",
                 change->text, size);
}

static void try_policies(Remedies *remedies)
{
    Error   error;
    int     count;
    Region *region = remedies->region;
    char  **names =
        file_names(region, path_join(region, data_folder(), "lua/policies"), &count, &error);
    for (int i = 0; names && i < count; i++) {
        Change change                    = change_of(remedies);
        names[i][strcspn(names[i], ".")] = 0;
        if (strcmp(names[i], change.fields.policy) == 0)
            continue;
        change.text                  = region_format(region, "policy = \"%s\"", names[i]);
        change.fields.policy         = names[i];
        change.fields.policy_options = NULL;
        try_change(remedies, &change);
    }
}

/* Numbers that the job gives its policy: twice each, and half. */
static void try_options(Remedies *remedies)
{
    Error       error;
    const char *key;
    json_t     *value;
    const char *given = remedies->job->job->policy_options;
    json_t     *tree  = given ? fields_parse(given, "policy options", &error) : NULL;
    json_object_foreach(tree, key, value)
    {
        int64_t number = json_is_integer(value) ? json_integer_value(value) : 0;
        for (int half = 0; half < 2 && number > half && number < INT32_MAX; half++) {
            Change  change  = change_of(remedies);
            int64_t tried   = half ? number / 2 : 2 * number;
            json_t *options = json_copy(tree);
            json_object_set_new(options, key, json_integer(tried));
            char *text  = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
            change.text = region_format(remedies->region, "policy.%s = %" PRId64, key, tried);
            change.fields.policy_options = region_copy(remedies->region, text);
            free(text);
            json_decref(options);
            try_change(remedies, &change);
        }
    }
    json_decref(tree);
}

/* Twice as many ranks and stages, where the job leaves open how to divide the layers. */
static void try_ranks(Remedies *remedies)
{
    Error        error;
    Change       change = change_of(remedies);
    Compilation *job    = &change.job;
    Job         *fields = &change.fields;
    fields->nranks *= 2;
    fields->nstages *= 2;
    if (fields->stage_layers || fields->nstages > 2 * job->model->layers)
        return;
    change.text =
        region_format(remedies->region, "cluster.ranks = layout.stages = %d", fields->nranks);
    job->layout =
        place(remedies->region, fields, job->model, job->codelets, job->cost, job->lengths, &error);
    if (job->layout)
        try_change(remedies, &change);
}

/* Contexts half as long: longer sequences in two, or in three where that leaves a token. */
static void try_context(Remedies *remedies)
{
    Change       change = change_of(remedies);
    const Batch *from   = remedies->batch;
    Batch       *to     = &change.batch;
    int64_t      most   = from->context / 2;
    to->context         = most;
    to->nsequences      = 0;
    int64_t room        = 0;
    for (int i = 0; i < from->nsequences && most > 0; i++)
        room += (from->sequences[i].length + most - 1) / most;
    to->sequences = REGION_ARRAY(remedies->region, Sequence, room);
    for (int i = 0; i < from->nsequences; i++) {
        Sequence rest = from->sequences[i];
        for (int64_t left = rest.length; most > 0 && left > 0; left -= most) {
            Sequence *part = &to->sequences[to->nsequences++];
            *part          = rest;
            part->start += rest.length - left;
            part->length = left < most ? left : most;
            part->weight = rest.weight * (double)part->length / (double)rest.length;
        }
    }
    change.text = region_format(remedies->region, "data.context = %" PRId64, most);
    if (most > 0)
        try_change(remedies, &change);
}

/* The first half of the step's sequences. */
static void try_half_batch(Remedies *remedies)
{
    Change change = change_of(remedies);
    Batch *to     = &change.batch;
    to->nsequences /= 2;
    to->tokens = 0;
    to->weight = 0;
    for (int i = 0; i < to->nsequences; i++) {
        to->tokens += to->sequences[i].length;
        to->weight += to->sequences[i].weight;
    }
    change.text = "half the train.batch";
    if (to->nsequences > 0)
        try_change(remedies, &change);
}

/* The job's line and the field before what was found. */
static void name_field(Region *region, const Job *job, Error *error)
{
    error_at(error, job_place(region, job, "cluster.memory"), .field = "cluster.memory",
             .remedy = region_copy(region, error->text));
}

/* "all 40 steps", "17 of 100000 steps". */
static const char *part_of(Region *region, int64_t tried, int64_t all, const char *noun)
{
    const char *count = text_count(region, all, noun);
    return tried < all ? region_format(region, "%" PRId64 " of %s", tried, count)
                       : region_format(region, "all %s", count);
}

/* As a line of the list; nothing where none was found. */
static const char *name_capacity(Region *region, const Compilation *job, Capacity capacity)
{
    const char *steps = part_of(region, capacity.steps, job->job->train.steps, "step");
    const char *rest =
        capacity.evaluations == capacity.all_evaluations
            ? "evaluation"
            : part_of(region, capacity.evaluations, capacity.all_evaluations, "evaluation program");
    if (capacity.bytes < 0 || capacity.steps == 0)
        return "";
    return region_format(region,
                         "\n  cluster.memory = %-15" PRId64 " the least that does for %s%s%s",
                         capacity.bytes, steps, capacity.all_evaluations ? " and " : "",
                         capacity.all_evaluations ? rest : "");
}

void remedies_add(const Compilation *job, const Step *step, Error *error)
{
    Region  *region   = step->region;
    Remedies remedies = {region, job, step->batch, text_new(region), text_new(region)};
    text_add(&remedies.enough, "%s", name_capacity(region, job, capacity_find(job, step->number)));
    if (!job->plans) {
        try_policies(&remedies);
        try_options(&remedies);
        try_ranks(&remedies);
        try_context(&remedies);
        try_half_batch(&remedies);
    }
    name_field(region, job->job, error);
    if (remedies.enough.length)
        error_input(error, "%s.\nEach of these was tried, and does:%s%s%s", error->text,
                    remedies.enough.at, remedies.short_of.length ? "\nToo little alone: " : "",
                    remedies.short_of.length ? remedies.short_of.at : "");
}

void remedies_of_evaluation(const Compilation *job, Error *error)
{
    Region     *region = region_new();
    const char *enough = name_capacity(region, job, capacity_find(job, -1));
    name_field(region, job->job, error);
    if (*enough)
        error_input(error, "%s.\nThis does:%s", region_copy(region, error->text), enough);
    region_free(region);
}
