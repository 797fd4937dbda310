/* bytes: counts what a chunk holds in a layer, from the operands of the codelets that make and read
 * it: what a forward of a level writes and a backward of that level reads is kept between them;
 * what a dw reads is held from dx to dw. No value is known here by name but those that cross
 * borders. */
#include "gen/cost/bytes.h"

#include <string.h>

#include "runtime/kernel.h"

static const Codelet *find(const Pricing *pricing, Part part, Direction direction, Level level,
                           Half half)
{
    int number = codelet_find(pricing->codelets, part, direction, level, half);
    return number < 0 ? NULL : &pricing->codelets->items[number];
}

static int64_t row_bytes(const CodeletOperand *operand)
{
    return operand->columns * operand->element_bytes;
}

static bool is_row(const CodeletOperand *operand)
{
    return operand->rows == ROWS_TOKEN &&
           (operand->role == ROLE_VALUE || operand->role == ROLE_GRADIENT);
}

static bool reads(const Codelet *codelet, const CodeletOperand *wanted)
{
    if (!codelet)
        return false;
    for (int i = 0; i < codelet->noperands; i++)
        if (codelet->operands[i].access == ACCESS_READ && codelet->operands[i].shift == 0 &&
            strcmp(codelet->operands[i].name, wanted->name) == 0)
            return true;
    return false;
}

static bool backward_reads(const Pricing *pricing, Level level, const CodeletOperand *wanted)
{
    for (Part part = PART_PRE; part <= PART_POST; part++)
        if (reads(find(pricing, part, DIRECTION_BACKWARD, level, HALF_BOTH), wanted))
            return true;
    return false;
}

/* What the part's forward leaves for a backward of this level; keys and values apart. */
static int64_t kept_by(const Pricing *pricing, Part part, Level level, int64_t tokens)
{
    const Codelet *forward = find(pricing, part, DIRECTION_FORWARD, level, HALF_BOTH);
    int64_t        bytes   = 0;
    for (int i = 0; i < forward->noperands; i++) {
        const CodeletOperand *o = &forward->operands[i];
        if (o->access == ACCESS_WRITE && is_row(o) && o->shift == 0 &&
            backward_reads(pricing, level, o))
            bytes += pw_align(tokens * row_bytes(o));
    }
    return bytes;
}

/* What the part's dw reads, counted where its own part reads it. */
static int64_t held_by(const Pricing *pricing, Part part, Level level, int64_t tokens)
{
    const Codelet *dw    = find(pricing, part, DIRECTION_BACKWARD, level, HALF_DW);
    int64_t        bytes = 0;
    for (int i = 0; dw && i < dw->noperands; i++)
        if (dw->operands[i].access == ACCESS_READ && is_row(&dw->operands[i]))
            bytes += pw_align(tokens * row_bytes(&dw->operands[i]));
    return bytes;
}

/* The largest need of one call of this direction: scratch, and the rows that it reads or writes and
 * that nobody keeps: gradients in backward, the values themselves in a bare forward. */
