/* transport: which one, and what processes do together outside of steps, from its four functions.
 * Linear in the number of processes, which is small; programs and saved states pass here, nothing
 * that a step waits for. */
#include "runtime/transports/transport.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static PwTransport *open_library(const char *folder, int nranks, PwError *error)
{
    char path[PW_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/transport_mpi.so", folder) >= (int)sizeof path)
        return pw_input(error, "%.200s...: the path is too long", folder), NULL;
    if (access(path, F_OK) != 0)
        return pw_input(error,
                        "--transport mpi: there is no %s; %s/build --mpi makes it, with mpicc or "
                        "what MPICC names",
                        path, folder),
               NULL;
    /* Global: some MPI libraries load parts that look for the library's own functions. */
    void *library                        = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    PwTransport *(*open)(int, PwError *) = NULL;
    if (library)
        *(void **)&open = dlsym(library, PW_MPI_OPEN);
    if (!open)
        return pw_input(error, "--transport mpi: %s", dlerror()), NULL;
    return open(nranks, error);
}

PwTransport *pw_transport_open(const char *name, const char *folder, int nranks, PwError *error)
{
    PwTransport *transport = NULL;
    if (strcmp(name, "threads") == 0) {
        transport = pw_threads_open(nranks, nranks <= pw_cores());
        if (!transport)
            pw_fail(error, "no memory for %d ranks", nranks);
    } else if (strcmp(name, "mpi") == 0) {
        transport = open_library(folder, nranks, error);
    } else {
        pw_input(error, "--transport: found \"%s\", expected threads or mpi", name);
    }
    if (transport && transport->abort)
        pw_die_together(transport->first, transport->abort);
    return transport;
}

int pw_cores(void)
{
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

int pw_ranks_here(const PwTransport *transport)
{
    int count = 0;
    for (int rank = 0; rank < transport->nranks; rank++)
        count += transport->here[rank];
    return count;
}

void pw_carry(PwTransport *transport, int from, int to, void *bytes, int64_t count)
{
    if (pw_is_mine(transport, from) == pw_is_mine(transport, to))
        return;
    if (pw_is_mine(transport, from)) {
        transport->send(transport, from, to, PW_OUTSIDE, bytes, count);
        transport->sent(transport, from, PW_OUTSIDE);
    } else {
        transport->carried++;
        transport->awaited = from;
        transport->receive(transport, to, from, PW_OUTSIDE, bytes, count);
        transport->wait(transport, to, PW_OUTSIDE);
        transport->awaited = -1;
    }
}

void pw_share(PwTransport *transport, int from, void *bytes, int64_t count)
{
    for (int rank = 0; rank < transport->nranks; rank++)
        pw_carry(transport, from, rank, bytes, count);
}

int64_t pw_greatest(PwTransport *transport, int64_t number)
{
    int64_t greatest = number;
    for (int rank = 0; rank < transport->nranks; rank++) {
        int64_t theirs = number;
        pw_carry(transport, rank, 0, &theirs, sizeof theirs);
        greatest = theirs > greatest ? theirs : greatest;
    }
    pw_share(transport, 0, &greatest, sizeof greatest);
    return greatest;
}

double pw_sum(PwTransport *transport, double number)
{
    double sum = number;
    for (int rank = 1; rank < transport->nranks; rank++) {
        double theirs = number;
        pw_carry(transport, rank, 0, &theirs, sizeof theirs);
        if (!pw_is_mine(transport, rank))
            sum += theirs;
    }
    pw_share(transport, 0, &sum, sizeof sum);
    return sum;
}

void pw_meet(PwTransport *transport)
{
    pw_greatest(transport, 0);
}
