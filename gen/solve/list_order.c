/* list_order: a simulation that chooses as it goes; see list_order.h. */
#include "gen/solve/list_order.h"

typedef struct Run {
    const Task     *tasks;
    const TaskList *lists;
    int             nlists, waiting;
    double         *end;          /* [ntasks] -1: not yet                                   */
    double         *free;         /* [nmachines] when it ends what it has begun             */
    int            *next;         /* [nlists]                                               */
    TaskList       *pool;         /* [nmachines] fillers that wait, the oldest first        */
    int            *first_filler; /* [ntasks] of those that wait for the task, or -1        */
    int            *next_filler;  /* [ntasks] the one behind this one, or -1                */
    TaskList       *order;
} Run;

static bool ready(const Run *run, int task, double *when)
{
    const Task *at = &run->tasks[task];
    *when          = run->free[at->machine];
    for (int i = 0; i < TASK_NEEDS; i++) {
        if (at->needs[i] < 0)
            continue;
        double end = run->end[at->needs[i]];
        if (end < 0)
            return false;
        *when = end + at->delay[i] > *when ? end + at->delay[i] : *when;
    }
    return true;
}

static void take(Run *run, int task, double when)
{
    int machine                                            = run->tasks[task].machine;
    run->end[task]                                         = when + run->tasks[task].seconds;
    run->free[machine]                                     = run->end[task];
    run->order[machine].tasks[run->order[machine].count++] = task;
}

/* The oldest filler of the machine, if it is to run before a task that begins at `when`. */
static bool fill(Run *run, int machine, double when)
{
    TaskList *pool = &run->pool[machine];
    double    start;
    if (pool->count == 0 || !ready(run, pool->tasks[0], &start))
        return false;
    bool fits = when - start >= run->tasks[pool->tasks[0]].seconds / 2;
    if (!fits && (run->waiting < 0 || pool->count <= run->waiting))
        return false;
    take(run, pool->tasks[0], start);
    pool->tasks++;
    pool->count--;
    return true;
}

/* Fillers by the task that they wait for, those of a task by number. */
static void index_fillers(Region *region, Run *run, int ntasks)
{
    run->first_filler = REGION_ARRAY(region, int, ntasks);
    run->next_filler  = REGION_ARRAY(region, int, ntasks);
    for (int i = 0; i < ntasks; i++)
        run->first_filler[i] = -1;
    for (int i = ntasks - 1; i >= 0; i--) {
        int task = run->tasks[i].needs[0];
        if (!run->tasks[i].fills || task < 0)
            continue;
        run->next_filler[i]     = run->first_filler[task];
        run->first_filler[task] = i;
    }
}

/* Fillers that wait for this task go to their machine's pool. */
static void release(Run *run, int task)
{
    for (int i = run->first_filler[task]; i >= 0; i = run->next_filler[i]) {
        TaskList *pool             = &run->pool[run->tasks[i].machine];
        pool->tasks[pool->count++] = i;
    }
}

/* The list whose first task can begin soonest, or -1. */
static int soonest(const Run *run, double *when)
{
    int best = -1;
    for (int l = 0; l < run->nlists; l++) {
        double start;
        if (run->next[l] == run->lists[l].count ||
            !ready(run, run->lists[l].tasks[run->next[l]], &start))
            continue;
        if (best < 0 || start < *when) {
            best  = l;
            *when = start;
        }
    }
    return best;
}

bool list_order(Region *region, const Task *tasks, int ntasks, const TaskList *lists, int nlists,
                int nmachines, int waiting, TaskList *order)
{
    Run run  = {tasks, lists, nlists, waiting, .order = order};
    run.end  = REGION_ARRAY(region, double, ntasks);
    run.free = REGION_ARRAY(region, double, nmachines);
    run.next = REGION_ARRAY(region, int, nlists);
    run.pool = REGION_ARRAY(region, TaskList, nmachines);
    for (int i = 0; i < ntasks; i++)
        run.end[i] = -1;
    for (int m = 0; m < nmachines; m++) {
        run.pool[m] = (TaskList){REGION_ARRAY(region, int, ntasks), 0};
        order[m]    = (TaskList){REGION_ARRAY(region, int, ntasks), 0};
    }
    index_fillers(region, &run, ntasks);
    double when;
    for (int l; (l = soonest(&run, &when)) >= 0;) {
        int task = lists[l].tasks[run.next[l]];
        if (run.end[task] >= 0)
            return false;
        if (fill(&run, tasks[task].machine, when))
            continue;
        take(&run, task, when);
        release(&run, task);
        run.next[l]++;
    }
    for (int m = 0; m < nmachines; m++)
        for (double start; run.pool[m].count > 0; run.pool[m].tasks++, run.pool[m].count--) {
            if (!ready(&run, run.pool[m].tasks[0], &start))
                return false;
            take(&run, run.pool[m].tasks[0], start);
        }
    for (int l = 0; l < nlists; l++)
        if (run.next[l] < lists[l].count)
            return false;
    return true;
}
