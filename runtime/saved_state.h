/* saved_state: RUN/states/step-N: master weights and AdamW's moments by the tensors' names, and a
 * manifest that is written last. A folder counts only if its manifest and all hashes hold. Tensors
 * are whole and sorted by name: the files do not depend on the number of ranks or stages. */
#ifndef PW_SAVED_STATE_H
#define PW_SAVED_STATE_H

#include "runtime/launch.h"

typedef struct PwSavedState {
    int64_t step;     /* the next one to run                                                   */
    int64_t position; /* in the data: sequences taken since the start                          */
    char    folder[PW_PATH_MAX];
    char    code_hash[65], toolchain[200]; /* of the trainer that wrote it                     */
    char    tokens_hash[65];               /* of the .bin that it was trained on; "": not known */
    char    hash[65];                      /* SHA-256 of the master weights' file              */
    char changes[3000]; /* since then, in the fields of the job: "train.seed: 3 before, 4 now;    */
                        /* ...", as many as fit                                                */
    bool tells;         /* false: the state is older than those that keep the fields           */
} PwSavedState;

/* Compiler and kernel class: other ones give other bits. */
const char *pw_toolchain(void);

/* Every process calls it. Saves beside, syncs, renames; only then removes older ones, all but the
 * newest save_keep and those whose number among the saves is a multiple of save_keep_every. `run`
 * is there already and locked by the caller: saves in it that did not end are removed. `newest` is
 * the newest state that holds, {0} where there is none, and becomes this one. */
bool pw_state_save(const PwTeam *team, const char *run, int64_t step, int64_t position,
                   PwSavedState *newest, PwError *error);

/* For the leader. The newest folder that holds; `found` false: there is none at all. What does not
 * hold is reported on stderr and left alone; where none holds, or one cannot be read, it is an
 * error: the run must not begin anew unasked. */
bool pw_state_find(const PwJob *job, const char *run, PwSavedState *saved, bool *found,
                   PwError *error);
/* Masters, and moments unless `only_weights`: each process those that it is home to. */
bool pw_state_load(PwTeam *team, const PwSavedState *saved, bool only_weights, PwError *error);

#endif
