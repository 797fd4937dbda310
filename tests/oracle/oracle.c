/* oracle: what a step must end with, computed from whole sequences by the equations of algebra: one
 * rank, one layer after the other, no program and no memory that is used twice. */
#include <string.h>

#include "tests/oracle/machine.h"

typedef struct Reference {
    const Oracle *oracle;
    Frame        *frames; /* [layers][tokens] of one sequence, then embed's and head's            */
    uint32_t     *gradients; /* [ntensors]                                                        */
    int64_t       tokens;
} Reference;

/* What a weight is before the step, in the frames of a layer. */
static uint32_t first_weight(const Oracle *oracle, int weight, int layer)
{
    const Model *model = oracle->model;
    int          owner = model->weights[weight].tied >= 0 ? model->weights[weight].tied : weight;
    Part         part  = model->weights[owner].part;
    int          of    = part == PART_EMBED ? -1 : part == PART_HEAD ? (int)model->layers : layer;
    return first_value(STATIC_WEIGHT, owner, of);
}

static Frame *frame_at(const Reference *reference, int64_t layer, int64_t token)
{
    return &reference->frames[layer * reference->tokens + token];
}

/* Frames of a sequence: what is known before anything is computed. Embed's frames are those of
 * "layer" `layers`, head's the next. */
static void begin_frames(Reference *reference, const Sequence *sequence)
{
    const Model *model = reference->oracle->model;
    for (int64_t layer = 0; layer < model->layers + 2; layer++)
        for (int64_t t = 0; t < reference->tokens; t++) {
            Frame *frame = frame_at(reference, layer, t);
            memset(frame, 0, sizeof *frame);
            know(frame, Q_POSITION, (uint32_t)t);
            know(frame, Q_ROPE, first_value(STATIC_TABLE, 0, 0));
            int64_t place = sequence->start + t;
            know(frame, Q_TOKEN, token_word("tokens", sequence->document, place));
            know(frame, Q_TARGET, token_word("targets", sequence->document, place));
            know(frame, Q_LOSS_WEIGHT, token_word("weights", sequence->document, place));
            for (int w = 0; w < model->nweights; w++)
                know(frame, quantity_of_weight(model->weights[w].name),
                     first_weight(reference->oracle, w, (int)layer));
        }
}

static void reference_forward(Reference *reference)
{
    int64_t layers = reference->oracle->model->layers;
    for (int64_t t = 0; t < reference->tokens; t++)
        know(frame_at(reference, 0, t), Q_INPUT, solve(frame_at(reference, layers, t), Q_EMBEDDED));
    for (int64_t layer = 0; layer < layers; layer++) {
        uint32_t keys = 0;
        for (int64_t t = 0; t < reference->tokens; t++) {
            Frame *frame = frame_at(reference, layer, t);
            keys += key_of(solve(frame, Q_KV));
            know(frame, Q_KEYS, keys);
            int64_t next = layer + 1 < layers ? layer + 1 : layers + 1;
            know(frame_at(reference, next, t), Q_INPUT, solve(frame, Q_OUTPUT));
        }
    }
}

static void reference_backward(Reference *reference)
{
    int64_t layers = reference->oracle->model->layers;
    for (int64_t t = 0; t < reference->tokens; t++)
        know(frame_at(reference, layers - 1, t), Q_D_OUTPUT,
             solve(frame_at(reference, layers + 1, t), Q_D_LAST));
    for (int64_t layer = layers - 1; layer >= 0; layer--)
        for (int64_t t = 0; t < reference->tokens; t++) {
            Frame   *frame = frame_at(reference, layer, t);
            uint32_t sum   = 0;
            for (int64_t query = t; query < reference->tokens; query++)
                sum += key_share(solve(frame_at(reference, layer, query), Q_QUERY),
                                 solve(frame, Q_KV));
            know(frame, Q_D_KV, sum);
            know(frame_at(reference, layer ? layer - 1 : layers, t), Q_D_OUTPUT,
                 solve(frame, Q_D_INPUT));
        }
}

static int tensor_of(const Oracle *oracle, int weight, int layer)
{
    for (int i = 0; i < oracle->ntensors; i++)
        if (oracle->tensors[i].weight == weight && oracle->tensors[i].layer == layer)
            return i;
    bug("no tensor of weight %d, layer %d", weight, layer);
}

