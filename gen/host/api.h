/* api: what a policy's script can ask of the compiler; docs/POLICIES.md is its manual. Everything
 * here runs in the sandbox's child. Functions that take a plan check it first and raise what is
 * wrong with it where they were called. */
#ifndef PIPEWRIGHT_API_H
#define PIPEWRIGHT_API_H

#include <lua.h>

#include "gen/cost/pricing.h"
#include "gen/forms/plan.h"

/* What one run of a policy is about. */
typedef struct Api {
    Region        *region; /* of what runs: the policy, or a function that it called              */
    const Batch   *batch;
    const Pricing *pricing; /* its layout has the capacities that the policy is to see */
} Api;

/* Pushes the table `host` of lua/policy/policy.lua: batch, layout, cost, solvers. */
void api_push_host(lua_State *lua, Api *api);

/* api_plan.c */
void  api_push_batch(lua_State *lua, const Api *api);
void  api_push_layout(lua_State *lua, const Api *api);
Plan *api_take_plan(lua_State *lua, int index, Api *api); /* checked; raises */

/* Stages and chunks as policies have them, into a plan without an order; checked by
 * plan_check_parts; raises. */
Plan *api_take_parts(lua_State *lua, int stages, int chunks, Api *api);

#endif
