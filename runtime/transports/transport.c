/* transport: the table of them, and what processes do together outside of steps, from its four
 * functions. Linear in the number of processes, which is small; programs and saved states pass
 * here, nothing that a step waits for. */
#include "runtime/transports/transport.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Kind {
    const char *name;
    PwTransport *(*open)(int      nranks,
                         PwError *error); /* NULL: transport_NAME.so beside the trainer */
    const char
        *sizes[2]; /* variables in which its launchers tell a process how many there are     */
} Kind;

static PwTransport *open_threads(int nranks, PwError *error)
{
    PwTransport *transport = pw_threads_open(nranks, nranks <= pw_cores());
    if (!transport)
        pw_fail(error, "no memory for %d ranks", nranks);
    return transport;
}

/* The first is what is taken where nothing else is asked for. */
static const Kind kinds[] = {
    {"threads", open_threads, {NULL}},
    {"mpi", NULL, {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}},
};
enum { NKINDS = sizeof kinds / sizeof *kinds, NSIZES = sizeof kinds->sizes / sizeof *kinds->sizes };

static PwTransport *open_library(const char *name, const char *folder, int nranks, PwError *error)
{
    char path[PW_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/transport_%s.so", folder, name) >= (int)sizeof path)
        return pw_input(error, "%.200s...: the path is too long", folder), NULL;
    if (access(path, F_OK) != 0)
        return pw_input(error,
                        "--transport %s: there is no %s; %s/build --%s makes it (docs/ARTIFACT.md "
                        "says with what)",
                        name, path, folder, name),
               NULL;
    /* Global: some MPI libraries load parts that look for the library's own functions. */
    void               *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    PwTransportLibrary *open    = NULL;
    if (library)
        *(void **)&open = dlsym(library, PW_TRANSPORT_LIBRARY);
    if (!open)
        return pw_input(error, "--transport %s: %s", name, dlerror()), NULL;
    return open(PW_TRANSPORT_VERSION, nranks, error);
}

PwTransport *pw_transport_open(const char *name, const char *folder, int nranks, PwError *error)
{
    const Kind *kind = kinds;
    char        names[200];
    int         length = 0;
    while (kind < kinds + NKINDS && strcmp(name, kind->name) != 0) {
        length += snprintf(names + length, sizeof names - (size_t)length, "%s%s",
                           kind > kinds ? " or " : "", kind->name);
        kind++;
    }
    if (kind == kinds + NKINDS)
        return pw_input(error, "--transport: found \"%s\", expected %s", name, names), NULL;
    PwTransport *transport =
        kind->open ? kind->open(nranks, error) : open_library(name, folder, nranks, error);
    if (transport && transport->processes)
        pw_die_together(transport->first, transport->abort);
    return transport;
}

const char *pw_transport_by_launcher(void)
{
    for (const Kind *kind = kinds; kind < kinds + NKINDS; kind++)
        for (int i = 0; i < NSIZES && kind->sizes[i]; i++) {
            const char *processes = getenv(kind->sizes[i]);
            if (processes && atoi(processes) > 1)
                return kind->name;
        }
    return kinds->name;
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
    bool sends = pw_is_mine(transport, from);
    transport->carried++;
    transport->awaited = sends ? to : from; /* a large message is not gone before it is taken */
    if (sends) {
        transport->send(transport, from, to, PW_OUTSIDE, bytes, count);
        transport->sent(transport, from, PW_OUTSIDE);
    } else {
        transport->receive(transport, to, from, PW_OUTSIDE, bytes, count);
        transport->wait(transport, to, PW_OUTSIDE);
    }
    transport->awaited = -1;
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
