/* report: what a run did: loss, speed, predicted beside measured, memory; as text and as a page. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gen/base/file.h"
#include "gen/commands/command.h"
#include "gen/pictures/report_page.h"

static const Option options[] = {
    {"html", "FILE", "the page; default: RUN/report.html"},
    {0},
};

static double number(json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key)); /* NaN is a string there: it becomes 0 */
}

static int64_t integer(json_t *line, const char *key)
{
    return json_integer_value(json_object_get(line, key));
}

static const char *text(Region *region, json_t *line, const char *key)
{
    const char *value = json_string_value(json_object_get(line, key));
    return value ? region_copy(region, value) : "";
}

static void take_line(Region *region, Report *report, json_t *line)
{
    if (json_object_get(line, "run")) {
        report->name      = text(region, line, "run");
        report->toolchain = text(region, line, "toolchain");
        report->ranks     = (int)integer(line, "ranks");
    } else if (json_object_get(line, "evaluated_after")) {
        ReportEvaluation e = {integer(line, "evaluated_after"), number(line, "held_out_loss"),
                              number(line, "bits_per_byte")};
        REGION_APPEND(region, report->evaluations, report->nevaluations, report->evaluations_room,
                      e);
    } else if (json_object_get(line, "step")) {
        ReportStep s = {integer(line, "step"),          integer(line, "tokens"),
                        integer(line, "peak_bytes"),    number(line, "loss"),
                        number(line, "grad_norm"),      number(line, "step_s"),
                        number(line, "predicted_s"),    number(line, "wait_s"),
                        number(line, "wait_messages_s")};
        REGION_APPEND(region, report->steps, report->nsteps, report->steps_room, s);
    }
}

/* A run that is at work, or was cut off, leaves a last line without its end. */
static void leave_out_unfinished(char *text, size_t length, const char *path)
{
    size_t whole = length;
    while (whole > 0 && text[whole - 1] != '\n')
        whole--;
    if (whole < length)
        fprintf(stderr, "%s: the last line is unfinished and left out\n", path);
    text[whole] = 0;
}

static bool read_metrics(Region *region, const char *path, Report *report, Error *error)
{
    size_t length;
    char  *text = file_read(region, path, (size_t)4 << 30, &length, error), *place = NULL;
    int    count = 0;
    if (text)
        leave_out_unfinished(text, length, path);
    for (char *line = text ? strtok_r(text, "\n", &place) : NULL; line;
         line       = strtok_r(NULL, "\n", &place)) {
        json_error_t where;
        json_t      *object = json_loads(line, 0, &where);
        count++;
        if (!object)
            return error_input(error, "%s:%d: %s", path, count, where.text);
        take_line(region, report, object);
        json_decref(object);
    }
    return text &&
           (report->nsteps > 0 || error_input(error, "%s: found no step; train first", path));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, int count, double share)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[(int)(share * (count - 1) + 0.5)];
}

/* Medians and percentiles. One factor for the whole run stands between predicted and measured: the
 * machine's speed against the cost table's. */
static void summarise(Region *region, Report *r)
{
    double *values = REGION_ARRAY(region, double, r->nsteps);
    double  wait   = 0;
    for (int i = 0; i < r->nsteps; i++) {
        const ReportStep *s = &r->steps[i];
        values[i]           = (double)s->tokens / s->seconds;
        r->tokens += s->tokens;
        r->seconds += s->seconds;
        wait += s->wait_program;
        r->peak_bytes = s->peak_bytes > r->peak_bytes ? s->peak_bytes : r->peak_bytes;
    }
    r->tokens_per_second = quantile(values, r->nsteps, 0.5);
    r->wait_share        = wait / (r->seconds + wait);
    for (int i = 0; i < r->nsteps; i++)
        values[i] = r->steps[i].predicted > 0 ? r->steps[i].seconds / r->steps[i].predicted : 1;
    r->scale = quantile(values, r->nsteps, 0.5);
    for (int i = 0; i < r->nsteps; i++)
        values[i] = fabs(values[i] / r->scale - 1);
    r->error_median = quantile(values, r->nsteps, 0.5);
    r->error_high   = quantile(values, r->nsteps, 0.9);
}

static void print_report(Region *region, const Report *r)
{
    const ReportStep *first = &r->steps[0], *last = &r->steps[r->nsteps - 1];
    printf("%s: steps %lld to %lld on %s, %s\n", r->name, (long long)first->step,
           (long long)last->step, text_count(region, r->ranks, "rank"),
           text_count(region, r->tokens, "token"));
    printf("loss        %.3f -> %.3f", first->loss, last->loss);
    if (r->nevaluations > 0)
        printf("; held out %.3f, %.3f bits per byte", r->evaluations[r->nevaluations - 1].loss,
               r->evaluations[r->nevaluations - 1].bits);
    printf("\nspeed       %.0f tokens/s in the median\n", r->tokens_per_second);
    printf("prediction  measured is %.2f times predicted; after that factor off by %.1f%% in the "
           "median, %.1f%% at the 90th percentile\n",
           r->scale, 100 * r->error_median, 100 * r->error_high);
    printf("waiting     %.2f%% of the time for programs\n", 100 * r->wait_share);
    printf("memory      %s at most on a rank\n", text_size(region, r->peak_bytes));
}

static bool run(const Arguments *arguments, Error *error)
{
    Region     *region = arguments->region;
    Report      report = {.name = "", .toolchain = ""};
    const char *page   = argument(arguments, "html");
    if (!read_metrics(region, path_join(region, arguments->words[0], "metrics.jsonl"), &report,
                      error))
        return false;
    if (!page)
        page = path_join(region, arguments->words[0], "report.html");
    summarise(region, &report);
    print_report(region, &report);
    Text text = text_new(region);
    report_page(&report, &text);
    return file_write(page, text.at, text.length, error);
}

const Command command_report = {
    .name      = "report",
    .words     = "RUN",
    .min_words = 1,
    .max_words = 1,
    .summary   = "predicted beside measured; loss; memory; as text and as a page",
    .options   = options,
    .run       = run,
};
