/* plan: prints `pipewright-plan-1`, the four decisions of one step as JSON, as docs/PLAN.md has
 * it. */
#include "gen/forms/plan.h"

#include <inttypes.h>
#include <stdlib.h>

const Pipeline *plan_pipeline(const Plan *plan, int chunk)
{
    return &plan->pipelines[plan->chunks[chunk].pipeline];
}

int plan_stages_on_rank(const Pipeline *pipeline, int rank, int *first)
{
    int count = 0;
    for (int s = pipeline->nstages - 1; s >= 0; s--)
        if (pipeline->stages[s].ranks[0] == rank) {
            *first = s;
            count++;
        }
    return count;
}

static void print_text(Text *out, const char *text)
{
    json_t *string = json_string(text);
    char   *dump   = json_dumps(string, JSON_ENCODE_ANY);
    text_add(out, "%s", dump);
    free(dump);
    json_decref(string);
}

static void print_border(Text *out, int half)
{
    text_add(out, half % 2 ? "%d.5" : "%d", half / 2);
}

static void print_pipelines(const Plan *plan, Text *out)
{
    text_add(out, ", \"pipelines\": [");
    for (int p = 0; p < plan->npipelines; p++) {
        text_add(out, "%s{\"stages\": [", p ? ", " : "");
        for (int s = 0; s < plan->pipelines[p].nstages; s++) {
            const PlanStage *stage = &plan->pipelines[p].stages[s];
            text_add(out, "%s{\"ranks\": [%d], \"layers\": [", s ? ", " : "", stage->ranks[0]);
            print_border(out, stage->first);
            text_add(out, ", ");
            print_border(out, stage->past);
            text_add(out, "]}");
        }
        text_add(out, "]}");
    }
    text_add(out, "]");
}

static void print_chunks(const Plan *plan, Text *out)
{
    text_add(out, ", \"chunks\": [");
    for (const Chunk *chunk = plan->chunks; chunk < plan->chunks + plan->nchunks; chunk++) {
        text_add(out, "%s{\"pipeline\": %d, \"segments\": [", chunk > plan->chunks ? ", " : "",
                 chunk->pipeline);
        for (int i = 0; i < chunk->nsegments; i++)
            text_add(out, "%s[%d, %" PRId64 ", %" PRId64 "]", i ? ", " : "",
                     chunk->segments[i].sequence, chunk->segments[i].start,
                     chunk->segments[i].length);
        text_add(out, "], \"recompute\": [");
        for (int64_t l = 0; l < plan->layers; l++)
            text_add(out, "%s%d", l ? "," : "", chunk->recompute[l]);
        text_add(out, "]}");
    }
    text_add(out, "]");
}

void plan_operation_print(const Plan *plan, int rank, const PlanOperation *operation, Text *out)
{
    int first;
    text_add(out, "%c%d", operation->letter, operation->chunk);
    const Pipeline *pipeline = plan_pipeline(plan, operation->chunk);
    if (plan_stages_on_rank(pipeline, rank, &first) > 1)
        text_add(out, ".%d", operation->stage);
}

static void print_order(const Plan *plan, Text *out)
{
    text_add(out, ", \"order\": [");
    for (int r = 0; r < plan->nranks; r++) {
        text_add(out, "%s[", r ? ", " : "");
        for (int i = 0; i < plan->order[r].count; i++) {
            text_add(out, "%s\"", i ? "," : "");
            plan_operation_print(plan, r, &plan->order[r].operations[i], out);
            text_add(out, "\"");
        }
        text_add(out, "]");
    }
    text_add(out, "]");
}

static void print_wholes(Text *out, const char *name, const int64_t *value, int count)
{
    text_add(out, "\"%s\": [", name);
    for (int i = 0; i < count; i++)
        text_add(out, "%s%" PRId64, i ? "," : "", value[i]);
    text_add(out, "]");
}

static void print_numbers(Text *out, const char *name, const double *value, int count)
{
    text_add(out, "\"%s\": [", name);
    for (int i = 0; i < count; i++)
        text_add(out, "%s%s", i ? "," : "", text_double(out->region, value[i]));
    text_add(out, "]");
}

