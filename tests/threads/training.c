/* The training loop with its ranks, watchdog and recorder, as a program of its own, for TSan and
 * for leaks, neither of which show under Criterion. */
#include <stdio.h>

#include "runtime/run.h"
#include "tests/support/toy_trainer.h"

int main(void)
{
    char         folder[64], data[128], ring[128], out[128];
    PwError      error     = {{0}, 0};
    PwTransport *transport = pw_threads_open(2, false);
    toy_folder(folder);
    snprintf(data, sizeof data, "%s/tokens", folder);
    snprintf(ring, sizeof ring, "%s/programs.pw", folder);
    snprintf(out, sizeof out, "%s/run", folder);
    toy_tokens(data, 21);
    toy_ring(ring, 2, 20, -1);
    PwOptions options = {
        .data        = data,
        .out         = out,
        .programs    = ring,
        .steps       = 10,
        .trace_first = 2,
        .trace_last  = 9,
    };
    for (int i = 0; i < 2; i++, options.steps = 20)
        if (!pw_train(toy_job(2), transport, &options, &error))
            return fprintf(stderr, "%s\n", error.text), 1;
    transport->close(transport);
    return 0;
}
