/* list_order: orders tasks on machines; knows nothing of what they are. */
#ifndef PIPEWRIGHT_LIST_ORDER_H
#define PIPEWRIGHT_LIST_ORDER_H

#include <stdbool.h>

#include "gen/base/region.h"

enum { TASK_NEEDS = 2 };

typedef struct Task {
    int    machine;
    double seconds;
    int    needs[TASK_NEEDS]; /* tasks that must have ended, or -1                     */
    double delay[TASK_NEEDS]; /* and so many seconds must have passed since            */
    bool   fills;             /* in no list: runs where its machine would wait         */
} Task;

/* Tasks of one machine that keep this order. */
typedef struct TaskList {
    int *tasks;
    int  count;
} TaskList;

/* List scheduling (Graham 1966): again and again the list whose first task can begin soonest takes
 * its machine; before it, where the machine would wait at least half as long as one takes, a task
 * that fills, the oldest first. More than `waiting` of them on one machine are run at once; < 0: no
 * limit. Ties: the lower list. Writes the order of each machine; false where tasks wait for each
 * other, or one is listed twice. Work: ntasks * nlists. */
bool list_order(Region *region, const Task *tasks, int ntasks, const TaskList *lists, int nlists,
                int nmachines, int waiting, TaskList *order);

#endif
