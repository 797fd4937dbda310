/* main: the command line, a table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/command.h"

static const Command *const commands[] = {
    &command_init,     &command_data,     &command_stats,  &command_plan,
    &command_tune,     &command_build,    &command_run,    &command_report,
    &command_generate, &command_evaluate, &command_export, &command_prove,
    &command_verify,   &command_diff,     &command_show,   &command_doctor,
};

static const Option set_option = {"set", "FIELD=VALUE",
                                  "changes a field of the job; may be given again"};

static bool takes_job(const Command *command)
{
    return strstr(command->words, "JOB") != NULL;
}

static void print_help(const Command *command)
{
    printf("usage: pipewright %s%s%s [options]\n\n%s.\n", command->name, *command->words ? " " : "",
           command->words, command->summary);
    if (command->details)
        printf("%s\n", command->details);
    printf("\noptions:\n");
    for (const Option *o = command->options; o->name; o++)
        printf("  --%s%s%-*s %s\n", o->name, o->value ? " " : "",
               24 - (int)strlen(o->name) - (o->value ? 1 : 0), o->value ? o->value : "", o->help);
    if (takes_job(command))
        printf("  --%-24s %s\n", "set FIELD=VALUE", set_option.help);
    printf("  --%-24s %s\n", "help", "prints this");
}

static void print_usage(FILE *out)
{
    fprintf(out,
            "Pipewright compiles training jobs: one Lua file in, a trainer made for it out.\n\n"
            "usage: pipewright COMMAND ...\n\ncommands:\n");
    for (int i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-9s %-36s %s\n", commands[i]->name, commands[i]->words,
                commands[i]->summary);
    fprintf(out, "\npipewright COMMAND --help tells more. Words: a program is what others call a "
                 "schedule, recompute\nis checkpointing, a chunk is a micro-batch or a slice.\n");
}

const char *argument(const Arguments *arguments, const char *name)
{
    for (int i = 0; arguments->options[i].name; i++)
        if (!strcmp(arguments->options[i].name, name))
            return arguments->values[i];
    bug("no option is called %s", name);
}

bool argument_number(const Arguments *arguments, const char *name, int64_t least, int64_t otherwise,
                     int64_t *number, Error *error)
{
    const char *text = argument(arguments, name);
    char       *end;
    errno   = 0;
    *number = text ? strtoll(text, &end, 10) : otherwise;
    if (text && (end == text || *end || errno || *number < least))
        return error_input(error, "--%s: found \"%s\", expected a whole number of at least %lld%s",
                           name, text, (long long)least, errno ? " and below 2^63" : "");
    return true;
}

/* getopt's table out of ours: option i has the value 256 + i. */
static void long_options(const Command *command, struct option *table)
{
    int n = 0;
    for (const Option *o = command->options; o->name; o++, n++)
        table[n] =
            (struct option){o->name, o->value ? required_argument : no_argument, NULL, 256 + n};
    if (takes_job(command))
        table[n++] = (struct option){"set", required_argument, NULL, 's'};
    table[n++] = (struct option){"help", no_argument, NULL, 'h'};
    table[n]   = (struct option){0};
}

/* getopt says ':' of an option that ends the line without its value. */
static bool wrong_option(const Command *command, bool lacks_value, const char *word, Error *error)
{
    if (lacks_value)
        return error_input(error,
                           "pipewright %s: %s lacks its value; pipewright %s --help tells more",
                           command->name, word, command->name);
    const char *names[COMMAND_MAX_OPTIONS + 3];
    int         n = 0;
    for (const Option *o = command->options; o->name; o++)
        names[n++] = o->name;
    names[n++] = "help";
    if (takes_job(command))
        names[n++] = "set";
    names[n]            = NULL;
    const char *nearest = text_nearest(word + strspn(word, "-"), names);
    return error_input(
        error, "pipewright %s: %s is no option of it%s%s%s; pipewright %s --help lists them",
        command->name, word, nearest ? " (did you mean --" : "", nearest ? nearest : "",
        nearest ? "?)" : "", command->name);
}

