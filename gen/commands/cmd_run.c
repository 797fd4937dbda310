/* run: trains. Of a job it makes an artifact with a live ring of programs, and plans ahead beside
 * the trainer; of an artifact it starts the trainer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gen/ahead.h"
#include "gen/artifact.h"
#include "gen/base/file.h"
#include "gen/base/process.h"
#include "gen/commands/job_command.h"
#include "gen/data/first_weights.h"
#include "gen/evaluation.h"
#include "gen/pack.h"
#include "gen/ring_writer.h"

enum { RING_SLOTS = 16, RING_FACTOR = 4, LOCK_TRIES = 20 };

static const Option options[] = {
    {"out", "RUN", "folder for states, log and report; default: JOB's name with .run"},
    {"steps", "N", "trains up to step N in all; default: the job's steps"},
    {"data", "PREFIX", "the token set; default: the one that `data` made for the job"},
    {"from", "plan.json", "plans in place of the policy, one a line, one a step"},
    {"accept-toolchain", NULL,
     "goes on from a state that another compiler or machine wrote; logged"},
    {0},
};

typedef struct Resume {
    const Arguments *arguments;
    const char      *run;
    PlanFile        *plans; /* in place of the policy, or NULL                                  */
    int64_t          steps; /* in all                                                           */
    int64_t          step;  /* with which the trainer goes on                                   */
} Resume;

/* The trainer says where it will go on in RUN, or that it cannot, since only it checks states. It
 * is asked before it takes the place of the one that wrote them. From there on plans must reach. */
static bool ask_where(void *context, const char *artifact, Error *error)
{
    Resume     *resume  = context;
    Region     *region  = resume->arguments->region;
    Text        answer  = text_new(region);
    const char *argv[6] = {path_join(region, artifact, "train"), "--where", "--out", resume->run};
    if (argument(resume->arguments, "accept-toolchain"))
        argv[4] = "--accept-toolchain";
    int status   = process_read(argv, &answer, error);
    resume->step = strtoll(answer.at, NULL, 10);
    if (status == EXIT_INPUT)
        return error_input(error, "%s: nothing was changed there", resume->run);
    if (status != 0)
        return status > 0 &&
               error_fail(error, "%s: the trainer cannot say where it stopped", resume->run);
    return !resume->plans || plan_file_has(resume->plans, resume->step, resume->steps, error);
}

/* One `run` at a time plans for a folder. Held by this process until it ends, however it ends. */
static bool lock_run(Region *region, const char *run, Error *error)
{
    const char *path = path_join(region, run, "planner.lock");
    int         file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (file < 0)
        return error_fail(error, "%s: %s", path, strerror(errno));
    for (int i = 0; i < LOCK_TRIES; i++) { /* one that was killed has a moment to end */
        if (!flock(file, LOCK_EX | LOCK_NB))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return error_input(error,
                       "%s: another `pipewright run` is at work there; wait for it, or "
                       "choose another --out",
                       run);
}

static volatile pid_t trainer;

/* The trainer saves and stops; we wait for it. */
static void pass_on(int signal_number)
{
    if (trainer > 0)
        kill(trainer, signal_number);
}

/* What the trainer's process does first. A group of its own: Ctrl-C reaches it once, through us. It
 * saves and stops when we are killed. */
static void become_trainer(const char *const *argv, pid_t parent)
{
    setpgid(0, 0);
    if (process_follow(parent, SIGTERM))
        execv(argv[0], (char *const *)argv);
    fprintf(stderr, "%s: cannot be started: %s\n", argv[0], strerror(errno));
    _exit(EXIT_FAILED);
}

/* Starts the trainer; its process, or -1. */
static pid_t start_trainer(const Arguments *arguments, const char *artifact, const char *data,
                           const char *run, int64_t steps, Error *error)
{
    const char *argv[16];
    int         n      = 0;
    pid_t       parent = getpid();
    argv[n++]          = path_join(arguments->region, artifact, "train");
    argv[n++] = "--out", argv[n++] = run;
    if (data)
        argv[n++] = "--data", argv[n++] = data;
    if (steps > 0)
        argv[n++] = "--steps",
        argv[n++] = region_format(arguments->region, "%lld", (long long)steps);
    if (argument(arguments, "accept-toolchain"))
        argv[n++] = "--accept-toolchain";
    argv[n] = NULL;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        become_trainer(argv, parent);
    if (child < 0)
        return error_fail(error, "%s: cannot be started: %s", argv[0], strerror(errno)), -1;
    trainer = child;
    signal(SIGINT, pass_on);
    signal(SIGTERM, pass_on);
    return child;
}

/* Waits for the trainer. A planner that ends before it is done may not have said so: the ring says
 * it for it, and the trainer saves and stops. Whose end is known gets no more signals: its number
 * may be another's. */
static int wait_for_both(pid_t child, pid_t planner, const char *ring)
{
    for (;;) {
        int   status;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended == child) {
            trainer = 0;
            if (planner > 0) {
                kill(planner, SIGTERM);
                process_wait(planner);
            }
            return process_status(status);
        }
        if (ended == planner) {
            planner = 0;
            if (status != 0)
                ring_abandon(ring, status);
        }
        if (ended < 0 && errno != EINTR)
            return EXIT_FAILED;
    }
}

