/* weights: what stands in the arenas before the first step: weights from the seed or from a Hugging
 * Face folder, tables; and the way out, a Hugging Face folder again. */
#ifndef PW_WEIGHTS_H
#define PW_WEIGHTS_H

#include "runtime/launch.h"

void pw_weights_from_seed(PwTeam *team);
bool pw_weights_from_folder(PwTeam *team, const char *folder, PwError *error);
void pw_tables_fill(PwTeam *team); /* RoPE's cosines and sines */

/* model.safetensors and config.json: an older one's stay whole until the new ones are. */
bool pw_weights_export(const PwTeam *team, const char *folder, PwError *error);

/* One safetensors file of all tensors, by name. The leader writes it; the other processes give what
 * they are home to, and leave `hash` and `bytes` alone. */
typedef enum PwValues { PW_WEIGHTS, PW_MOMENT1, PW_MOMENT2 } PwValues;
bool pw_tensors_write(const PwTeam *team, PwValues values, const char *path, char hash[65],
                      int64_t *bytes, PwError *error);
/* Where they are; of use only in the process that is their home. */
real *pw_tensor_values(const PwTeam *team, const PwTensor *tensor, PwValues values);

/* The first weight with an element that is not finite, else the first gradient, else NULL; the same
 * in every process. */
const PwTensor *pw_weights_broken(const PwTeam *team, bool *in_gradient);

#endif
