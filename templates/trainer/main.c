/* main: the trainer of one job. What it knows of the job is pw_job, in code/job.c; what it does at
 * each step stands in programs.pw. */
#include <stdio.h>

#include "runtime/run.h"
#include "runtime/trainer.h"

static bool run_mode(const PwOptions *options, PwTransport *transport, PwError *error)
{
    switch (options->mode) {
    case PW_MODE_TRAIN:
        return pw_train(&pw_job, transport, options, error);
    case PW_MODE_EVALUATE:
        return pw_evaluate(&pw_job, transport, options, error);
    case PW_MODE_GENERATE:
        return pw_generate(&pw_job, transport, options, error);
    case PW_MODE_MEASURE:
        return pw_measure(&pw_job, transport, options, error);
    case PW_MODE_WHERE:
        return pw_where(&pw_job, options, error);
    case PW_MODE_BUILT:
        return pw_built(options, error);
    case PW_MODE_EXPORT:
        return pw_export(&pw_job, transport, options, error);
    case PW_MODE_HELP:
        fputs(pw_options_help(), stdout);
        return true;
    case PW_MODE_NONE:
        break;
    }
    return false;
}

int main(int argc, char **argv)
{
    PwOptions    options;
    PwError      error = {{0}, 0}, later;
    bool         good  = pw_options_read(&options, argc, argv, &error);
    PwTransport *transport =
        pw_transport_open(options.transport, options.home, pw_job.nranks, good ? &error : &later);
    if (!good || !transport || !run_mode(&options, transport, &error))
        pw_die(error.status ? error.status : PW_EXIT_FAILED, "%s", error.text);
    transport->close(transport);
    return 0;
}
