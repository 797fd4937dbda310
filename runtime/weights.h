/* weights: what stands in the arenas before the first step: weights from the seed or from a Hugging
 * Face folder, tables; and the way out, a Hugging Face folder again. */
#ifndef PW_WEIGHTS_H
#define PW_WEIGHTS_H

#include "runtime/launch.h"

void pw_weights_from_seed(PwTeam *team);
bool pw_weights_from_folder(PwTeam *team, const char *folder, PwError *error);
void pw_tables_fill(PwTeam *team); /* RoPE's cosines and sines */

/* model.safetensors and config.json. */
bool pw_weights_export(const PwTeam *team, const char *folder, PwError *error);

/* The first weight with an element that is not finite, else the first gradient, else NULL. */
const PwTensor *pw_weights_broken(const PwTeam *team, bool *in_gradient);

/* [ntensors] numbers of the job's tensors, sorted by name; free() it. */
int *pw_tensors_by_name(const PwJob *job);

#endif
