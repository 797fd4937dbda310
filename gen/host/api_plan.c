/* api_plan: batch, layout and plans between Lua and C. */
#include <lauxlib.h>

#include "gen/host/api.h"
#include "gen/host/sandbox.h"
#include "gen/host/values.h"

static void set_integer(lua_State *lua, const char *name, int64_t value)
{
    lua_pushinteger(lua, value);
    lua_setfield(lua, -2, name);
}

void api_push_batch(lua_State *lua, const Api *api)
{
    const Batch *batch = api->batch;
    lua_createtable(lua, 0, 8);
    set_integer(lua, "step", batch->step);
    set_integer(lua, "context", batch->context);
    set_integer(lua, "tokens", batch->tokens);
    lua_createtable(lua, batch->nsequences, 0);
    for (int i = 0; i < batch->nsequences; i++) {
        lua_createtable(lua, 0, 2);
        set_integer(lua, "index", i);
        set_integer(lua, "length", batch->sequences[i].length);
        lua_rawseti(lua, -2, i + 1);
    }
    lua_setfield(lua, -2, "sequences");
}

/* A border as a number of layers: whole where it is whole. */
static void set_border(lua_State *lua, const char *name, int half)
{
    if (half % 2)
        lua_pushnumber(lua, half / 2.0);
    else
        lua_pushinteger(lua, half / 2);
    lua_setfield(lua, -2, name);
}

void api_push_layout(lua_State *lua, const Api *api)
{
    const Layout *layout = api->pricing->layout;
    lua_createtable(lua, 0, 8);
    set_integer(lua, "ranks", layout->nranks);
    set_integer(lua, "layers", api->pricing->model->layers);
    lua_createtable(lua, layout->nstages, 0);
    for (int s = 0; s < layout->nstages; s++) {
        lua_createtable(lua, 0, 3);
        set_integer(lua, "rank", layout->stages[s].rank);
        set_border(lua, "first", layout->stages[s].first);
        set_border(lua, "past", layout->stages[s].past);
        lua_rawseti(lua, -2, s + 1);
    }
    lua_setfield(lua, -2, "stages");
    lua_createtable(lua, layout->nranks, 0);
    lua_createtable(lua, layout->nranks, 0);
    for (int r = 0; r < layout->nranks; r++) {
        lua_pushinteger(lua, layout->ranks[r].capacity);
        lua_rawseti(lua, -3, r + 1);
        lua_pushinteger(lua, layout->ranks[r].static_bytes);
        lua_rawseti(lua, -2, r + 1);
    }
    lua_setfield(lua, -3, "static");
    lua_setfield(lua, -2, "capacity");
}

static int64_t cost_of_reading(const Plan *plan)
{
    int64_t operations = 0;
    for (int r = 0; r < plan->nranks; r++)
        operations += plan->order[r].count;
    return 100 * (operations + 10 * (int64_t)plan->nchunks);
}

Plan *api_take_plan(lua_State *lua, int index, Api *api)
{
    Error   error = {.status = 0};
    json_t *tree  = values_take(lua, index);
    Plan   *plan  = plan_from_json(api->region, tree, "plan", api->pricing->model->layers, &error);
    json_decref(tree);
    if (!plan || !plan_check(plan, api->pricing->model, api->batch, api->pricing->layout, &error))
        luaL_error(lua, "%s", error.text);
    sandbox_charge(lua, cost_of_reading(plan));
    return plan;
}

static int64_t whole_field(lua_State *lua, int index, const char *name)
{
    if (lua_getfield(lua, index, name) != LUA_TNUMBER || !lua_isinteger(lua, -1))
        luaL_error(lua, "%s: found %s, expected a whole number", name, luaL_typename(lua, -1));
    int64_t value = lua_tointeger(lua, -1);
    lua_pop(lua, 1);
    return value;
}

static int border_field(lua_State *lua, int index, const char *name, int64_t layers)
{
    lua_getfield(lua, index, name);
    double halves = 2 * lua_tonumber(lua, -1);
    if (!lua_isnumber(lua, -1) || !(halves >= 0 && halves <= 2 * (double)layers) ||
        halves != (int)halves)
        luaL_error(lua, "stage: %s: expected a layer, in steps of 0.5, 0 to %d", name, (int)layers);
    lua_pop(lua, 1);
    return (int)halves;
}

