/* launch: threads, pinned where there is a core for each rank, and a piece of work at a time. */
#include "runtime/launch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/memory.h"

typedef struct Start {
    PwTeam *team;
    int     rank;
} Start;

static void *live(void *argument)
{
    Start    start = *(Start *)argument;
    PwTeam  *team  = start.team;
    uint64_t round = 0;
    free(argument);
    for (;;) {
        pthread_mutex_lock(&team->mutex);
        while (team->round == round)
            pthread_cond_wait(&team->start, &team->mutex);
        round       = team->round;
        PwWork work = team->work;
        pthread_mutex_unlock(&team->mutex);
        if (!work)
            return NULL;
        work(&team->workers[start.rank], team->context);
        pthread_mutex_lock(&team->mutex);
        if (--team->running == 0)
            pthread_cond_signal(&team->done);
        pthread_mutex_unlock(&team->mutex);
    }
}

/* The rank-th core of those that this process may use. */
static void pin(pthread_t thread, const cpu_set_t *cores, int rank)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, cores) && rank-- == 0)
            CPU_SET(core, &one);
    pthread_setaffinity_np(thread, sizeof one, &one); /* refused: slower, not wrong */
}

static bool start_threads(PwTeam *team, const cpu_set_t *cores, PwError *error)
{
    const PwTransport *transport = team->transport;
    int                place     = 0; /* among the ranks of this machine */
    for (int rank = 0; rank < transport->first; rank++)
        place += transport->here[rank];
    for (int i = 0; i < transport->count; i++) {
        int    rank  = transport->first + i;
        Start *start = malloc(sizeof *start);
        if (!start)
            return pw_fail(error, "no memory to start rank %d", rank);
        *start   = (Start){team, rank};
        int code = pthread_create(&team->threads[i], NULL, live, start);
        if (code) {
            free(start);
            return pw_fail(error, "cannot start a thread for rank %d: %s", rank, strerror(code));
        }
        team->nstarted++;
        if (pw_ranks_here(transport) <= CPU_COUNT(cores)) /* else the launcher may have chosen */
            pin(team->threads[i], cores, place + i);
    }
    return true;
}

static void touch_static(PwWorker *worker, void *context)
{
    (void)context;
    pw_arena_touch(&worker->arena, worker->job->static_bytes[worker->rank]);
}

static bool open_workers(PwTeam *team, PwTokens *tokens, PwError *error)
{
    const PwTransport *transport = team->transport;
    for (int rank = transport->first; rank < transport->first + transport->count; rank++) {
        PwWorker *worker  = &team->workers[rank];
        worker->rank      = rank;
        worker->job       = team->job;
        worker->transport = team->transport;
        worker->tokens    = tokens;
        if (!pw_arena_open(&worker->arena, rank, team->job->capacity[rank], error))
            return false;
    }
    return true;
}

bool pw_team_memory(const PwTeam *team, const int64_t *bytes, PwError *error)
{
    int64_t needed = 0;
    for (int rank = 0; rank < team->nranks; rank++)
        needed += team->transport->here[rank] ? bytes[rank] : 0;
    bool good = pw_memory_check(needed, error);
    if (good)
        pw_meet(team->transport); /* or one would touch what another one has yet to count */
    return good;
}

bool pw_team_open(PwTeam *team, const PwJob *job, PwTransport *transport, PwTokens *tokens,
                  PwError *error)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    sched_getaffinity(0, sizeof cores, &cores);
    *team         = (PwTeam){.job = job, .nranks = job->nranks, .transport = transport};
    size_t bytes  = (size_t)job->nranks * sizeof(PwWorker);
    team->workers = aligned_alloc(64, bytes);
    if (team->workers) /* zeroed whatever else fails: closing looks at them */
        memset(team->workers, 0, bytes);
    team->threads = calloc((size_t)job->nranks, sizeof(pthread_t));
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->start, NULL);
    pthread_cond_init(&team->done, NULL);
    if (!team->workers || !team->threads)
        return pw_fail(error, "no memory for %d ranks", job->nranks);
    if (!open_workers(team, tokens, error) || !pw_team_memory(team, job->static_bytes, error) ||
        !start_threads(team, &cores, error))
        return false;
    pw_team_do(team, touch_static, NULL);
    return true;
}

