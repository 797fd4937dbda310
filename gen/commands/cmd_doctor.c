/* doctor: what this machine has, which kernels will run, what is missing and how to get it. */
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "gen/commands/job_command.h"

static const Option options[] = {
    {"json", NULL, "for programs"},
    {0},
};

/* One line of what was looked at. */
typedef struct Finding {
    const char *name, *found, *remedy; /* remedy NULL: nothing is missing                      */
    bool        needed;
} Finding;

static const char *command_line(Region *region, const char *command)
{
    char  line[512] = "";
    FILE *pipe      = popen(command, "r");
    if (pipe) {
        if (!fgets(line, sizeof line, pipe))
            line[0] = 0;
        pclose(pipe);
    }
    line[strcspn(line, "\n")] = 0;
    return line[0] ? region_copy(region, line) : NULL;
}

/* What the kernels' vectors will be: the compiler's native target decides, as in the artifact. */
static Finding find_vectors(Region *region)
{
    static const char *const classes[][2] = {{"__AVX512F__", "AVX-512, 16 floats"},
                                             {"__FMA__", "AVX2 and FMA, 8 floats"}};
    for (int i = 0; i < COUNT(classes); i++)
        if (command_line(region, region_format(region,
                                               "cc -march=native -dM -E - </dev/null "
                                               "2>/dev/null | grep -w %s",
                                               classes[i][0])))
            return (Finding){"matrix kernels", region_format(region, "own, %s", classes[i][1]),
                             NULL, true};
    return (Finding){"matrix kernels", "own, plain vectors",
                     "no fused multiply-add here; training works, slowly", false};
}

static Finding find_compiler(Region *region)
{
    const char *version = command_line(region, "cc --version 2>/dev/null");
    return (Finding){"C compiler", version, version ? NULL : "apt-get install gcc libc6-dev", true};
}

static Finding find_cores(Region *region)
{
    cpu_set_t set;
    int       cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return (Finding){"cores", region_format(region, "%d to run on", cores), NULL, true};
}

/* The least of the machine's memory and the control group's limit. */
static Finding find_memory(Region *region)
{
    int64_t     bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    const char *limit = command_line(region, "cat /sys/fs/cgroup/memory.max 2>/dev/null");
    if (limit && *limit >= '0' && *limit <= '9' && atoll(limit) < bytes)
        bytes = atoll(limit);
    return (Finding){"memory", text_size(region, bytes), NULL, true};
}

static Finding find_library(Region *region, const char *name, const char *file, const char *remedy)
{
    void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (library)
        dlclose(library);
    return (Finding){name, library ? region_format(region, "%s", file) : NULL,
                     library ? NULL : remedy, false};
}

/* Both may be here: a distribution then tells them apart by the ends of their programs' names. */
static Finding find_mpi(Region *region)
{
    const char *launchers = command_line(
        region,
        "for run in mpirun mpirun.mpich mpirun.openmpi; do $run --version 2>/dev/null; done "
        "| sed -n 's/.*(Open MPI) /Open MPI /p; s/^ *Version: */MPICH /p' | sort -u "
        "| paste -s -d , - | sed 's/,/, /g'");
    const char *compiler = command_line(region, "command -v mpicc");
    if (launchers && compiler)
        return (Finding){"MPI", launchers, NULL, false};
    return (Finding){"MPI", launchers,
                     launchers ? "mpicc is missing: apt-get install libopenmpi-dev or libmpich-dev"
                               : "only for ranks in several processes: apt-get install "
                                 "libopenmpi-dev openmpi-bin, or libmpich-dev mpich",
                     false};
}

static void print_json(const Finding *findings, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?, s:b}", "name", findings[i].name,
                                              "found", findings[i].found, "remedy",
                                              findings[i].remedy, "needed", findings[i].needed));
    json_dumpf(list, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(list);
}

static bool run(const Arguments *arguments, Error *error)
{
    Region *region  = arguments->region;
    Finding found[] = {
        find_compiler(region),
        find_vectors(region),
        find_cores(region),
        find_memory(region),
        find_mpi(region),
        find_library(region, "CUDA driver", "libcuda.so.1", "only for GPUs: NVIDIA's driver"),
    };
    int missing = 0;
    for (int i = 0; i < COUNT(found); i++)
        missing += found[i].needed && !found[i].found;
    if (argument(arguments, "json"))
        print_json(found, COUNT(found));
    else
        for (int i = 0; i < COUNT(found); i++)
            printf("%-15s %s%s%s\n", found[i].name, found[i].found ? found[i].found : "missing",
                   found[i].remedy ? "; " : "", found[i].remedy ? found[i].remedy : "");
    return !missing || error_fail(error, "%d thing%s that jobs need %s missing", missing,
                                  missing > 1 ? "s" : "", missing > 1 ? "are" : "is");
}

const Command command_doctor = {
    .name      = "doctor",
    .words     = "",
    .min_words = 0,
    .max_words = 0,
    .summary   = "what this machine has, what is missing and how to get it",
    .options   = options,
    .run       = run,
};
