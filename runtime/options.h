/* options: the trainer's command line. */
#ifndef PW_OPTIONS_H
#define PW_OPTIONS_H

#include <stdint.h>

#include "runtime/failure.h"

typedef enum PwMode {
    PW_MODE_NONE = -1, /* of an option that asks for none                                      */
    PW_MODE_TRAIN,
    PW_MODE_EVALUATE,
    PW_MODE_GENERATE,
    PW_MODE_MEASURE,
    PW_MODE_EXPORT,
    PW_MODE_WHERE,
    PW_MODE_BUILT,
    PW_MODE_HELP,
} PwMode;

typedef struct PwOptions {
    PwMode      mode;
    char        home[PW_PATH_MAX]; /* folder of the executable: programs.pw, first_weights/     */
    const char *data, *out;
    const char *programs, *evaluation;   /* NULL: those beside the executable                     */
    const char *program, *prompt;        /* generate                                              */
    const char *points;                  /* measure                                               */
    const char *folder;                  /* export                                                */
    const char *executable;              /* built                                                 */
    const char *transport;               /* what carries messages: "threads", "mpi"               */
    int64_t     steps;                   /* in all; -1: as many as the job says                   */
    int64_t     seed;                    /* generate                                              */
    double      temperature;             /* generate; 0: the likeliest token                      */
    double      watchdog;                /* seconds; 0: from what was predicted                   */
    int64_t     trace_first, trace_last; /* -1: the last few steps                              */
    bool        json, watermark, accept_toolchain;
} PwOptions;

bool        pw_options_read(PwOptions *options, int argc, char **argv, PwError *error);
const char *pw_options_help(void);

#endif
