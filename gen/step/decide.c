/* decide: runs the policy on a batch.
 *   reads    batch, layout, cost; the policy's file, in a fresh child of the sandbox
 *   writes   a plan, checked, with what it is predicted to cost
 *   fails    the script's errors with their line; options that the policy does not have; a plan
 *            that plan_check refuses
 *   stands   after sample: everything after it only carries out what was decided here */
#include <lauxlib.h>
#include <string.h>

#include "gen/base/data_folder.h"
#include "gen/base/fields.h"
#include "gen/base/file.h"
#include "gen/cost/predict.h"
#include "gen/host/api.h"
#include "gen/host/sandbox.h"
#include "gen/host/values.h"
#include "gen/step/step_passes.h"

typedef struct Run {
    Api         api;
    const char *file;
    json_t     *options;
    json_t     *origins; /* where the job says each field: "policy.slices": "job.lua:7"       */
} Run;

/* Loads lua/policy/policy.lua with what it is made of, and leaves the function that runs
 * policies. */
static void load_shared(lua_State *lua, Run *run)
{
    sandbox_load_ours(lua, "policy/policy.lua");
    api_push_host(lua, &run->api);
    static const char *const parts[] = {"policy/chunking.lua", "policy/orders.lua",
                                        "policy/recompute.lua"};
    for (int i = 0; i < COUNT(parts); i++) {
        sandbox_load_ours(lua, parts[i]);
        lua_call(lua, 0, 1);
    }
    lua_call(lua, 1 + COUNT(parts), 1);
}

/* Pushes "file:line: policy: " of the function at `index`. */
static void push_place(lua_State *lua, int index, const char *file)
{
    lua_Debug about;
    lua_pushvalue(lua, index);
    lua_getinfo(lua, ">S", &about);
    lua_pushfstring(lua, "%s:%d: the policy's ", file, about.linedefined);
}

/* The child: the policy's plan. What is wrong with it is raised with the line of `decide`. */
static int run_policy(lua_State *lua)
{
    Run *run = lua_touserdata(lua, 1);
    load_shared(lua, run);
    sandbox_load_users(lua, run->file);
    lua_call(lua, 0, 1);
    if (lua_istable(lua, -1)) {
        lua_getfield(lua, -1, "decide");
        sandbox_blame(lua, -1);
        lua_pop(lua, 1);
    }
    values_push(lua, run->options);
    lua_pushstring(lua, run->file);
    values_push(lua, run->origins);
    lua_call(lua, 4, 2);
    int decide = lua_gettop(lua), plan = decide - 1;
    if (!lua_istable(lua, plan)) {
        push_place(lua, decide, run->file);
        lua_pushfstring(lua, "decide returned %s, expected a plan, as plan.pipeline makes one",
                        luaL_typename(lua, plan));
        lua_concat(lua, 2);
        return lua_error(lua);
    }
    Error   error = {.status = 0};
    json_t *tree  = values_take(lua, plan);
    Plan   *read =
        plan_from_json(run->api.region, tree, "plan", run->api.pricing->model->layers, &error);
    json_decref(tree);
    if (!read || !plan_check(read, run->api.pricing->model, run->api.batch,
                             run->api.pricing->layout, &error)) {
        push_place(lua, decide, run->file);
        lua_pushstring(lua, error.text);
        lua_concat(lua, 2);
        return lua_error(lua);
    }
    lua_pushvalue(lua, plan);
    return 1;
}

static const char *shipped_file(Region *region, const char *name)
{
    const char *folder = path_join(region, data_folder(), "lua/policies");
    const char *file   = path_join(region, folder, name);
    return !strchr(name, '/') && file_exists(file) ? file : NULL;
}

static const char *users_file(Region *region, const Job *job, Error *error)
{
    const char *name = job->policy;
    const char *file =
        *name == '/' ? name : path_join(region, job->folder ? job->folder : ".", name);
    if (file_exists(file))
        return file;
    error_at(error, job_place(region, job, "policy"), .field = "policy", .found = name,
             .expected = "the name of a policy, or a file as seen from the job's folder",
             .remedy   = shipped_file(region, name)
                             ? region_format(region,
                                             "a policy that is shipped is named without "
                                               ".lua: \"%s\"",
                                             path_without(region, name, ".lua"))
                             : region_format(region, "there is no file %s", file));
    return NULL;
}

