/* profile: a cost table from a machine's profile, for machines that nobody has measured.
 *   reads    lua/machines/NAME.lua; each codelet's flops and bytes
 *   writes   a cost table of the same form as a measured one
 *   fails    a profile that lacks a field, or has one that is none
 *   stands   where tune has not been: beside it, ahead of place
 * A codelet takes a constant, its flops at the machine's rate and its bytes at the memory's. */
#include <lauxlib.h>

#include "gen/base/fields.h"
#include "gen/host/sandbox.h"
#include "gen/job/job_passes.h"

typedef struct Machine {
    const char *name, *device;
    double      flops, attention_flops, bytes, call, segment, latency, message_bytes;
} Machine;

static int run_profile(lua_State *lua)
{
    const char *device = lua_touserdata(lua, 1);
    sandbox_load_ours(lua, lua_pushfstring(lua, "machines/%s.lua", device));
    lua_call(lua, 0, 1);
    return 1;
}

static bool read_rate(const Fields *at, const char *name, double *rate)
{
    if (!fields_number(at, name, rate))
        return false;
    return *rate > 0 || fields_wrong(at, name, fields_get(at, name), "a number above 0");
}

static bool read_machine(const Fields *at, Machine *machine)
{
    static const char *const names[] = {"name", "device",  "flops",   "attention_flops", "bytes",
                                        "call", "segment", "latency", "message_bytes",   NULL};
    return fields_known(at, names) && fields_text(at, "name", &machine->name) &&
           fields_text(at, "device", &machine->device) && read_rate(at, "flops", &machine->flops) &&
           read_rate(at, "attention_flops", &machine->attention_flops) &&
           read_rate(at, "bytes", &machine->bytes) && read_rate(at, "call", &machine->call) &&
           read_rate(at, "segment", &machine->segment) &&
           read_rate(at, "latency", &machine->latency) &&
           read_rate(at, "message_bytes", &machine->message_bytes);
}

static double seconds_of_rows(const Machine *machine, const Codelet *codelet, int64_t tokens)
{
    return machine->call + (double)tokens * (codelet->flops_per_token / machine->flops +
                                             codelet->bytes_per_token / machine->bytes);
}

static double seconds_of_segment(const Machine *machine, const Codelet *codelet, int64_t tokens,
                                 int64_t context)
{
    double pairs = (double)tokens * ((double)context + ((double)tokens + 1) / 2);
    return machine->segment + pairs * codelet->flops_per_pair / machine->attention_flops +
           (double)tokens * (codelet->flops_per_token / machine->flops +
                             codelet->bytes_per_token / machine->bytes);
}

static void fill_points(Region *region, const Machine *machine, const Codelet *codelet,
                        CodeletCost *cost)
{
    static const int64_t tokens[] = {1, 4096};
    cost->npoints                 = COUNT(tokens);
    cost->points                  = REGION_ARRAY(region, CostPoint, COUNT(tokens));
    for (int i = 0; i < COUNT(tokens); i++)
        cost->points[i] = (CostPoint){tokens[i], seconds_of_rows(machine, codelet, tokens[i])};
}

/* Pairs grow with the square of the length: lengths by quarters keep the line between two within 1%
 * of the curve. Along the context the line is exact. */
static void fill_table(Region *region, const Machine *machine, const Codelet *codelet,
                       int64_t context, CodeletCost *cost)
{
    int room          = 0;
    cost->constant    = machine->call;
    cost->contexts    = REGION_ARRAY(region, int64_t, 2);
    cost->ncontexts   = 2;
    cost->contexts[1] = context;
    for (int64_t length = 1;; length += 1 + length / 4) {
        REGION_APPEND(region, cost->lengths, cost->nlengths, room, length);
        if (length > context)
            break;
    }
    cost->seconds = REGION_ARRAY(region, double, 2 * cost->nlengths);
    for (int i = 0; i < cost->nlengths; i++)
        for (int j = 0; j < 2; j++)
            cost->seconds[2 * i + j] =
                seconds_of_segment(machine, codelet, cost->lengths[i], cost->contexts[j]);
}

Cost *cost_profile(Region *region, const char *device, const Codelets *codelets, const Model *model,
                   Error *error)
{
    Sandbox       sandbox = {.main = run_profile, .context = (void *)device};
    SandboxResult result;
    Machine       machine;
    if (!sandbox_run(region, &sandbox, &result, error))
        return NULL;
    const char *file = region_format(region, "lua/machines/%s.lua", device);
    Fields      at   = {region, result.answer, file, "", error};
    bool        good = json_is_object(result.answer) ? read_machine(&at, &machine)
                                                     : error_input(error, "%s: not a table", file);
    json_decref(result.answer);
    if (!good)
        return NULL;
    Cost *cost             = REGION_NEW(region, Cost);
    cost->name             = machine.name;
    cost->device           = machine.device;
    cost->latency          = machine.latency;
    cost->seconds_per_byte = 1 / machine.message_bytes;
    cost->ncodelets        = codelets->count;
    cost->codelets         = REGION_ARRAY(region, CodeletCost, codelets->count);
    for (int i = 0; i < codelets->count; i++) {
        const Codelet *codelet    = &codelets->items[i];
        cost->codelets[i].codelet = codelet->name;
        if (codelet->part == PART_CORE && codelet->flops_per_pair > 0)
            fill_table(region, &machine, codelet, model->context, &cost->codelets[i]);
        else
            fill_points(region, &machine, codelet, &cost->codelets[i]);
    }
    return cost;
}