static bool end_with(int status)
{
    /* The trainer has said what there was to say; its status becomes ours. */
    fflush(NULL);
    _exit(status);
}

static bool run_artifact_folder(const Arguments *arguments, const char *folder, Error *error)
{
    Region     *region = arguments->region;
    const char *run    = argument(arguments, "out");
    int64_t     steps;
    if (!run)
        run = region_format(region, "%s.run", folder);
    if (!argument_number(arguments, "steps", 1, 0, &steps, error) ||
        !artifact_verify(region, folder, error))
        return false;
    if (!argument(arguments, "data"))
        return error_input(error,
                           "pipewright run %s: --data PREFIX is missing; an artifact does not "
                           "know where its token set lies",
                           folder);
    if (!file_exists(path_join(region, folder, "train"))) {
        const char *build[] = {path_join(region, folder, "build"), NULL};
        if (!process_must_run(build, error))
            return false;
    }
    pid_t child = start_trainer(arguments, folder, argument(arguments, "data"), run, steps, error);
    return child > 0 && end_with(process_wait(child));
}

/* What can be refused at once is, before RUN is made or anything compiled; where a run goes on only
 * the trainer knows. */
static bool try_first_step(Compilation *job, const char *run, Error *error)
{
    Step    step;
    int64_t evaluation;
    if (file_is_folder(path_join(job->region, run, "states")))
        return true;
    if (!compile_step(job, 0, &step, error))
        return false;
    region_free(step.region);
    return evaluation_fits(job, &evaluation, error);
}

/* Bytes for the ring: a few times what the first program takes in each slot. */
static bool make_ring(Compilation *job, const char *path, int64_t first, Error *error)
{
    Step step;
    if (!compile_step(job, first, &step, error))
        return false;
    Text stored = text_new(step.region);
    program_store(step.program, job->codelets, &stored);
    bool good =
        ring_create(path, RING_SLOTS, (uint64_t)RING_SLOTS * (RING_FACTOR * stored.length + 65536),
                    first, error);
    region_free(step.region);
    return good;
}

/* A run goes on although the folder that it started from is gone: its trainer has a copy. Whether
 * that is the folder that the job names now is the user's to know. */
static bool name_copy(const Arguments *arguments, const Job *job, const char *run, Error *error)
{
    Region     *region = arguments->region;
    const char *from   = job ? first_weights_folder(region, job) : NULL;
    char       *copy   = realpath(path_join(region, run, "trainer/first_weights"), NULL);
    if (from && !file_exists(from) && copy && strstr(error->text, "train.from: "))
        error_input(error, "%s; what %s began from is kept in it: --set train.from=%s",
                    region_copy(region, error->text), run, copy);
    free(copy);
    return false;
}

static bool run_job(const Arguments *arguments, Error *error)
{
    Region     *region = arguments->region;
    Compilation job;
    int64_t     steps;
    const char *run = argument(arguments, "out");
    if (!run)
        run = region_format(region, "%s.run", path_without(region, arguments->words[0], ".lua"));
    if (!open_job(arguments, true, &job, error))
        return name_copy(arguments, job.job, run, error);
    if (!argument_number(arguments, "steps", 1, job.job->train.steps, &steps, error))
        return false;
    const char *data = argument(arguments, "data") ? argument(arguments, "data") : job.prefix;
    if (!job.prefix)
        return error_input(
            error,
            "%s: the job knows only lengths; plan, tune and build take them, training "
            "needs documents: data = text {...}, jsonl {...} or token_set {...}",
            arguments->words[0]);
    const char *artifact = path_join(region, run, "trainer");
    const char *ring     = path_join(region, artifact, "programs.pw");
    if (!compile_from(&job, argument(arguments, "from"), error) ||
        !try_first_step(&job, run, error))
        return false;
    Resume      resume  = {.arguments = arguments, .run = run, .plans = job.plans, .steps = steps};
    PackOptions packing = {
        .compile = true, .quiet = true, .reuse = true, .accept = ask_where, .context = &resume};
    if (!file_make_folders(run, error) || !lock_run(region, run, error) ||
        !pack(&job, artifact, packing, error))
        return false;
    if (resume.step >= steps)
        return printf("%s: has %s of the %lld asked for; raise --steps to go on\n", run,
                      text_count(region, resume.step, "step"), (long long)steps) > 0;
    if (!make_ring(&job, ring, resume.step, error))
        return false;
    fflush(NULL);
    pid_t tool = getpid(), planner = fork();
    if (planner == 0)
        _exit(ahead_run(&job, ring, resume.step, steps, tool));
    if (planner < 0)
        return error_fail(error, "the planner cannot be started: %s", strerror(errno));
    pid_t child = start_trainer(arguments, artifact, data, run, steps, error);
    return child > 0 && end_with(wait_for_both(child, planner, ring));
}

static bool run(const Arguments *arguments, Error *error)
{
    const char *word = arguments->words[0];
    return is_artifact(arguments->region, word) ? run_artifact_folder(arguments, word, error)
                                                : run_job(arguments, error);
}

const Command command_run = {
    .name      = "run",
    .words     = "JOB|TRAINER",
    .min_words = 1,
    .max_words = 1,
    .summary   = "trains up to step N in all; goes on where RUN stopped",
    .options   = options,
    .run       = run,
};