void pw_team_do(PwTeam *team, PwWork work, void *context)
{
    pthread_mutex_lock(&team->mutex);
    team->work    = work;
    team->context = context;
    team->running = team->nstarted;
    team->round++;
    pthread_cond_broadcast(&team->start);
    while (work && team->running > 0)
        pthread_cond_wait(&team->done, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

/* Also after an open that failed half-way. */
void pw_team_close(PwTeam *team)
{
    if (!team->job)
        return;
    pw_team_do(team, NULL, NULL);
    for (int rank = 0; rank < team->nstarted; rank++)
        pthread_join(team->threads[rank], NULL);
    for (int rank = 0; team->workers && rank < team->nranks; rank++)
        pw_arena_close(&team->workers[rank].arena);
    pthread_cond_destroy(&team->start);
    pthread_cond_destroy(&team->done);
    pthread_mutex_destroy(&team->mutex);
    free(team->sums);
    free(team->workers);
    free(team->threads);
    *team = (PwTeam){0};
}

typedef struct StepWork {
    const PwProgram     *program;
    const PwStepNumbers *numbers;
    PwRecord            *records;
} StepWork;

static void run_step(PwWorker *worker, void *context)
{
    const StepWork *step = context;
    worker->record       = step->records ? &step->records[worker->rank] : NULL;
    pw_arena_touch(&worker->arena, pw_program_rank(step->program, worker->rank)->arena_bytes);
    pw_execute(worker, step->program, step->numbers);
}

bool pw_team_step(PwTeam *team, const PwProgram *program, const PwStepNumbers *numbers,
                  PwRecord *records, PwError *error)
{
    StepWork step = {program, numbers, records};
    if (!team->transport->begin(team->transport, program, error))
        return false;
    pw_team_do(team, run_step, &step);
    return true;
}

/* Rows are added within their sequence first, then the sequences in order: the sum does not depend
 * on how they were cut. */
static double sum_losses(PwTeam *team, const PwProgram *program, const double *rows)
{
    const int32_t *sequence =
        (const int32_t *)(const void *)((const char *)program + program->loss_sequence);
    double total = 0;
    if (program->nsequences > team->nsums) {
        free(team->sums);
        team->nsums = 2 * program->nsequences;
        team->sums  = malloc((size_t)team->nsums * sizeof *team->sums);
        if (!team->sums)
            pw_die(PW_EXIT_FAILED, "no memory to add %d losses", program->nsequences);
    }
    for (int32_t s = 0; s < program->nsequences; s++)
        team->sums[s] = 0;
    for (int64_t row = 0; row < program->nlosses; row++)
        team->sums[sequence[row]] += rows[row];
    for (int32_t s = 0; s < program->nsequences; s++)
        total += team->sums[s];
    return total;
}

/* The first rank whose program clips, and where its factor and norm stand; -1: none does. */
static int find_clip(const PwTeam *team, const PwProgram *program, int64_t *address)
{
    for (int number = 0; number < team->nranks; number++) {
        const PwRank        *rank = pw_program_rank(program, number);
        const PwInstruction *list = pw_rank_instructions(program, rank);
        for (uint64_t i = rank->ninstructions; i-- > 0;) {
            if (list[i].kind != PW_CALL ||
                strcmp(team->job->codelets[list[i].codelet].name, "clip") != 0)
                continue;
            const PwOperand *operand = pw_rank_operands(program, rank) + list[i].operand;
            for (uint32_t j = 0; j < list[i].noperands; j++)
                if (operand[j].access == PW_WRITE &&
                    operand[j].bytes >= (int64_t)(2 * sizeof(double)))
                    return *address = operand[j].address, number;
        }
    }
    return -1;
}

static int find_losses(const PwProgram *program)
{
    for (int number = 0; number < program->nranks; number++)
        if (pw_program_rank(program, number)->losses >= 0)
            return number;
    return -1;
}

/* Doubles in a rank's arena; of use only where the rank is of this process. */
static const double *doubles_at(const PwTeam *team, int rank, int64_t address)
{
    return (const double *)(const void *)(team->workers[rank].arena.at + address);
}

PwOutcome pw_team_outcome(PwTeam *team, const PwProgram *program)
{
    PwOutcome outcome   = {.factor = 1};
    double    result[2] = {0};
    int64_t   clip;
    int       losses = find_losses(program), clips = find_clip(team, program, &clip);
    if (losses >= 0) {
        if (pw_is_mine(team->transport, losses))
            outcome.loss_sum = sum_losses(
                team, program, doubles_at(team, losses, pw_program_rank(program, losses)->losses));
        pw_share(team->transport, losses, &outcome.loss_sum, sizeof outcome.loss_sum);
    }
    if (clips >= 0) {
        if (pw_is_mine(team->transport, clips))
            memcpy(result, doubles_at(team, clips, clip), sizeof result);
        pw_share(team->transport, clips, result, sizeof result);
        outcome.clipped = true;
        outcome.factor  = result[0];
        outcome.norm    = result[1];
    }
    return outcome;
}
