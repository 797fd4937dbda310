/* memory: what the kernel says is available, and what the control group leaves, the smaller. */
#include "runtime/memory.h"

#include <stdio.h>

/* The first number of the file, after `label` where that is not ""; -1: there is none. */
static int64_t number_in(const char *path, const char *label)
{
    char      line[256], format[64];
    long long value = -1;
    FILE     *file  = fopen(path, "re");
    snprintf(format, sizeof format, "%s%%lld", label);
    while (file && value < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) != 1)
            value = -1;
    if (file)
        fclose(file);
    return value;
}

/* "max" is no number: no limit. */
static int64_t left_in_group(void)
{
    int64_t most = number_in("/sys/fs/cgroup/memory.max", "");
    int64_t used = number_in("/sys/fs/cgroup/memory.current", "");
    int64_t file = number_in("/sys/fs/cgroup/memory.stat", "inactive_file");
    if (most < 0 || used < 0)
        return -1;
    return most - used + (file > 0 ? file : 0);
}

static int64_t available_bytes(void)
{
    int64_t machine = number_in("/proc/meminfo", "MemAvailable:"), group = left_in_group();
    machine = machine < 0 ? -1 : machine * 1024;
    if (group < 0)
        return machine;
    return machine < 0 || group < machine ? group : machine;
}

bool pw_memory_check(int64_t needed, PwError *error)
{
    int64_t available = available_bytes();
    return available < 0 || needed <= available ||
           pw_input(
               error,
               "the arenas need %lld bytes more, and %lld are available on this machine; lower "
               "cluster.memory so that plans are made for less, or end other programs",
               (long long)needed, (long long)available);
}
