/* layout: once per job, where things are.
 *   made by    the job, or place;  read by decide (stages to start from), expand, communicate,
 *              allocate, prove, pack;  printed as a table that reads back
 * It holds ranks, the stages that a policy starts from, the home of every weight, and one address
 * map of the static part of each rank's arena: the same for all programs of an artifact. */
#ifndef PIPEWRIGHT_LAYOUT_H
#define PIPEWRIGHT_LAYOUT_H

#include "gen/forms/codelets.h"

/* Borders are counted in half layers: 2 l is before layer l's pre, 2 l + 1 between its core and its
 * post; plan.json writes them as l and l + 0.5. */
typedef struct LayoutStage {
    int rank;
    int first, past; /* half layers [first, past)                                              */
} LayoutStage;

typedef enum StaticKind {
    STATIC_WEIGHT, /* a tied weight has none: its values are those of the weight that it shares   */
    STATIC_GRADIENT,
    STATIC_MOMENT1,
    STATIC_MOMENT2,
    STATIC_TABLE, /* rope                                                                      */
    STATIC_NORMS, /* a double for every tensor of the model: squares of its gradient           */
    STATIC_CLIP,  /* 2 doubles                                                                 */
    NSTATICS
} StaticKind;
extern const char *const static_names[NSTATICS];

typedef struct StaticBuffer {
    StaticKind  kind;
    int         weight, layer; /* -1 where it is none's; layer -1: embed, `layers`: head       */
    const char *name;          /* "L3.qkv.master", "embed.table.gradient", "rope"              */
    int64_t     offset, bytes; /* in the rank's arena                                          */
} StaticBuffer;

typedef struct RankLayout {
    StaticBuffer *buffers;
    int           nbuffers;
    int64_t       static_bytes; /* all of them, rounded up to PW_ALIGN                         */
    int64_t       capacity;     /* bytes the arena may take: the cluster's less the reserve    */
} RankLayout;

typedef struct Layout {
    int          nranks;
    LayoutStage *stages;
    int          nstages;
    int         *homes; /* [(layers + 2) * 2]: rank that is home to pre (even) and post (odd) of */
                        /* embedding (entry 0, 1), layer l (2 l + 2, 2 l + 3), head (last two)   */
    RankLayout *ranks;
    int         real_bytes; /* of a real: 4; 8 in the double build of the tests; 0 stands for 4 */
} Layout;

/* A number for every tensor: weight w of layer l. Order: embed's weights, then layer by layer in
 * the model's order of weights, then head's. The order in which norms are added. A tied head has
 * none. */
int layout_tensors(const Model *model);
int layout_tensor(const Model *model, int weight, int layer);
/* Whether the weight is a tensor of its own in this layer (-1: embed, `layers`: head). */
bool layout_has_tensor(const Model *model, int weight, int layer);
int  layout_home(const Layout *layout, const Model *model, int weight, int layer); /* rank */
const StaticBuffer *layout_static(const Layout *layout, int rank, StaticKind kind, int weight,
                                  int layer); /* NULL if that rank has none */

/* Fills `ranks` (addresses of the static part) from `homes`. */
void    layout_place_statics(Region *region, Layout *layout, const Model *model);
Layout *layout_read(Region *region, const char *text, const char *name, int64_t layers,
                    Error *error); /* of a model with so many layers */
void    layout_print(const Layout *layout, const Model *model, Text *out);

#endif
