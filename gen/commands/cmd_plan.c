/* plan: one step's plan, as text for people, JSON, or a picture; lowered and proven before it is
 * shown, so that its peak is the one that the runtime will use. */
#include <stdio.h>

#include "gen/base/file.h"
#include "gen/base/text.h"
#include "gen/commands/job_command.h"
#include "gen/cost/predict.h"
#include "gen/evaluation.h"
#include "gen/pictures/gantt.h"

static const Option options[] = {
    {"step", "T", "which step, counted from 0; default 0"},
    {"policy", "NAME|FILE.lua",
     "another policy than the job's; a file as seen from the job's folder"},
    {"json", NULL, "the plan as pipewright-plan-1"},
    {"with-costs", NULL, "with --json: also what the prediction stands on"},
    {"from", "plan.json", "a plan in place of the policy"},
    {"svg", "FILE", "draws the plan"},
    {"times", NULL, "how long each pass took"},
    {0},
};

static void print_rank(Region *region, const Compilation *job, const Step *step, int rank)
{
    const RankProgram *program = &step->program->ranks[rank];
    const char        *where   = "the static part";
    for (int i = program->peak_instruction; i >= 0 && program->ninstructions > 0; i--)
        if (program->instructions[i].kind == PW_MARK) {
            where = region_format(region, "%c%d", program->instructions[i].letter,
                                  program->instructions[i].chunk);
            break;
        }
    printf("  rank %d   peak %s of %s, reached at instruction %d (%s) of %d\n", rank,
           text_size(region, program->peak), text_size(region, job->layout->ranks[rank].capacity),
           program->peak_instruction, where, program->ninstructions);
}

static void print_summary(const Compilation *job, const Step *step, int64_t evaluation)
{
    Region     *region = step->region;
    const Plan *plan   = step->plan;
    printf("step %lld, policy %s: %s, %s in %s on %s\n", (long long)plan->step,
           plan->policy ? plan->policy : "(from a file)",
           text_count(region, plan->nsequences, "sequence"),
           text_count(region, step->batch->tokens, "token"),
           text_count(region, plan->nchunks, "chunk"), text_count(region, plan->nranks, "rank"));
    for (int p = 0; p < plan->npipelines; p++)
        for (int s = 0; s < plan->pipelines[p].nstages; s++) {
            const PlanStage *stage = &plan->pipelines[p].stages[s];
            printf("  stage %d   rank %d, layers %g to %g\n", s, stage->ranks[0],
                   stage->first / 2.0, stage->past / 2.0);
        }
    for (int rank = 0; rank < plan->nranks; rank++)
        print_rank(region, job, step, rank);
    if (evaluation > 0)
        printf("  evaluation of the longest held-out document takes %s\n",
               text_size(region, evaluation));
    printf("predicted %s a step, %.0f tokens/s; no order of this split is under %s (%.2f of it); "
           "bubble %.0f%%\n",
           text_seconds(region, plan->predicted.seconds),
           (double)step->batch->tokens / plan->predicted.seconds,
           text_seconds(region, plan->predicted.bound),
           plan->predicted.seconds / plan->predicted.bound, 100 * plan->predicted.bubble);
    if (plan->tries)
        printf("tries: %s\n", plan->tries);
    printf("proven: %s\n", text_count(region, step->program->norder, "instruction"));
}

/* --policy is a --set of the job's policy under its own name, and comes before those: they may set
 * its options. */
static const char *const *with_policy(const Arguments *arguments)
{
    int count = 0;
    while (arguments->sets[count])
        count++;
    const char **sets = REGION_ARRAY(arguments->region, const char *, count + 2);
    const char **next = sets;
    if (argument(arguments, "policy"))
        *next++ = region_format(arguments->region, "--policy=%s", argument(arguments, "policy"));
    for (int i = 0; i < count; i++)
        next[i] = arguments->sets[i];
    return sets;
}

static bool run(const Arguments *arguments, Error *error)
{
    Compilation job;
    Step        step;
    int64_t     number, evaluation;
    if (argument(arguments, "with-costs") && !argument(arguments, "json"))
        return error_input(error, "--with-costs: belongs to --json; give both");
    if (argument(arguments, "from") && argument(arguments, "policy"))
        return error_input(error, "--from: takes the place of a policy; leave --policy out");
    if (!argument_number(arguments, "step", 0, 0, &number, error) ||
        !compile_job(arguments->region, arguments->words[0], with_policy(arguments), true, &job,
                     error) ||
        !check_step(job.job, number, error))
        return false;
    if (!compile_from(&job, argument(arguments, "from"), error) ||
        !compile_step(&job, number, &step, error) || !evaluation_fits(&job, &evaluation, error))
        return false;
    Text       text  = text_new(step.region);
    PlanCosts *costs = step.plan->costs;
    if (!argument(arguments, "with-costs"))
        step.plan->costs = NULL;
    if (argument(arguments, "json")) {
        plan_print(step.plan, &text);
        printf("%s\n", text.at);
    } else
        print_summary(&job, &step, evaluation);
    if (argument(arguments, "times"))
        for (int i = 0; i < NPASSES; i++)
            printf("%-12s %s\n", step_passes[i].name, text_seconds(step.region, step.seconds[i]));
    bool good = true;
    if (argument(arguments, "svg")) {
        Text picture = text_new(step.region);
        gantt_print(step.plan, costs, &picture);
        good = file_write(argument(arguments, "svg"), picture.at, picture.length, error);
    }
    region_free(step.region);
    return good;
}

const Command command_plan = {
    .name      = "plan",
    .words     = "JOB",
    .min_words = 1,
    .max_words = 1,
    .summary   = "plans one step and proves it: time, bound, memory",
    .details = "Others call the plan's program a schedule, recompute checkpointing, and a chunk a "
               "micro-batch.",
    .options = options,
    .run     = run,
};
