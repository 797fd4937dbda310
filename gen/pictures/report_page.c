/* report_page: see report_page.h. */
#include "gen/pictures/report_page.h"

enum { WIDTH = 860, HEIGHT = 240, LEFT = 60, BOTTOM = 28 };

/* A curve's frame: data ranges onto pixels. */
typedef struct Frame {
    double x_most, y_least, y_most;
} Frame;

static double x_at(const Frame *f, double x)
{
    return LEFT + (WIDTH - LEFT - 10) * (f->x_most > 0 ? x / f->x_most : 0);
}

static double y_at(const Frame *f, double y)
{
    double span = f->y_most - f->y_least;
    return (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - 10) * (span > 0 ? (y - f->y_least) / span : 0.5);
}

static void include(Frame *f, double y)
{
    f->y_least = y < f->y_least ? y : f->y_least;
    f->y_most  = y > f->y_most ? y : f->y_most;
}

static void open_chart(Text *out, const char *title, const Frame *f, const char *format)
{
    text_add(out, "<h2>%s</h2>\n<svg viewBox='0 0 %d %d' width='%d' role='img'>\n", title, WIDTH,
             HEIGHT, WIDTH);
    for (int i = 0; i <= 4; i++) {
        double y = f->y_least + (f->y_most - f->y_least) * i / 4;
        text_add(out, "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='#ddd'/>", LEFT, WIDTH - 10,
                 y_at(f, y), y_at(f, y));
        text_add(out, "<text x='%d' y='%.1f' text-anchor='end'>", LEFT - 6, y_at(f, y) + 4);
        text_add(out, *format == 's' ? "%.3g s" : "%.3f", y);
        text_add(out, "</text>\n");
        double x = f->x_most * i / 4;
        text_add(out, "<text x='%.1f' y='%d' text-anchor='middle'>%.0f</text>\n", x_at(f, x),
                 HEIGHT - 8, x);
    }
}

static void curve_begin(Text *out, const char *colour)
{
    text_add(out, "<polyline fill='none' stroke='%s' stroke-width='1.5' points='", colour);
}

static void curve_end(Text *out, const char *name)
{
    text_add(out, "'><title>%s</title></polyline>\n", name);
}

static void draw_loss(const Report *r, Text *out)
{
    Frame f = {(double)r->steps[r->nsteps - 1].step, r->steps[0].loss, r->steps[0].loss};
    for (int i = 0; i < r->nsteps; i++)
        include(&f, r->steps[i].loss);
    for (int i = 0; i < r->nevaluations; i++)
        include(&f, r->evaluations[i].loss);
    open_chart(out, "Loss a token, by step", &f, "");
    curve_begin(out, "#2a6fb0");
    for (int i = 0; i < r->nsteps; i++)
        text_add(out, "%.1f,%.1f ", x_at(&f, (double)r->steps[i].step), y_at(&f, r->steps[i].loss));
    curve_end(out, "training");
    curve_begin(out, "#c23b22");
    for (int i = 0; i < r->nevaluations; i++)
        text_add(out, "%.1f,%.1f ", x_at(&f, (double)r->evaluations[i].step),
                 y_at(&f, r->evaluations[i].loss));
    curve_end(out, "held out");
    text_add(out, "</svg>\n<p><span style='color:#2a6fb0'>training</span>, <span "
                  "style='color:#c23b22'>held-out documents</span></p>\n");
}

static void draw_seconds(const Report *r, Text *out)
{
    Frame f = {(double)r->steps[r->nsteps - 1].step, 0, 0};
    for (int i = 0; i < r->nsteps; i++) {
        include(&f, r->steps[i].seconds);
        include(&f, r->steps[i].predicted);
    }
    open_chart(out, "Seconds a step: predicted beside measured", &f, "s");
    curve_begin(out, "#2a6fb0");
    for (int i = 0; i < r->nsteps; i++)
        text_add(out, "%.1f,%.1f ", x_at(&f, (double)r->steps[i].step),
                 y_at(&f, r->steps[i].seconds));
    curve_end(out, "measured");
    curve_begin(out, "#e09f3e");
    for (int i = 0; i < r->nsteps; i++)
        text_add(out, "%.1f,%.1f ", x_at(&f, (double)r->steps[i].step),
                 y_at(&f, r->steps[i].predicted));
    curve_end(out, "predicted");
    text_add(out, "</svg>\n<p><span style='color:#2a6fb0'>measured</span>, <span "
                  "style='color:#e09f3e'>predicted</span></p>\n");
}

void report_page(const Report *r, Text *out)
{
    Region     *region = out->region;
    const char *name   = text_markup(region, r->name);
    text_add(out,
             "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>%s</title>\n"
             "<style>body{font:15px/1.5 sans-serif;max-width:900px;margin:2em auto;color:#222}"
             "svg text{font-size:11px;fill:#666}td{padding:0 1.5em 0 0}h1,h2{font-weight:600}"
             "</style></head><body>\n<h1>%s</h1>\n<table>\n",
             name, name);
    text_add(out, "<tr><td>steps</td><td>%d on %s, %s</td></tr>\n", r->nsteps,
             text_count(region, r->ranks, "rank"), text_count(region, r->tokens, "token"));
    text_add(out, "<tr><td>speed</td><td>%.0f tokens/s in the median</td></tr>\n",
             r->tokens_per_second);
    text_add(out,
             "<tr><td>predicted beside measured</td><td>measured is %.2f times predicted; after "
             "that factor off by %.1f%% in the median, %.1f%% at the 90th percentile</td></tr>\n",
             r->scale, 100 * r->error_median, 100 * r->error_high);
    text_add(out, "<tr><td>waiting for programs</td><td>%.2f%% of the time</td></tr>\n",
             100 * r->wait_share);
    text_add(out, "<tr><td>memory</td><td>%s at most on a rank</td></tr>\n",
             text_size(region, r->peak_bytes));
    text_add(out, "<tr><td>toolchain</td><td>%s</td></tr>\n</table>\n",
             text_markup(region, r->toolchain));
    draw_loss(r, out);
    draw_seconds(r, out);
    text_add(out, "</body></html>\n");
}