static void print_predicted(const Plan *plan, Text *out)
{
    const Prediction *predicted = &plan->predicted;
    text_add(out, ", \"predicted\": {\"seconds\": %s, \"bound\": %s, \"bubble\": %s",
             text_double(out->region, predicted->seconds),
             text_double(out->region, predicted->bound),
             text_double(out->region, predicted->bubble));
    if (predicted->peak_bytes) {
        text_add(out, ", ");
        print_wholes(out, "peak_bytes", predicted->peak_bytes, plan->nranks);
    }
    text_add(out, "}");
}

static void print_chunk_costs(Text *out, const ChunkCosts *costs, int nstages)
{
    text_add(out, "{");
    print_numbers(out, "forward", costs->forward, nstages);
    text_add(out, ", ");
    print_numbers(out, "backward", costs->backward, nstages);
    text_add(out, ", ");
    print_numbers(out, "weight", costs->weight, nstages);
    text_add(out, ", \"rebuild\": [");
    for (int s = 0; s < nstages; s++)
        text_add(out, "%s[%s,%s,%s]", s ? "," : "", text_double(out->region, costs->rebuild[s][0]),
                 text_double(out->region, costs->rebuild[s][1]),
                 text_double(out->region, costs->rebuild[s][2]));
    text_add(out, "], ");
    print_numbers(out, "transfer", costs->transfer, nstages);
    text_add(out, ", \"keep\": [");
    for (int s = 0; s < nstages; s++)
        text_add(out, "%s[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]", s ? "," : "",
                 costs->keep[s][0], costs->keep[s][1], costs->keep[s][2], costs->keep[s][3]);
    text_add(out, "], ");
    print_wholes(out, "held", costs->held, nstages);
    text_add(out, ", ");
    print_wholes(out, "grow", costs->grow, nstages);
    text_add(out, ", ");
    print_wholes(out, "shrink", costs->shrink, nstages);
    text_add(out, ", ");
    print_wholes(out, "scratch", costs->scratch, nstages);
    text_add(out, "}");
}

static void print_costs(const Plan *plan, Text *out)
{
    text_add(out, ", \"costs\": {\"chunks\": [");
    for (int k = 0; k < plan->nchunks; k++) {
        text_add(out, "%s", k ? ", " : "");
        print_chunk_costs(out, &plan->costs->chunks[k], plan_pipeline(plan, k)->nstages);
    }
    text_add(out, "], ");
    print_wholes(out, "static", plan->costs->static_bytes, plan->nranks);
    text_add(out, ", ");
    print_wholes(out, "capacity", plan->costs->capacity, plan->nranks);
    text_add(out, ", \"end\": %s}", text_double(out->region, plan->costs->end));
}

void plan_print(const Plan *plan, Text *out)
{
    text_add(out, "{\"format\": \"pipewright-plan-1\", \"step\": %" PRId64, plan->step);
    if (plan->policy) {
        text_add(out, ", \"policy\": ");
        print_text(out, plan->policy);
    }
    if (plan->options)
        text_add(out, ", \"options\": %s", plan->options);
    if (plan->tries) {
        text_add(out, ", \"tries\": ");
        print_text(out, plan->tries);
    }
    text_add(out, ", ");
    print_wholes(out, "sequences", plan->sequences, plan->nsequences);
    text_add(out, ", \"ranks\": %d", plan->nranks);
    if (plan->homes) {
        text_add(out, ", \"homes\": [");
        for (int64_t i = 0; i < plan->layers + 2; i++)
            text_add(out, "%s[%d]", i ? "," : "", plan->homes[2 * i]);
        text_add(out, "]");
    }
    print_pipelines(plan, out);
    print_chunks(plan, out);
    print_order(plan, out);
    if (plan->predicted.seconds >= 0)
        print_predicted(plan, out);
    if (plan->costs)
        print_costs(plan, out);
    text_add(out, "}");
}
