/* reference: a Llama or Qwen3 decoder on one whole sequence, forward and backward, in float64 and
 * plain loops. It judges the compiler's gradients and shares nothing with it: no codelet, kernel,
 * chunk or order. Weights go by their Hugging Face names. */
#ifndef PIPEWRIGHT_TESTS_REFERENCE_H
#define PIPEWRIGHT_TESTS_REFERENCE_H

#include <stdint.h>

typedef struct ReferenceTensor {
    char    name[96];
    int64_t rows, columns; /* a vector has rows = 1                                            */
    double *value, *gradient;
} ReferenceTensor;

typedef struct Reference {
    int     layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary;
    int     tied;
    int     head_norms; /* Qwen3: RMSNorm of each head's query and key                     */
    double  epsilon;
    double *frequency; /* [head_dim / 2] of RoPE                                               */
    ReferenceTensor *tensors;
    int              ntensors;
} Reference;

/* All tensors of that shape, zero; gradients too. */
Reference *reference_new(int layers, int hidden, int heads, int kv_heads, int head_dim, int ffn,
                         int vocabulary, int tied, int head_norms, double epsilon, double theta);
void       reference_free(Reference *reference);

/* Adds the gradients of sum(weight * loss) * scale over one sequence of n tokens; returns the sum
 * of weight * loss, not scaled. target[i] < 0: predicts nothing. */
double reference_step(Reference *reference, const int32_t *token, const int32_t *target,
                      const double *weight, int n, double scale);

#endif
