/* shapes.h: the dimensions of this model, ahead of every kernel. Emitted: read, do not edit. */
#ifndef SHAPES_H
#define SHAPES_H

#define HIDDEN     32       /* elements a token between layers */
#define HEAD_DIM   8        /* elements a head */
#define GROUP      2        /* query heads per head of keys and values */
#define ALL_HEADS  32       /* elements of all query heads */
#define QKV        64       /* queries, keys, values */
#define FFN        48       /* elements inside the MLP */
#define GATE_UP    96       /* gate and up, side by side */
#define VOCABULARY 257      /* rows of the embedding */
#define CONTEXT    64       /* tokens of the longest sequence */
#define TENSORS    15       /* weights whose gradients have a norm */
#define EPSILON    ((real)1e-05) /* of RMSNorm */

#endif