static void take_stages(lua_State *lua, int index, Plan *plan, Api *api)
{
    Pipeline *pipeline = plan->pipelines;
    luaL_checktype(lua, index, LUA_TTABLE);
    pipeline->nstages = (int)lua_rawlen(lua, index);
    pipeline->stages  = REGION_ARRAY(api->region, PlanStage, pipeline->nstages);
    if (pipeline->nstages == 0)
        luaL_error(lua, "there is no stage");
    for (int s = 0; s < pipeline->nstages; s++) {
        PlanStage *stage = &pipeline->stages[s];
        if (lua_geti(lua, index, s + 1) != LUA_TTABLE)
            luaL_error(lua, "stages: element %d is not a table", s + 1);
        int at          = lua_gettop(lua);
        stage->ranks    = REGION_NEW(api->region, int);
        stage->nranks   = 1;
        int64_t rank    = whole_field(lua, at, "rank");
        stage->first    = border_field(lua, at, "first", plan->layers);
        stage->past     = border_field(lua, at, "past", plan->layers);
        stage->ranks[0] = (int)rank;
        if (rank < 0 || rank >= plan->nranks)
            luaL_error(lua, "stage %d: there is no rank %d", s, (int)rank);
        lua_pop(lua, 1);
    }
}

/* [sequence, start, length] on the top of the stack. */
static Segment take_segment(lua_State *lua, const Plan *plan)
{
    int64_t number[3];
    if (!lua_istable(lua, -1))
        luaL_error(lua, "a segment is {sequence, start, length}");
    for (int i = 0; i < 3; i++) {
        if (lua_geti(lua, -1, i + 1) != LUA_TNUMBER || !lua_isinteger(lua, -1))
            luaL_error(lua, "a segment is {sequence, start, length}, whole numbers");
        number[i] = lua_tointeger(lua, -1);
        lua_pop(lua, 1);
    }
    if (number[0] < 0 || number[0] >= plan->nsequences || number[1] < 0 || number[2] < 1 ||
        number[1] > plan->sequences[number[0]] - number[2])
        luaL_error(lua, "segment {%I, %I, %I}: there are no such tokens", (LUAI_UACINT)number[0],
                   (LUAI_UACINT)number[1], (LUAI_UACINT)number[2]);
    return (Segment){(int)number[0], number[1], number[2]};
}

static void take_chunk(lua_State *lua, Plan *plan, Chunk *chunk, Api *api)
{
    if (!lua_istable(lua, -1) || lua_getfield(lua, -1, "segments") != LUA_TTABLE)
        luaL_error(lua, "a chunk has segments");
    chunk->nsegments = (int)lua_rawlen(lua, -1);
    chunk->segments  = REGION_ARRAY(api->region, Segment, chunk->nsegments);
    chunk->recompute = REGION_ARRAY(api->region, uint8_t, plan->layers);
    for (int i = 0; i < chunk->nsegments; i++) {
        lua_geti(lua, -1, i + 1);
        chunk->segments[i] = take_segment(lua, plan);
        chunk->tokens += chunk->segments[i].length;
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
}

Plan *api_take_parts(lua_State *lua, int stages, int chunks, Api *api)
{
    Error error = {.status = 0};
    Plan *plan  = REGION_NEW(api->region, Plan);
    luaL_checktype(lua, chunks, LUA_TTABLE);
    *plan = (Plan){.step       = api->batch->step,
                   .nranks     = api->pricing->layout->nranks,
                   .layers     = api->pricing->model->layers,
                   .nsequences = api->batch->nsequences,
                   .sequences  = REGION_ARRAY(api->region, int64_t, api->batch->nsequences),
                   .pipelines  = REGION_NEW(api->region, Pipeline),
                   .npipelines = 1,
                   .nchunks    = (int)lua_rawlen(lua, chunks),
                   .order      = REGION_ARRAY(api->region, Order, api->pricing->layout->nranks)};
    for (int i = 0; i < plan->nsequences; i++)
        plan->sequences[i] = api->batch->sequences[i].length;
    take_stages(lua, stages, plan, api);
    plan->chunks = REGION_ARRAY(api->region, Chunk, plan->nchunks);
    for (int k = 0; k < plan->nchunks; k++) {
        lua_geti(lua, chunks, k + 1);
        take_chunk(lua, plan, &plan->chunks[k], api);
        lua_pop(lua, 1);
    }
    if (!plan_check_parts(plan, &error))
        luaL_error(lua, "%s", error.text);
    sandbox_charge(lua, 1000 * (1 + (int64_t)plan->nchunks));
    return plan;
}