/* The value of an option. A folder is the same with a slash at its end, and names are made of it by
 * adding to it. */
static const char *value_of(Region *region, const Option *option, const char *text)
{
    bool folder = !strcmp(option->value, "DIR") || !strcmp(option->value, "RUN") ||
                  !strcmp(option->value, "TRAINER");
    return folder ? path_trim(region, text) : text;
}

static bool check_words(const Command *command, const Arguments *arguments, Error *error)
{
    const char *name = command->name, *words = command->words, *between = *words ? " " : "";
    if (arguments->nwords < command->min_words)
        return error_input(error, "usage: pipewright %s %s; pipewright %s --help tells more", name,
                           words, name);
    return arguments->nwords <= command->max_words ||
           error_input(error,
                       "pipewright %s: found \"%s\", expected nothing behind %s; usage: pipewright "
                       "%s%s%s; pipewright %s --help tells more",
                       name, arguments->words[command->max_words], *words ? words : name, name,
                       between, words, name);
}

/* Reads the words of the command line and does what they say. */
static bool obey(const Command *command, Region *region, int argc, char **argv, Error *error)
{
    const char  **sets      = REGION_ARRAY(region, const char *, argc + 1);
    int           nsets     = 0;
    Arguments     arguments = {.region = region, .options = command->options, .sets = sets};
    struct option table[COMMAND_MAX_OPTIONS + 3];
    long_options(command, table);
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":o:h", table, NULL)) != -1;) {
        if (option == 'h')
            return print_help(command), true;
        if (option == '?' || option == ':')
            return wrong_option(command, option == ':', argv[optind - 1], error);
        if (option == 's')
            sets[nsets++] = optarg;
        else if (option == 'o') {
            int i = 0;
            while (command->options[i].name && strcmp(command->options[i].name, "output") != 0)
                i++;
            if (!command->options[i].name)
                return wrong_option(command, false, "-o", error);
            arguments.values[i] = value_of(region, &command->options[i], optarg);
        } else
            arguments.values[option - 256] =
                optarg ? value_of(region, &command->options[option - 256], optarg) : "";
    }
    arguments.words  = (const char **)argv + optind;
    arguments.nwords = argc - optind;
    for (int i = 0; i < arguments.nwords; i++) /* all of them are paths */
        arguments.words[i] = path_trim(region, arguments.words[i]);
    return check_words(command, &arguments, error) && command->run(&arguments, error);
}

static bool run_command(const Command *command, int argc, char **argv, Error *error)
{
    Region *region = region_new();
    bool    good   = obey(command, region, argc, argv, error);
    region_free(region);
    return good;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return print_usage(stderr), EXIT_INPUT;
    static char help[] = "--help";
    if (!strcmp(argv[1], "help") && argc == 3)
        argv[1] = argv[2], argv[2] = help;
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return print_usage(stdout), 0;
    if (!strcmp(argv[1], "--version"))
        return printf("pipewright %s\n", PIPEWRIGHT_VERSION), 0;
    const char *names[COUNT(commands) + 1];
    for (int i = 0; i < COUNT(commands); i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[1], commands[i]->name) != 0)
            continue;
        Error error = {0};
        if (run_command(commands[i], argc - 1, argv + 1, &error))
            return fflush(stdout) ? EXIT_FAILED : 0;
        fflush(stdout);
        fprintf(stderr, "%s\n", error.text);
        return error.status ? error.status : EXIT_FAILED;
    }
    names[COUNT(commands)] = NULL;
    const char *nearest    = text_nearest(argv[1], names);
    fprintf(stderr, "pipewright: there is no command \"%s\"%s%s%s; pipewright --help lists them\n",
            argv[1], nearest ? " (did you mean \"" : "", nearest ? nearest : "",
            nearest ? "\"?)" : "");
    return EXIT_INPUT;
}
