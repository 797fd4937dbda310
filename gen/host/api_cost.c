/* api_cost: the cost model, the byte count and the solvers, as functions for policies; and the
 * table of all that they get. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "gen/cost/peak.h"
#include "gen/cost/plan_index.h"
#include "gen/cost/predict.h"
#include "gen/host/api.h"
#include "gen/host/sandbox.h"
#include "gen/solve/list_order.h"
#include "gen/solve/packing.h"
#include "gen/solve/partition.h"

/* ---- what every function begins with ---- */

static const char call_meta; /* its address is the key in Lua's registry */

typedef struct ApiCall {
    Api    *api;
    Region *outer; /* of the call around it, by a metamethod of what it was given               */
} ApiCall;

static int end_call(lua_State *lua)
{
    ApiCall *call = lua_touserdata(lua, 1);
    region_free(call->api->region);
    call->api->region = call->outer;
    return 0;
}

/* Sets as many arguments and gives the call a region of its own, which Lua frees when the call
 * returns or raises: a policy asks tens of thousands of times. */
static Api *begin_call(lua_State *lua, int arguments)
{
    Api *api = lua_touserdata(lua, lua_upvalueindex(1));
    lua_settop(lua, arguments);
    ApiCall *call = lua_newuserdatauv(lua, sizeof *call, 0);
    *call         = (ApiCall){api, api->region};
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &call_meta);
    lua_setmetatable(lua, -2);
    lua_toclose(lua, -1);
    api->region = region_new();
    return api;
}

static void push_numbers(lua_State *lua, const double *value, int count)
{
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushnumber(lua, value[i]);
        lua_rawseti(lua, -2, i + 1);
    }
}

static void push_wholes(lua_State *lua, const int64_t *value, int count)
{
    lua_createtable(lua, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushinteger(lua, value[i]);
        lua_rawseti(lua, -2, i + 1);
    }
}

/* Of numbers that are not negative; the most that there is where that is too large. */
static int64_t product(int64_t a, int64_t b)
{
    int64_t result;
    return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
}

/* ---- of a whole plan ---- */

/* cost:simulate(plan) -> { seconds, bound, bubble } */
static int simulate_plan(lua_State *lua)
{
    Api       *api   = begin_call(lua, 2);
    Plan      *plan  = api_take_plan(lua, 2, api);
    PlanCosts *costs = costs_of_plan(api->region, plan, api->pricing);
    Prediction found = predict(api->region, plan, costs);
    lua_createtable(lua, 0, 3);
    lua_pushnumber(lua, found.seconds);
    lua_setfield(lua, -2, "seconds");
    lua_pushnumber(lua, found.bound);
    lua_setfield(lua, -2, "bound");
    lua_pushnumber(lua, found.bubble);
    lua_setfield(lua, -2, "bubble");
    return 1;
}

/* cost:bytes(plan) -> the peak of each rank */
static int bytes_of_plan(lua_State *lua)
{
    Api     *api  = begin_call(lua, 2);
    Plan    *plan = api_take_plan(lua, 2, api);
    int64_t *peak = predict_peak(api->region, plan, api->pricing);
    push_wholes(lua, peak, plan->nranks);
    return 1;
}

/* cost:fits(plan) -> whether every rank's peak is within its capacity */
static int fits(lua_State *lua)
{
    Api     *api  = begin_call(lua, 2);
    Plan    *plan = api_take_plan(lua, 2, api);
    int64_t *peak = predict_peak(api->region, plan, api->pricing);
    bool     good = true;
    for (int r = 0; r < plan->nranks; r++)
        good = good && peak[r] <= api->pricing->layout->ranks[r].capacity;
    lua_pushboolean(lua, good);
    return 1;
}

/* ---- of one chunk ---- */

/* The layout's stages as stages of a policy, and a list of the one chunk: pushes both. */
static Plan *one_chunk(lua_State *lua, Api *api)
{
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_createtable(lua, 1, 0);
    lua_createtable(lua, 0, 1);
    lua_pushvalue(lua, 2);
    lua_setfield(lua, -2, "segments");
    lua_rawseti(lua, -2, 1);
    int chunks = lua_gettop(lua);
    if (lua_isnil(lua, 3)) {
        api_push_layout(lua, api);
        lua_getfield(lua, -1, "stages");
    } else {
        lua_pushvalue(lua, 3);
    }
    return api_take_parts(lua, lua_gettop(lua), chunks, api);
}

