/* report_page: a run's report as one self-contained HTML page: no script, no request. */
#ifndef PIPEWRIGHT_REPORT_PAGE_H
#define PIPEWRIGHT_REPORT_PAGE_H

#include "gen/base/text.h"

/* One step as metrics.jsonl has it. */
typedef struct ReportStep {
    int64_t step, tokens, peak_bytes;
    double  loss, norm, seconds, predicted, wait_program, wait_messages;
} ReportStep;

/* One evaluation on the held-out documents; bits 0: not known. */
typedef struct ReportEvaluation {
    int64_t step;
    double  loss, bits;
} ReportEvaluation;

typedef struct Report {
    const char       *name, *toolchain; /* of the job; of the trainer                          */
    int               ranks;
    ReportStep       *steps;
    int               nsteps, steps_room;
    ReportEvaluation *evaluations;
    int               nevaluations, evaluations_room;
    /* What follows from them; medians and 90th percentiles. */
    double  tokens_per_second, seconds, error_median, error_high, scale, wait_share;
    int64_t tokens, peak_bytes;
} Report;

void report_page(const Report *report, Text *out);

#endif