const char *policy_file(Region *region, const Job *job, Error *error)
{
    if (text_ends(job->policy, ".lua"))
        return users_file(region, job, error);
    const char *file = shipped_file(region, region_format(region, "%s.lua", job->policy));
    if (file)
        return file;
    int    count;
    char **names =
        file_names(region, path_join(region, data_folder(), "lua/policies"), &count, error);
    Text known = text_new(region);
    if (!names)
        return NULL;
    for (int i = 0; i < count; i++) {
        names[i][strcspn(names[i], ".")] = 0;
        text_add(&known, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = text_nearest(job->policy, (const char *const *)names);
    error_at(error, job_place(region, job, "policy"), .field = "policy", .found = job->policy,
             .expected =
                 region_format(region, "a policy (%s) or a file that ends in .lua", known.at),
             .remedy = nearest ? region_format(region, "did you mean %s?", nearest) : NULL);
    return NULL;
}

/* The layout as the policy sees it: less room, where the driver found that addresses cost some. */
static const Layout *with_share(Region *region, const Layout *layout, double share)
{
    Layout *seen = REGION_NEW(region, Layout);
    *seen        = *layout;
    seen->ranks  = REGION_ARRAY(region, RankLayout, layout->nranks);
    for (int r = 0; r < layout->nranks; r++) {
        seen->ranks[r]          = layout->ranks[r];
        seen->ranks[r].capacity = (int64_t)((double)layout->ranks[r].capacity * share);
    }
    return seen;
}

/* A policy may search: ten times what a job file may do. Seconds only kill what no count sees. */
enum {
    POLICY_INSTRUCTIONS = 200 * 1000 * 1000,
    POLICY_BYTES        = 192 << 20,
    POLICY_SECONDS      = 10,
};

/* What a policy does grows with the batch. A shipped one does not loop: it is the batch; with a
 * user's it may be either, so that both are said. */
static void blame_batch(Region *region, const Run *run, const Job *job, Error *error)
{
    bool        users = text_ends(job->policy, ".lua");
    const char *said  = region_copy(region, error->text);
    error_at(error, job_place(region, job, "train.batch.count"), .field = "train.batch",
             .found = region_format(region, "%s in %s",
                                    text_count(region, run->api.batch->tokens, "token"),
                                    text_count(region, run->api.batch->nsequences, "sequence")),
             .expected =
                 region_format(region,
                               "a batch that policy %s can plan within %d million "
                               "instructions and %d MiB",
                               job->policy, POLICY_INSTRUCTIONS / 1000000, POLICY_BYTES >> 20),
             .remedy = "take a smaller train.batch, or a policy that does less");
    if (users)
        error_input(error, "%s\nOr else the batch is too large for it: %s", said,
                    region_copy(region, error->text));
}

static Plan *run_in_sandbox(Region *region, Run *run, const Job *job, Error *error)
{
    Sandbox       sandbox = {.main         = run_policy,
                             .context      = run,
                             .folder       = path_folder(region, run->file),
                             .seed         = job->train.seed,
                             .instructions = POLICY_INSTRUCTIONS,
                             .bytes        = POLICY_BYTES,
                             .seconds      = POLICY_SECONDS};
    SandboxResult result;
    if (!sandbox_run(region, &sandbox, &result, error)) {
        if (result.used_up)
            blame_batch(region, run, job, error);
        return NULL;
    }
    const Pricing *pricing = run->api.pricing;
    Plan *plan = plan_from_json(region, result.answer, run->file, pricing->model->layers, error);
    json_decref(result.answer);
    if (!plan || !plan_check(plan, pricing->model, run->api.batch, pricing->layout, error))
        return NULL;
    return plan;
}

/* A job that was not parsed, but made by a test, says nothing of where. */
static json_t *origins_of(const Job *job)
{
    json_t *tree    = job->tree ? json_loads(job->tree, 0, NULL) : NULL;
    json_t *origins = json_object_get(tree, "origin");
    origins         = origins ? json_incref(origins) : json_object();
    json_decref(tree);
    return origins;
}

Plan *decide(Region *region, const Job *job, const Model *model, const Codelets *codelets,
             const Layout *layout, const Cost *cost, const Batch *batch, double capacity_share,
             Error *error)
{
    Pricing     pricing;
    Run         run  = {{region, batch, &pricing}, policy_file(region, job, error), NULL, NULL};
    const char *text = job->policy_options ? job->policy_options : "{}";
    if (!run.file ||
        !pricing_make(region, model, codelets, with_share(region, layout, capacity_share), cost,
                      &pricing, error))
        return NULL;
    run.options = fields_parse(text, "policy options", error);
    if (!run.options)
        return NULL;
    run.origins = origins_of(job);
    Plan *plan  = run_in_sandbox(region, &run, job, error);
    json_decref(run.origins);
    json_decref(run.options);
    if (plan)
        plan_predict(region, plan, &pricing, false);
    return plan;
}