/* cost:seconds(segments [, stages]) -> forward and backward of all stages, one after another */
static int seconds_of_chunk(lua_State *lua)
{
    Api       *api   = begin_call(lua, 3);
    Plan      *plan  = one_chunk(lua, api);
    PlanCosts *costs = costs_of_plan(api->region, plan, api->pricing);
    double     sum   = 0;
    for (int s = 0; s < plan->pipelines[0].nstages; s++)
        sum += costs->chunks[0].forward[s] + costs->chunks[0].backward[s];
    lua_pushnumber(lua, sum);
    return 1;
}

static void set_numbers(lua_State *lua, const char *name, const double *value, int count)
{
    push_numbers(lua, value, count);
    lua_setfield(lua, -2, name);
}

static void set_wholes(lua_State *lua, const char *name, const int64_t *value, int count)
{
    push_wholes(lua, value, count);
    lua_setfield(lua, -2, name);
}

/* cost:chunk(segments [, stages]) -> the fields of docs/PLAN.md, lists over the stages */
static int costs_of_chunk(lua_State *lua)
{
    Api        *api   = begin_call(lua, 3);
    Plan       *plan  = one_chunk(lua, api);
    ChunkCosts *costs = &costs_of_plan(api->region, plan, api->pricing)->chunks[0];
    int         n     = plan->pipelines[0].nstages;
    lua_createtable(lua, 0, 10);
    set_numbers(lua, "forward", costs->forward, n);
    set_numbers(lua, "backward", costs->backward, n);
    set_numbers(lua, "weight", costs->weight, n);
    set_numbers(lua, "transfer", costs->transfer, n);
    set_wholes(lua, "held", costs->held, n);
    set_wholes(lua, "grow", costs->grow, n);
    set_wholes(lua, "shrink", costs->shrink, n);
    set_wholes(lua, "scratch", costs->scratch, n);
    lua_createtable(lua, n, 0);
    for (int s = 0; s < n; s++) {
        push_numbers(lua, costs->rebuild[s], 3);
        lua_rawseti(lua, -2, s + 1);
    }
    lua_setfield(lua, -2, "rebuild");
    lua_createtable(lua, n, 0);
    for (int s = 0; s < n; s++) {
        push_wholes(lua, costs->keep[s], NLEVELS);
        lua_rawseti(lua, -2, s + 1);
    }
    lua_setfield(lua, -2, "keep");
    return 1;
}

/* ---- cost:arrange ---- */

/* Tasks F, B and W of every (chunk, stage): 3 * place + 0, 1, 2. */
typedef struct Arranging {
    Api       *api;
    Plan      *plan;
    PlanCosts *costs;
    PlanIndex  index;
    bool       weights;
    Task      *tasks;
} Arranging;

static int task_of(const Arranging *a, int chunk, int stage, int kind)
{
    return 3 * (a->index.base[chunk] + stage) + kind;
}

static void make_tasks(Arranging *a)
{
    const Pipeline *pipeline = a->plan->pipelines;
    a->index                 = plan_index(a->api->region, a->plan);
    a->tasks                 = REGION_ARRAY(a->api->region, Task, 3 * a->index.nplaces);
    for (int k = 0; k < a->plan->nchunks; k++)
        for (int s = 0; s < pipeline->nstages; s++) {
            const ChunkCosts *costs       = &a->costs->chunks[k];
            int               rank        = pipeline->stages[s].ranks[0];
            double            dw          = a->weights ? costs->weight[s] : 0;
            bool              last        = s == pipeline->nstages - 1;
            a->tasks[task_of(a, k, s, 0)] = (Task){.machine = rank,
                                                   .seconds = costs->forward[s],
                                                   .needs = {s ? task_of(a, k, s - 1, 0) : -1, -1},
                                                   .delay = {s ? costs->transfer[s - 1] : 0, 0}};
            a->tasks[task_of(a, k, s, 1)] =
                (Task){.machine = rank,
                       .seconds = costs->backward[s] - dw,
                       .needs   = {last ? -1 : task_of(a, k, s + 1, 1), task_of(a, k, s, 0)},
                       .delay   = {costs->transfer[s], 0}};
            a->tasks[task_of(a, k, s, 2)] = (Task){.machine = rank,
                                                   .seconds = dw,
                                                   .needs   = {task_of(a, k, s, 1), -1},
                                                   .fills   = a->weights};
        }
}

