/* options: one table; the help text beside it. Every option is --name or --name VALUE. */
#include "runtime/options.h"

#include <errno.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/transports/transport.h"

static const char help[] =
    "train: the trainer of one job\n"
    "\n"
    "  train --data PREFIX --out RUN/ [--steps N]   trains up to step N in all; goes on where RUN/ "
    "stopped\n"
    "  train --evaluate --out RUN/                  loss on held-out documents; --data PREFIX if "
    "the token\n"
    "                                               set moved\n"
    "  train --generate PROGRAM.pw --prompt-file F --out RUN/   tokens in, tokens out, as numbers\n"
    "  train --where --out RUN/                     the step that comes next there\n"
    "  train --built FILE                           what a build script notes of FILE, this "
    "trainer\n"
    "  train --export FOLDER --out RUN/             the newest saved weights as a Hugging Face "
    "folder\n"
    "  train --measure POINTS.json                  seconds of codelets and messages, as JSON\n"
    "\n"
    "  --programs FILE        ring of programs (programs.pw beside the executable)\n"
    "  --evaluation FILE      programs over held-out documents (evaluate.pw beside it)\n"
    "  --transport threads|mpi   what carries messages; mpi: `mpirun -n RANKS train ...`, for "
    "training and\n"
    "                         --evaluate (the default where mpirun started several processes)\n"
    "  --json                 results of --evaluate as JSON\n"
    "  --seed S --temperature T   of --generate; temperature 0 takes the likeliest token\n"
    "  --accept-toolchain     go on from a state that another compiler or kernel class wrote\n"
    "  --trace-steps A..B     trace of these steps in RUN/trace.json (else of the last 3)\n"
    "  --watchdog SECONDS     end when no rank gets on for so long; inf: never (also "
    "PW_WATCHDOG_SECONDS)\n"
    "  --watermark            print how much of each arena was used, and when (slow)\n"
    "\n"
    "Exit status: 0 done, or stopped by a signal and saved; 1 the run failed; 2 wrong input.\n";

/* What follows the name; WORD: nothing, and only the mode is set. */
typedef enum Kind { WORD, FLAG, TEXT, WHOLE, REAL, STEPS } Kind;

typedef struct Option {
    const char *name;
    Kind        kind;
    size_t      offset;
    PwMode      mode; /* the mode that it asks for; PW_MODE_NONE: none                         */
} Option;

#define FIELD(field) offsetof(PwOptions, field)
static const Option table[] = {
    {"--data", TEXT, FIELD(data), PW_MODE_NONE},
    {"--out", TEXT, FIELD(out), PW_MODE_NONE},
    {"--programs", TEXT, FIELD(programs), PW_MODE_NONE},
    {"--evaluation", TEXT, FIELD(evaluation), PW_MODE_NONE},
    {"--steps", WHOLE, FIELD(steps), PW_MODE_NONE},
    {"--evaluate", WORD, 0, PW_MODE_EVALUATE},
    {"--where", WORD, 0, PW_MODE_WHERE},
    {"--help", WORD, 0, PW_MODE_HELP},
    {"-h", WORD, 0, PW_MODE_HELP},
    {"--generate", TEXT, FIELD(program), PW_MODE_GENERATE},
    {"--prompt-file", TEXT, FIELD(prompt), PW_MODE_NONE},
    {"--measure", TEXT, FIELD(points), PW_MODE_MEASURE},
    {"--export", TEXT, FIELD(folder), PW_MODE_EXPORT},
    {"--built", TEXT, FIELD(executable), PW_MODE_BUILT},
    {"--seed", WHOLE, FIELD(seed), PW_MODE_NONE},
    {"--temperature", REAL, FIELD(temperature), PW_MODE_NONE},
    {"--transport", TEXT, FIELD(transport), PW_MODE_NONE},
    {"--watchdog", REAL, FIELD(watchdog), PW_MODE_NONE},
    {"--json", FLAG, FIELD(json), PW_MODE_NONE},
    {"--trace-steps", STEPS, FIELD(trace_first), PW_MODE_NONE},
    {"--watermark", FLAG, FIELD(watermark), PW_MODE_NONE},
    {"--accept-toolchain", FLAG, FIELD(accept_toolchain), PW_MODE_NONE},
};

const char *pw_options_help(void)
{
    return help;
}