static int64_t largest_call(const Pricing *pricing, Direction direction, Level level,
                            const Chunk *chunk)
{
    int64_t most = 0;
    for (Part part = PART_EMBED; part <= PART_HEAD; part++) {
        const Codelet *codelet = find(pricing, part, direction, level, HALF_BOTH);
        if (!codelet)
            continue;
        int64_t bytes = codelet_scratch(codelet, chunk->tokens);
        for (int i = 0; i < codelet->noperands; i++) {
            const CodeletOperand *o = &codelet->operands[i];
            if (is_row(o) && (o->role == ROLE_GRADIENT || level == LEVEL_BARE ||
                              (o->access == ACCESS_WRITE && o->shift != 0)))
                bytes += pw_align(chunk->tokens * row_bytes(o));
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int64_t kv_row(const Pricing *pricing)
{
    const Codelet *core = find(pricing, PART_CORE, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    for (int i = 0; i < core->noperands; i++)
        if (core->operands[i].role == ROLE_KV)
            return row_bytes(&core->operands[i]);
    bug("%s has no keys and values", core->name);
}

static int64_t value_bytes(const Pricing *pricing, Part part, const char *name, int64_t tokens)
{
    const Codelet *forward = find(pricing, part, DIRECTION_FORWARD, LEVEL_ALL, HALF_BOTH);
    int            operand = codelet_operand(forward, name);
    if (operand < 0)
        bug("%s does not read %s", forward->name, name);
    return pw_align(tokens * row_bytes(&forward->operands[operand]));
}

LayerBytes bytes_of_layer(const Pricing *pricing, const Plan *plan, int chunk)
{
    const Chunk *at       = &plan->chunks[chunk];
    int64_t      row      = kv_row(pricing);
    int64_t      kv       = pw_align(at->tokens * row); /* of its own tokens            */
    int64_t      kv_later = 0;                          /* of those that others need too */
    LayerBytes   bytes    = {.input    = value_bytes(pricing, PART_POST, "input", at->tokens),
                             .attended = value_bytes(pricing, PART_POST, "attended", at->tokens)};
    for (int i = 0; i < at->nsegments; i++) {
        const Segment *segment = &at->segments[i];
        bool last = segment->start + segment->length == plan->sequences[segment->sequence];
        if (!last) {
            kv_later += segment->length * row;
            bytes.shrink += segment->length * row;
        } else {
            bytes.grow += segment->start * row;
            bytes.scratch += segment->length * row; /* its gradients, within one layer */
        }
    }
    for (Level level = LEVEL_ALL; level <= LEVEL_LEAN; level++) {
        bytes.keep[0][level] = bytes.input + kv + kept_by(pricing, PART_PRE, level, at->tokens) +
                               kept_by(pricing, PART_CORE, level, at->tokens);
        bytes.keep[1][level] = kept_by(pricing, PART_POST, level, at->tokens);
        bytes.held[0][level] = held_by(pricing, PART_PRE, level, at->tokens);
        bytes.held[1][level] = held_by(pricing, PART_POST, level, at->tokens);
    }
    bytes.keep[0][LEVEL_INPUT] = bytes.input + kv_later;
    bytes.keep[0][LEVEL_NONE]  = kv_later;
    int64_t forward            = largest_call(pricing, DIRECTION_FORWARD, LEVEL_BARE, at);
    int64_t backward = bytes.scratch + largest_call(pricing, DIRECTION_BACKWARD, LEVEL_ALL, at);
    bytes.scratch    = forward > backward ? forward : backward;
    return bytes;
}

int64_t bytes_across(const LayerBytes *bytes, int border)
{
    return border % 2 ? bytes->input + bytes->attended : bytes->input;
}

static int stage_half(Part part, int layer, int layers)
{
    if (layer < 0)
        return -1; /* with the first stage */
    if (layer == layers)
        return 2 * layers; /* with the last */
    return 2 * layer + (part == PART_POST);
}

/* Whether a stage of the plan on this rank runs the part that the weight belongs to. */
static bool runs(const Plan *plan, int rank, int half)
{
    for (int p = 0; p < plan->npipelines; p++) {
        const Pipeline *pipeline = &plan->pipelines[p];
        for (int s = 0; s < pipeline->nstages; s++) {
            const PlanStage *stage = &pipeline->stages[s];
            bool             here  = half < 0 ? s == 0
                                     : half == 2 * (int)plan->layers
                                         ? s == pipeline->nstages - 1
                                         : stage->first <= half && half < stage->past;
            if (here && stage->ranks[0] == rank)
                return true;
        }
    }
    return false;
}

typedef struct Sum {
    int64_t bytes;
} Sum;

static void add_twice(void *context, int home, int tensor, int64_t bytes)
{
    (void)home, (void)tensor;
    ((Sum *)context)->bytes += 2 * pw_align(bytes);
}

void bytes_away_each(const Pricing *pricing, const Plan *plan, int rank, AwayTensor each,
                     void *context)
{
    const Model *model      = pricing->model;
    int          layers     = (int)model->layers;
    int64_t      real_bytes = pricing->layout->real_bytes ? pricing->layout->real_bytes : 4;
    for (int w = 0; w < model->nweights; w++) {
        const ModelWeight *weight = &model->weights[w];
        int first = weight->part == PART_EMBED ? -1 : weight->part == PART_HEAD ? layers : 0;
        int past = weight->part == PART_EMBED ? 0 : weight->part == PART_HEAD ? layers + 1 : layers;
        for (int layer = first; layer < past; layer++) {
            int home = layout_home(pricing->layout, model, w, layer);
            if (home != rank && runs(plan, rank, stage_half(weight->part, layer, layers)))
                each(context, home,
                     weight->tied >= 0 ? layout_tensor(model, weight->tied, -1)
                                       : layout_tensor(model, w, layer),
                     weight->rows * weight->columns * real_bytes);
        }
    }
}

int64_t bytes_away(const Pricing *pricing, const Plan *plan, int rank)
{
    const Model *model      = pricing->model;
    int64_t      real_bytes = pricing->layout->real_bytes ? pricing->layout->real_bytes : 4;
    Sum          sum        = {0};
    bytes_away_each(pricing, plan, rank, add_twice, &sum);
    for (int w = 0; w < model->nweights; w++) { /* a tied head's own gradient, at home */
        const ModelWeight *weight = &model->weights[w];
        if (weight->tied >= 0 &&
            layout_home(pricing->layout, model, w, (int)model->layers) == rank &&
            runs(plan, rank, 2 * (int)model->layers))
            sum.bytes += pw_align(weight->rows * weight->columns * real_bytes);
    }
    return sum.bytes;
}
