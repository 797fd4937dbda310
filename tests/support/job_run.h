/* job_run: a small job from its Lua text to a trained model inside the test's own process: the real
 * passes, the emitted code through the real compiler, the real runtime. What the command line does
 * in several processes, here where a test can look into the arenas. */
#ifndef PIPEWRIGHT_TESTS_JOB_RUN_H
#define PIPEWRIGHT_TESTS_JOB_RUN_H

#include "gen/compile.h"
#include "runtime/launch.h"
#include "tests/oracle/reference.h"

typedef struct JobRun {
    Region      *region;
    const char  *folder; /* a temporary one                                                    */
    Compilation  job;
    void        *library; /* the emitted code and the kernels                                  */
    const PwJob *emitted;
    PwTokens     tokens;
    PwTransport *transport;
    PwTeam       team;
    PwOutcome    outcome; /* of the last step                                                  */
    double       weight;  /* of that step's batch                                               */
    int64_t      step;    /* the next                                                          */
    PwWatermark *marks;   /* [nranks] how much of each arena the last step used                */
    int64_t     *peaks;   /* [nranks] what its program promised                                */
    int64_t     *values;  /* [nranks] the same without scratch, of which a call may take less  */
    Error        error;
} JobRun;

/* A folder with `documents` short texts of skewed lengths, the same for the same seed; the caller
 * removes it. */
const char *job_run_corpus(Region *region, int documents, int longest, uint64_t seed);
void        job_run_corpus_remove(const char *corpus);

/* Everything up to the first step; weights from the seed. `job` is the text of a job file whose
 * data is "corpus" (in `corpus`). False: see run->error. */
bool job_run_open(JobRun *run, const char *corpus, const char *job, const char *const *sets);
/* Plans, proves and runs the next step. `plan`: JSON text to use in place of the policy, or
 * NULL. */
bool job_run_step(JobRun *run, const char *plan);
void job_run_close(JobRun *run);
/* From now on steps fill `marks`; arenas are painted before each, so that what nobody wrote is no
 * number. Slow. */
void job_run_watch(JobRun *run);

/* A tensor's numbers on its home: of weight, gradient or a moment. */
typedef enum JobRunKind { RUN_WEIGHT, RUN_GRADIENT, RUN_MOMENT1, RUN_MOMENT2 } JobRunKind;
const real *job_run_tensor(const JobRun *run, const char *name, JobRunKind kind, int64_t *count);

/* The reference with this run's shape and present weights, and the gradients and loss that it finds
 * for the batch of the step; free with reference_free. */
Reference *job_run_reference(const JobRun *run, int64_t step, double *loss);

/* The worst relative error, in norm, of this run's gradients against the reference's; `where` gets
 * the tensor's name. */
double job_run_worst(const JobRun *run, const Reference *reference, const char **where);

#endif
