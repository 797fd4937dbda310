/* tiny_model: a Llama-style model small enough for tests, built in C: what lua/models/llama.lua
 * makes of `llama { layers = 2, hidden = 32, heads = 4, kv_heads = 2, ffn = 48 }`. */
#ifndef PIPEWRIGHT_TINY_MODEL_H
#define PIPEWRIGHT_TINY_MODEL_H

#include "gen/forms/model.h"

/* What differs from the defaults above; 0 stands for the default. */
typedef struct TinyShape {
    int64_t layers, hidden, heads, kv_heads, ffn;
    int64_t vocabulary; /* 61  */
    int64_t context;    /* 256 */
    bool    tied;
} TinyShape;

Model *tiny_model(Region *region, TinyShape shape);

#endif