static void reference_gradients(Reference *reference)
{
    const Model *model = reference->oracle->model;
    for (int w = 0; w < model->nweights; w++) {
        const ModelWeight *weight = &model->weights[w];
        bool               once   = weight->part == PART_EMBED || weight->part == PART_HEAD;
        Quantity           share  = share_of_weight(weight->name);
        for (int64_t layer = 0; layer < (once ? 1 : model->layers); layer++) {
            int     at   = weight->tied >= 0 ? tensor_of(reference->oracle, weight->tied, -1)
                           : weight->part == PART_EMBED ? tensor_of(reference->oracle, w, -1)
                           : weight->part == PART_HEAD
                               ? tensor_of(reference->oracle, w, (int)model->layers)
                               : tensor_of(reference->oracle, w, (int)layer);
            int64_t from = weight->part == PART_EMBED  ? model->layers
                           : weight->part == PART_HEAD ? model->layers + 1
                                                       : layer;
            for (int64_t t = 0; t < reference->tokens; t++)
                reference->gradients[at] += solve(frame_at(reference, from, t), share);
        }
    }
}

uint32_t clip_start(void)
{
    return mix(9, 0);
}

uint32_t sequence_loss(int sequence, uint32_t loss)
{
    return mix(10, (uint32_t)sequence) * loss;
}

static void update_tensors(Oracle *oracle, const uint32_t *gradients)
{
    uint32_t clip = clip_start(), losses = 0;
    for (int i = 0; i < oracle->ntensors; i++)
        clip = mix(clip, norm_of(gradients[i]));
    for (int s = 0; s < oracle->batch->nsequences; s++)
        losses += sequence_loss(s, oracle->losses[s]);
    clip = mix(clip, losses);
    for (int i = 0; i < oracle->ntensors; i++) {
        Tensor  *tensor = &oracle->tensors[i];
        uint32_t how    = oracle->model->weights[tensor->weight].decays ? 1 : 0;
        for (int kind = 0; kind < 3; kind++) {
            static const StaticKind state[] = {STATIC_WEIGHT, STATIC_MOMENT1, STATIC_MOMENT2};
            uint32_t old         = first_value((int)state[kind], tensor->weight, tensor->layer);
            tensor->result[kind] = updated(old, gradients[i], clip, how * 4 + (uint32_t)kind);
        }
    }
}

static void find_tensors(Region *region, Oracle *oracle)
{
    const Model *model = oracle->model;
    oracle->ntensors   = 0;
    oracle->tensors    = REGION_ARRAY(region, Tensor, (int)(model->layers + 2) * model->nweights);
    for (int layer = -1; layer <= model->layers; layer++)
        for (int w = 0; w < model->nweights; w++) {
            for (int rank = 0; rank < oracle->layout->nranks; rank++) {
                const StaticBuffer *master =
                    layout_static(oracle->layout, rank, STATIC_WEIGHT, w, layer);
                if (!master)
                    continue;
                oracle->tensors[oracle->ntensors++] = (Tensor){
                    .weight  = w,
                    .layer   = layer,
                    .home    = rank,
                    .master  = master,
                    .moment1 = layout_static(oracle->layout, rank, STATIC_MOMENT1, w, layer),
                    .moment2 = layout_static(oracle->layout, rank, STATIC_MOMENT2, w, layer)};
            }
        }
}

Oracle *oracle_of(Region *region, const Codelets *codelets, const Model *model,
                  const Layout *layout, const Batch *batch)
{
    Oracle *oracle = REGION_NEW(region, Oracle);
    *oracle = (Oracle){.codelets = codelets, .model = model, .layout = layout, .batch = batch};
    oracle->quantities = REGION_ARRAY(region, Quantity *, codelets->count);
    for (int c = 0; c < codelets->count; c++) {
        const Codelet *codelet = &codelets->items[c];
        oracle->quantities[c]  = REGION_ARRAY(region, Quantity, codelet->noperands);
        for (int i = 0; i < codelet->noperands; i++)
            oracle->quantities[c][i] = quantity_named(codelet->part, codelet->operands[i].name,
                                                      codelet->operands[i].shift);
    }
    find_tensors(region, oracle);
    oracle->losses      = REGION_ARRAY(region, uint32_t, batch->nsequences);
    Reference reference = {.oracle    = oracle,
                           .gradients = REGION_ARRAY(region, uint32_t, oracle->ntensors)};
    for (int s = 0; s < batch->nsequences; s++) {
        reference.tokens = batch->sequences[s].length;
        reference.frames = REGION_ARRAY(region, Frame, (model->layers + 2) * reference.tokens);
        begin_frames(&reference, &batch->sequences[s]);
        reference_forward(&reference);
        reference_backward(&reference);
        reference_gradients(&reference);
        for (int64_t t = 0; t < reference.tokens; t++)
            oracle->losses[s] += solve(frame_at(&reference, model->layers + 1, t), Q_LOSS);
    }
    update_tensors(oracle, reference.gradients);
    return oracle;
}