static bool take_trace(PwOptions *options, const char *value, PwError *error)
{
    char *end;
    options->trace_first = strtoll(value, &end, 10);
    if (end == value || strncmp(end, "..", 2) != 0)
        return pw_input(error, "--trace-steps: found \"%s\", expected FIRST..LAST", value);
    value               = end + 2;
    options->trace_last = strtoll(value, &end, 10);
    if (end == value || *end || options->trace_first < 0 ||
        options->trace_last < options->trace_first ||
        options->trace_last - options->trace_first >= 1000)
        return pw_input(error, "--trace-steps: expected FIRST..LAST, at most 1000 steps");
    return true;
}

/* `name`: by which the value was given, on the command line or around it. */
static bool take_value(PwOptions *options, const Option *option, const char *name,
                       const char *value, PwError *error)
{
    void *field = (char *)options + option->offset;
    char *end;
    errno = 0;
    if (option->kind == TEXT)
        return *(const char **)field = value, true;
    if (option->kind == STEPS)
        return take_trace(options, value, error);
    if (option->kind == WHOLE)
        *(int64_t *)field = strtoll(value, &end, 10);
    else
        *(double *)field = strtod(value, &end);
    bool negative = option->kind == WHOLE ? *(int64_t *)field < 0 : !(*(double *)field >= 0);
    return (*value && !*end && errno == 0 && !negative) ||
           pw_input(error, "%s: found \"%s\", expected a number, 0 or more", name, value);
}

static const Option *find_option(const char *name)
{
    for (const Option *option = table; option < table + sizeof table / sizeof *table; option++)
        if (strcmp(name, option->name) == 0)
            return option;
    return NULL;
}

static bool take_option(PwOptions *options, char ***at, PwError *error)
{
    const char   *name   = *(*at)++;
    const Option *option = find_option(name);
    if (!option)
        return pw_input(error, "unknown option \"%s\"; --help lists all", name);
    if (option->mode != PW_MODE_NONE)
        options->mode = option->mode;
    if (option->kind == WORD)
        return true;
    if (option->kind == FLAG)
        return *(bool *)((char *)options + option->offset) = true;
    if (!**at)
        return pw_input(error, "%s: a value is missing", name);
    return take_value(options, option, name, *(*at)++, error);
}

/* What each mode cannot do without. */
static bool check(const PwOptions *options, PwError *error)
{
    if (options->mode == PW_MODE_TRAIN && !options->data)
        return pw_input(error,
                        "--data PREFIX is missing: the token set, PREFIX.idx and PREFIX.bin");
    bool alone = options->mode == PW_MODE_MEASURE || options->mode == PW_MODE_HELP ||
                 options->mode == PW_MODE_BUILT;
    if (!alone && !options->out)
        return pw_input(error, "--out RUN/ is missing: the folder of the run");
    if (options->mode == PW_MODE_GENERATE && !options->prompt)
        return pw_input(error, "--prompt-file FILE is missing: the prompt's tokens, as numbers");
    if (strcmp(options->transport, "threads") != 0 && options->mode != PW_MODE_TRAIN &&
        options->mode != PW_MODE_EVALUATE && options->mode != PW_MODE_HELP)
        return pw_input(error,
                        "only training and --evaluate have ranks in several processes; start "
                        "the others without mpirun");
    return true;
}

/* Where there is no /proc, as in a bare root, what it was called by has to do. */
static void find_home(PwOptions *options, const char *called)
{
    ssize_t length = readlink("/proc/self/exe", options->home, sizeof options->home - 1);
    if (length > 0)
        options->home[length] = 0;
    else
        snprintf(options->home, sizeof options->home, "%s", called);
    char *folder = dirname(options->home);
    memmove(options->home, folder, strlen(folder) + 1);
}

/* Known before anything can be wrong: whoever reports an error must know who else does. */
static const char *find_transport(char **argv)
{
    for (char **at = argv; at[0] && at[1]; at++)
        if (strcmp(at[0], "--transport") == 0)
            return at[1];
    return pw_transport_by_launcher();
}

bool pw_options_read(PwOptions *options, int argc, char **argv, PwError *error)
{
    const char *seconds = getenv("PW_WATCHDOG_SECONDS");
    *options = (PwOptions){.steps = -1, .temperature = 1, .trace_first = -1, .trace_last = -1};
    find_home(options, argc > 0 ? argv[0] : "");
    options->transport = find_transport(argv);
    if (seconds &&
        !take_value(options, find_option("--watchdog"), "PW_WATCHDOG_SECONDS", seconds, error))
        return false;
    for (char **at = argv + (argc > 0); *at;)
        if (!take_option(options, &at, error))
            return false;
    return check(options, error);
}
