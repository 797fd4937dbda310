/* metrics: every line is whole and flushed before the next step begins. */
#include "runtime/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/event_file.h"
#include "runtime/json.h"
#include "runtime/recorder.h"
#include "runtime/saved_state.h"

enum { METRICS_LIMIT_MIB = 1024, PROGRESS_SECONDS = 10 };

static int64_t unix_time(void)
{
    return (int64_t)time(NULL);
}

/* How many bytes of the file to keep: all lines before the first one of step `first` or later. */
static int64_t bytes_to_keep(const char *text, int64_t length, int64_t first)
{
    const char *line = text;
    while (line < text + length) {
        const char *end = memchr(line, '\n', (size_t)(text + length - line));
        PwError     ignored;
        int64_t     step;
        if (!end)
            break;
        PwJson *root  = pw_json_read(line, (size_t)(end - line), "metrics", &ignored);
        bool    later = !root || (pw_json_integer(root, "step", &step) && step >= first);
        free(root);
        if (later)
            break;
        line = end + 1;
    }
    return line - text;
}

static bool cut(const char *path, int64_t first, PwError *error)
{
    int64_t length;
    if (access(path, F_OK) != 0)
        return true;
    char *text = pw_disk_read(path, (int64_t)METRICS_LIMIT_MIB << 20, &length, error);
    if (!text)
        return false;
    int64_t keep = bytes_to_keep(text, length, first);
    free(text);
    return keep == length || truncate(path, keep) == 0 ||
           pw_fail(error, "%s: cannot be cut: %s", path, strerror(errno));
}

/* Its memory serves the next line again: from the second step on nothing is allocated. */
static bool put(PwMetrics *metrics, PwError *error)
{
    PwJsonText *line = &metrics->line;
    pw_json_add(line, "}\n");
    bool good = fwrite(line->at, 1, line->length, metrics->file) == line->length &&
                fflush(metrics->file) == 0;
    line->length = 0;
    return good || pw_fail(error, "metrics.jsonl: cannot be written: %s", strerror(errno));
}

static bool put_scalars(PwMetrics *metrics, int64_t step, const PwScalar *scalars, int count,
                        PwError *error)
{
    return pw_event_write(metrics->events, step, scalars, count) ||
           pw_fail(error, "the event file cannot be written: %s", strerror(errno));
}

static void add_text(PwJsonText *line, const char *key, const char *value)
{
    pw_json_add(line, ", \"%s\": ", key);
    pw_json_add_string(line, value);
}

static void add_number(PwJsonText *line, const char *key, double value)
{
    pw_json_add(line, ", \"%s\": ", key);
    pw_json_add_number(line, value);
}

static bool put_header(PwMetrics *metrics, const PwJob *job, int64_t first_step,
                       const char *transport, PwError *error)
{
    char host[256] = "unknown";
    gethostname(host, sizeof host - 1);
    pw_json_add(&metrics->line, "{\"run\": ");
    pw_json_add_string(&metrics->line, job->name);
    add_text(&metrics->line, "job_hash", job->job_hash);
    add_text(&metrics->line, "code_hash", job->code_hash);
    add_text(&metrics->line, "toolchain", pw_toolchain());
    add_text(&metrics->line, "host", host);
    add_text(&metrics->line, "transport", transport);
    pw_json_add(&metrics->line, ", \"ranks\": %d, \"device\": \"cpu\", \"time\": %lld", job->nranks,
                (long long)unix_time());
    if (first_step > 0)
        pw_json_add(&metrics->line, ", \"resumed_from\": %lld", (long long)first_step);
    return put(metrics, error);
}

bool pw_metrics_open(PwMetrics *metrics, const PwJob *job, const char *run, int64_t first_step,
                     const char *transport, PwError *error)
{
    char path[PW_PATH_MAX], log[PW_PATH_MAX];
    *metrics = (PwMetrics){.terminal = isatty(STDOUT_FILENO) == 1};
    if (!pw_disk_join(path, run, "metrics.jsonl", error) ||
        !pw_disk_join(log, run, "log.txt", error))
        return false;
    metrics->log = fopen(log, "ae");
    if (!metrics->log)
        return pw_fail(error, "%s: %s", log, strerror(errno));
    if (!cut(path, first_step, error))
        return false;
    metrics->file = fopen(path, "ae");
    if (!metrics->file)
        return pw_fail(error, "%s: %s", path, strerror(errno));
    if (!(metrics->events = pw_event_open(run, error)))
        return false;
    return put_header(metrics, job, first_step, transport, error);
}