/* "F3" or "B3" of one stage's list, on the top of the stack. */
static int take_task(lua_State *lua, const Arranging *a, int stage)
{
    const char *text = lua_tostring(lua, -1);
    char       *end  = NULL;
    long        k    = text && *text ? strtol(text + 1, &end, 10) : -1;
    if (!end || end == text + 1 || *end || !strchr("FB", *text) || k < 0 || k >= a->plan->nchunks)
        luaL_error(lua, "arrange: order of stage %d: found \"%s\", expected F or B and a chunk",
                   stage, text ? text : luaL_typename(lua, -1));
    return task_of(a, (int)k, stage, *text == 'B');
}

static TaskList *take_lists(lua_State *lua, int order, const Arranging *a)
{
    int       n     = a->plan->pipelines[0].nstages;
    TaskList *lists = REGION_ARRAY(a->api->region, TaskList, n);
    if (!lua_istable(lua, order) || (int)lua_rawlen(lua, order) != n)
        luaL_error(lua, "arrange: order: expected a list for each of %d stages", n);
    for (int s = 0; s < n; s++) {
        if (lua_geti(lua, order, s + 1) != LUA_TTABLE)
            luaL_error(lua, "arrange: order of stage %d: expected a list", s);
        lists[s].count = (int)lua_rawlen(lua, -1);
        lists[s].tasks = REGION_ARRAY(a->api->region, int, lists[s].count);
        for (int i = 0; i < lists[s].count; i++) {
            lua_geti(lua, -1, i + 1);
            lists[s].tasks[i] = take_task(lua, a, s);
            lua_pop(lua, 1);
        }
        lua_pop(lua, 1);
    }
    return lists;
}

/* The orders of ranks as texts; the stage is named where a rank has several. */
static void push_orders(lua_State *lua, const Arranging *a, const TaskList *orders)
{
    const Plan *plan   = a->plan;
    int         nparts = plan->pipelines[0].nstages;
    lua_createtable(lua, plan->nranks, 2);
    for (int r = 0; r < plan->nranks; r++) {
        lua_createtable(lua, orders[r].count, 0);
        for (int i = 0; i < orders[r].count; i++) {
            int           place     = orders[r].tasks[i] / 3;
            PlanOperation operation = {"FBW"[orders[r].tasks[i] % 3], place / nparts,
                                       place % nparts};
            Text          text      = text_new(a->api->region);
            plan_operation_print(plan, r, &operation, &text);
            lua_pushstring(lua, text.at);
            lua_rawseti(lua, -2, i + 1);
        }
        lua_rawseti(lua, -2, r + 1);
    }
    lua_pushboolean(lua, true);
    lua_setfield(lua, -2, "by_rank");
}

/* cost:arrange { stages, chunks, order, weights, waiting } -> order of each rank */
static int arrange(lua_State *lua)
{
    Arranging a = {.api = begin_call(lua, 2)};
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_getfield(lua, 2, "stages");
    lua_getfield(lua, 2, "chunks");
    lua_getfield(lua, 2, "order");
    lua_getfield(lua, 2, "weights");
    lua_getfield(lua, 2, "waiting");
    a.plan      = api_take_parts(lua, 4, 5, a.api);
    a.costs     = costs_of_plan(a.api->region, a.plan, a.api->pricing);
    a.weights   = lua_toboolean(lua, 7);
    int waiting = lua_isinteger(lua, 8) ? (int)lua_tointeger(lua, 8) : -1;
    make_tasks(&a);
    TaskList *lists  = take_lists(lua, 6, &a);
    TaskList *orders = REGION_ARRAY(a.api->region, TaskList, a.plan->nranks);
    int       ntasks = 3 * a.index.nplaces;
    sandbox_charge(lua, product(ntasks, 8 + 4 * (int64_t)a.plan->pipelines[0].nstages) + 1000);
    if (!list_order(a.api->region, a.tasks, ntasks, lists, a.plan->pipelines[0].nstages,
                    a.plan->nranks, waiting, orders))
        luaL_error(
            lua, "arrange: the stages' orders wait for each other, lack an operation, or have one "
                 "twice");
    push_orders(lua, &a, orders);
    lua_pushvalue(lua, 5);
    lua_setfield(lua, -2, "chunks");
    return 1;
}

/* ---- solvers ---- */

