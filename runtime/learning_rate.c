/* learning_rate: steps count from 0. Warm-up rises to the full rate at its last step. Cosine
 * (Loshchilov and Hutter 2017, arXiv 1608.03983) falls from there to the final rate at step
 * `steps`; WSD (Hu et al. 2024, arXiv 2404.06395) stays, and falls in a straight line over the last
 * `decay` steps. After `steps` the final rate stays. */
#include "runtime/learning_rate.h"

static double fall(double from, double to, double share)
{
    return share >= 1 ? to : from + (to - from) * share;
}

double pw_learning_rate(const PwJob *job, int64_t step)
{
    double full = job->learning_rate;
    if (step < job->warmup)
        return full * (double)(step + 1) / (double)job->warmup;
    if (job->curve == PW_CURVE_COSINE && job->steps > job->warmup) {
        double share = (double)(step - job->warmup) / (double)(job->steps - job->warmup);
        return fall(full, job->final_rate, share >= 1 ? 1 : (1 - cos(M_PI * share)) / 2);
    }
    if (job->curve == PW_CURVE_WSD && step > job->steps - job->decay)
        return fall(full, job->final_rate,
                    job->decay > 0 ? (double)(step - (job->steps - job->decay)) / (double)job->decay
                                   : 1);
    return full;
}

PwStepNumbers pw_step_numbers(const PwJob *job, int64_t step, double weight)
{
    return (PwStepNumbers){
        .learning_rate  = pw_learning_rate(job, step),
        .weight_decay   = job->weight_decay,
        .beta1          = job->beta1,
        .beta2          = job->beta2,
        .epsilon        = job->epsilon,
        .correction1    = 1 - pow(job->beta1, (double)(step + 1)),
        .correction2    = 1 - pow(job->beta2, (double)(step + 1)),
        .clip           = job->clip,
        .inverse_weight = weight > 0 ? 1 / weight : 0,
        .seed           = job->seed + (uint64_t)step,
        .temperature    = 1,
    };
}