bool pw_metrics_step(PwMetrics *metrics, const PwStepMetrics *step, PwError *error)
{
    if (metrics->silent)
        return true;
    pw_json_add(&metrics->line, "{\"step\": %lld, \"time\": %lld, \"tokens\": %lld, \"seqs\": %lld",
                (long long)step->step, (long long)unix_time(), (long long)step->tokens,
                (long long)step->sequences);
    add_number(&metrics->line, "loss", step->loss);
    add_number(&metrics->line, "grad_norm", step->norm);
    add_number(&metrics->line, "lr", step->learning_rate);
    add_number(&metrics->line, "tokens_per_s", (double)step->tokens / step->seconds);
    add_number(&metrics->line, "step_s", step->seconds);
    add_number(&metrics->line, "predicted_s", step->predicted);
    add_number(&metrics->line, "wait_s", step->wait_program);
    add_number(&metrics->line, "wait_messages_s", step->wait_messages);
    pw_json_add(&metrics->line, ", \"peak_bytes\": %lld, \"plan_hash\": \"%.64s\"",
                (long long)step->peak_bytes, step->plan_hash);
    PwScalar scalars[] = {{"loss", (float)step->loss},
                          {"grad_norm", (float)step->norm},
                          {"lr", (float)step->learning_rate},
                          {"tokens_per_s", (float)((double)step->tokens / step->seconds)}};
    return put(metrics, error) && put_scalars(metrics, step->step, scalars, 4, error);
}

bool pw_metrics_evaluation(PwMetrics *metrics, int64_t step, double loss, double bits_per_byte,
                           PwError *error)
{
    if (metrics->silent)
        return true;
    pw_json_add(&metrics->line, "{\"evaluated_after\": %lld", (long long)step);
    add_number(&metrics->line, "held_out_loss", loss);
    if (bits_per_byte > 0)
        add_number(&metrics->line, "bits_per_byte", bits_per_byte);
    PwScalar scalars[] = {{"held_out_loss", (float)loss}, {"bits_per_byte", (float)bits_per_byte}};
    return put(metrics, error) &&
           put_scalars(metrics, step, scalars, bits_per_byte > 0 ? 2 : 1, error);
}

bool pw_metrics_saved(PwMetrics *metrics, int64_t step, const char *hash, double seconds,
                      PwError *error)
{
    if (metrics->silent)
        return true;
    pw_json_add(&metrics->line, "{\"saved_before\": %lld, \"state_hash\": \"%s\"", (long long)step,
                hash);
    add_number(&metrics->line, "save_s", seconds);
    return put(metrics, error);
}

static void print_time_left(double seconds)
{
    if (seconds < 90)
        printf("  eta %.0f s", seconds);
    else if (seconds < 5400)
        printf("  eta %.0f min", seconds / 60);
    else
        printf("  eta %.1f h", seconds / 3600);
}

/* Steps of a toy take less than a millisecond, those of a large model minutes. */
static void print_seconds(const char *before, double seconds)
{
    if (seconds < 0.0995)
        printf("%s%.2g ms", before, 1e3 * seconds);
    else if (seconds < 0.9995)
        printf("%s%.0f ms", before, 1e3 * seconds);
    else
        printf("%s%.2f s", before, seconds);
}

static void print_rate(double tokens_per_second)
{
    if (tokens_per_second < 1000)
        printf("  %.0f tok/s", tokens_per_second);
    else
        printf("  %.1fk tok/s", tokens_per_second / 1000);
}

void pw_metrics_progress(PwMetrics *metrics, const PwJob *job, const PwStepMetrics *step,
                         int64_t steps)
{
    int64_t now              = pw_now();
    double  rate             = (double)step->tokens / step->seconds;
    metrics->average_seconds = metrics->average_seconds > 0
                                   ? 0.9 * metrics->average_seconds + 0.1 * step->seconds
                                   : step->seconds;
    bool due                 = metrics->printed == 0 || step->step + 1 == steps ||
               now - metrics->printed >= PROGRESS_SECONDS * INT64_C(1000000000);
    if (metrics->silent || (!metrics->terminal && !due))
        return;
    metrics->printed = now;
    printf("%sstep %lld/%lld  loss %.4f", metrics->terminal ? "\r" : "", (long long)step->step + 1,
           (long long)steps, step->loss);
    print_rate(rate);
    if (metrics->peak_flops > 0 && job->useful_flops_per_token > 0)
        printf("  %.0f%% of peak", 100 * rate * job->useful_flops_per_token / metrics->peak_flops);
    print_seconds("  ", step->seconds);
    if (step->predicted > 0) {
        print_seconds(" (predicted ", step->predicted);
        printf(")");
    }
    print_time_left(metrics->average_seconds * (double)(steps - step->step - 1));
    printf("%s", metrics->terminal ? "\033[K" : "\n");
    fflush(stdout);
    metrics->line_open = metrics->terminal;
}

void pw_metrics_note(PwMetrics *metrics, const char *format, ...)
{
    va_list arguments;
    if (metrics->silent)
        return;
    if (metrics->line_open)
        printf("\n");
    metrics->line_open = false;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    if (!metrics->log)
        return;
    va_start(arguments, format);
    fprintf(metrics->log, "%lld ", (long long)unix_time());
    vfprintf(metrics->log, format, arguments);
    va_end(arguments);
    fprintf(metrics->log, "\n");
    fflush(metrics->log);
}

void pw_metrics_failure(PwMetrics *metrics, const PwError *error)
{
    if (metrics->log)
        fprintf(metrics->log, "%lld failed: %s\n", (long long)unix_time(), error->text);
}

void pw_metrics_close(PwMetrics *metrics)
{
    if (metrics->line_open)
        printf("\n");
    if (metrics->file)
        fclose(metrics->file);
    if (metrics->log)
        fclose(metrics->log);
    if (metrics->events)
        fclose(metrics->events);
    free(metrics->line.at);
    *metrics = (PwMetrics){0};
}
