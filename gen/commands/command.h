/* command: what the command line is made of. A command is one file and one line of the table in
 * main.c; its options are a table that parsing and --help share. */
#ifndef PIPEWRIGHT_COMMAND_H
#define PIPEWRIGHT_COMMAND_H

#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

typedef struct Option {
    const char *name;  /* "steps": --steps                                                     */
    const char *value; /* "N"; NULL: a flag                                                    */
    const char *help;
} Option;

enum { COMMAND_MAX_OPTIONS = 16 };

/* The words and options of one call. */
typedef struct Arguments {
    Region            *region;
    const Option      *options;
    const char       **words; /* what is not an option                                         */
    int                nwords;
    const char        *values[COMMAND_MAX_OPTIONS]; /* by option; flags: "" when given          */
    const char *const *sets;                        /* every --set, ended by NULL               */
} Arguments;

typedef struct Command {
    const char   *name, *words; /* "build", "JOB"                                              */
    int           min_words, max_words;
    const char   *summary; /* one line                                                         */
    const char   *details; /* a paragraph for --help; may be NULL                              */
    const Option *options; /* ended by a NULL name                                             */
    bool (*run)(const Arguments *arguments, Error *error);
} Command;

/* The value of an option, "" for a flag that was given, NULL if it was not. Asking for an option
 * that the command does not declare is a bug. */
const char *argument(const Arguments *arguments, const char *name);
/* A whole number of at least `least`; `otherwise` where the option was not given. */
bool argument_number(const Arguments *arguments, const char *name, int64_t least, int64_t otherwise,
                     int64_t *number, Error *error);

extern const Command command_init, command_data, command_stats, command_plan, command_tune,
    command_build, command_run, command_report, command_generate, command_evaluate, command_export,
    command_prove, command_verify, command_diff, command_show, command_doctor;

#endif