static int64_t *take_wholes(lua_State *lua, int index, int *count, Api *api)
{
    luaL_checktype(lua, index, LUA_TTABLE);
    *count         = (int)lua_rawlen(lua, index);
    int64_t *value = REGION_ARRAY(api->region, int64_t, *count);
    for (int i = 0; i < *count; i++) {
        if (lua_geti(lua, index, i + 1) != LUA_TNUMBER || !lua_isinteger(lua, -1) ||
            lua_tointeger(lua, -1) < 0)
            luaL_error(lua, "element %d: expected a whole number, not negative", i + 1);
        value[i] = lua_tointeger(lua, -1);
        lua_pop(lua, 1);
    }
    return value;
}

/* solve.best_fit(sizes, limit [, room]) -> the bin of each, counted from 1, those of `room`
 * first */
static int best_fit(lua_State *lua)
{
    Api        *api = begin_call(lua, 3);
    int         nitems, nbins = 0;
    int64_t    *size  = take_wholes(lua, 1, &nitems, api);
    lua_Integer limit = luaL_checkinteger(lua, 2);
    luaL_argcheck(lua, limit >= 0, 2, "expected a limit, not negative");
    int64_t *room = lua_isnoneornil(lua, 3) ? NULL : take_wholes(lua, 3, &nbins, api);
    int     *bin  = REGION_ARRAY(api->region, int, nitems);
    sandbox_charge(lua, product(nitems, (int64_t)nitems + nbins));
    pack_best_fit(api->region, size, nitems, limit, room, nbins, bin);
    lua_createtable(lua, nitems, 0);
    for (int i = 0; i < nitems; i++) {
        lua_pushinteger(lua, bin[i] + 1);
        lua_rawseti(lua, -2, i + 1);
    }
    return 1;
}

/* solve.divide(weights, parts) -> borders: run i is elements borders[i] + 1 to borders[i + 1] */
static int divide(lua_State *lua)
{
    Api        *api = begin_call(lua, 2);
    lua_Integer parts;
    luaL_checktype(lua, 1, LUA_TTABLE);
    int     count  = (int)lua_rawlen(lua, 1);
    double *weight = REGION_ARRAY(api->region, double, count);
    parts          = luaL_checkinteger(lua, 2);
    if (parts < 1 || parts > count)
        luaL_error(lua, "divide: %d elements cannot be %I parts", count, (LUAI_UACINT)parts);
    for (int i = 0; i < count; i++) {
        lua_geti(lua, 1, i + 1);
        weight[i] = luaL_checknumber(lua, -1);
        lua_pop(lua, 1);
    }
    int *border = REGION_ARRAY(api->region, int, parts + 1);
    sandbox_charge(lua, product(product(count, count), parts));
    partition(api->region, weight, count, NULL, (int)parts, border);
    lua_createtable(lua, (int)parts + 1, 0);
    for (int i = 0; i <= parts; i++) {
        lua_pushinteger(lua, border[i]);
        lua_rawseti(lua, -2, i + 1);
    }
    return 1;
}

static void set_functions(lua_State *lua, const luaL_Reg *functions, Api *api)
{
    for (; functions->name; functions++) {
        lua_pushlightuserdata(lua, api);
        lua_pushcclosure(lua, functions->func, 1);
        lua_setfield(lua, -2, functions->name);
    }
}

/* Sets fields of the table on the top of the stack. */
static void set_cost(lua_State *lua, Api *api)
{
    static const luaL_Reg cost[]    = {{"simulate", simulate_plan},
                                       {"bytes", bytes_of_plan},
                                       {"fits", fits},
                                       {"seconds", seconds_of_chunk},
                                       {"chunk", costs_of_chunk},
                                       {"arrange", arrange},
                                       {NULL, NULL}};
    static const luaL_Reg solvers[] = {{"best_fit", best_fit}, {"divide", divide}, {NULL, NULL}};
    set_functions(lua, solvers, api);
    lua_createtable(lua, 0, COUNT(cost));
    set_functions(lua, cost, api);
    lua_setfield(lua, -2, "cost");
}

void api_push_host(lua_State *lua, Api *api)
{
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, end_call);
    lua_setfield(lua, -2, "__close");
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &call_meta);
    lua_createtable(lua, 0, 8);
    api_push_batch(lua, api);
    lua_setfield(lua, -2, "batch");
    api_push_layout(lua, api);
    lua_setfield(lua, -2, "layout");
    set_cost(lua, api);
}
