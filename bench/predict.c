/* predict: how far a run's steps were from what the plan predicted, scaled by the probe timed when
 * the cost table was measured and now.
 *   pipewright tune A.lua -o B.cost.json; pipewright run B.lua --steps 40; bench_predict B.run
 * A and B differ in their lengths. Prints a line a step, then the median and the 90th percentile.
 * The first step is left out: it touches its pages for the first time. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 100000, PATH = 4096 };

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "%s: %s\n", path, what);
    exit(1);
}

static double member(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static double probe_of_table(const char *run)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/trainer/inputs/cost.json", run);
    json_t *table = json_load_file(path, 0, NULL);
    double  probe = member(table, "probe");
    json_decref(table);
    if (!(probe > 0))
        fail("not a measured table; run `pipewright tune` first", path);
    return probe;
}

/* The trainer measures no codelets here, only the probe. */
static double probe_now(const char *run)
{
    char command[3 * PATH], points[PATH];
    snprintf(points, sizeof points, "%s/no_points.json", run);
    snprintf(command, sizeof command, "echo '[]' > '%s' && '%s/trainer/train' --measure '%s'",
             points, run, points);
    FILE   *pipe   = popen(command, "r");
    json_t *answer = pipe ? json_loadf(pipe, 0, NULL) : NULL;
    double  probe  = member(answer, "probe");
    if (pipe)
        pclose(pipe);
    remove(points);
    json_decref(answer);
    if (!(probe > 0))
        fail("the trainer does not measure", run);
    return probe;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double errors[MOST_STEPS];
    char          path[PATH], line[1 << 16];
    int           count = 0;
    if (argc != 2)
        fail("usage: bench_predict RUN", argv[0]);
    snprintf(path, sizeof path, "%s/metrics.jsonl", argv[1]);
    FILE  *file  = fopen(path, "r");
    double scale = probe_now(argv[1]) / probe_of_table(argv[1]);
    if (!file)
        fail("cannot be read", path);
    printf("the probe takes %.3f of what it took when the table was measured\n", scale);
    printf("step   predicted    measured    error\n");
    while (fgets(line, sizeof line, file) && count < MOST_STEPS) {
        json_t *step     = json_loads(line, 0, NULL);
        double  measured = member(step, "step_s"), predicted = scale * member(step, "predicted_s");
        int     number = (int)json_integer_value(json_object_get(step, "step"));
        json_decref(step);
        if (!(measured > 0) || !(predicted > 0) || number == 0)
            continue;
        printf("%4d %9.2f ms %8.2f ms %7.1f%%\n", number, 1e3 * predicted, 1e3 * measured,
               100 * (predicted / measured - 1));
        errors[count++] = fabs(predicted / measured - 1);
    }
    fclose(file);
    if (!count)
        fail("no steps", path);
    qsort(errors, (size_t)count, sizeof *errors, by_value);
    printf("%d steps: error %.1f%% in the median, %.1f%% at the 90th percentile\n", count,
           100 * errors[count / 2], 100 * errors[count * 9 / 10]);
    return 0;
}
