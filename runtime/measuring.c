/* measuring: seconds of codelets, messages and a probe product, for the cost table. All ranks do
 * the same at the same time, as they will in a step; the slowest counts.
 *   reads    [{"codelet": "core_forward_all", "tokens": 512, "segments": [[512, 1024]],
 *              "operands": [bytes, .. ; 0: found through the segments], "count": elements,
 *              "repeat": times}, ..]
 *   prints   {"points": [{"minimum": seconds, "median": seconds}, ..], "latency": seconds,
 *             "seconds_per_byte": seconds, "probe": seconds}
 * Everything is zero in the arena: no kernel's time depends on its numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/disk.h"
#include "runtime/json.h"
#include "runtime/run.h"

#if defined __AVX512F__ || (defined __AVX2__ && defined __FMA__)
#include <immintrin.h>
#endif

enum {
    POINTS_LIMIT_MIB = 64,
    REPEAT           = 5,
    REPEAT_MAX       = 1000,
    CHAINS           = 12, /* independent sums: the latency of a multiply-add times its rate     */
    PROBE_ROUNDS     = 4096,
    SMALL_BYTES      = 64,
    LARGE_BYTES      = 1 << 22,
    MESSAGES         = 50,
    MAX_SEGMENTS     = 4096,
    GAMES         = 5, /* of messages; the fastest counts                                       */
    NEAREST_BYTES = 1 << 20, /* what a core keeps for itself                                     */
};

/* --- the peak --- */

#if defined    __AVX512F__
typedef __m512 Vector;
#define FUSED _mm512_fmadd_ps
#elif defined __AVX2__ && defined __FMA__
typedef __m256 Vector;
#define FUSED _mm256_fmadd_ps
#else
typedef float Vector __attribute__((vector_size(16)));
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif
enum { PROBE_LANES = sizeof(Vector) / sizeof(float) };

/* Multiply-adds, counted twice each. */
static double probe(volatile float *sink)
{
    Vector sum[CHAINS], a = {0}, b = {0};
    a = a + (*sink + 0.5f);
    b = b + (*sink + 0.25f);
    for (int chain = 0; chain < CHAINS; chain++) /* all different, or they would be one */
        sum[chain] = a + (float)chain;
    for (int round = 0; round < PROBE_ROUNDS; round++)
        for (int chain = 0; chain < CHAINS; chain++)
            sum[chain] = FUSED(a, b, sum[chain]);
    for (int chain = 1; chain < CHAINS; chain++)
        sum[0] = sum[0] + sum[chain];
    *sink = 0 * sum[0][0];
    return 2.0 * PROBE_ROUNDS * CHAINS * PROBE_LANES;
}

typedef struct Peak {
    double  seconds;
    double *rates; /* [nranks]; 0 for those of other processes                                 */
} Peak;

static void measure_peak(PwWorker *worker, void *context)
{
    Peak          *peak  = context;
    volatile float sink  = 0;
    int64_t        begin = pw_now(), now = begin;
    double         best = 0;
    while ((double)(now - begin) / 1e9 < peak->seconds) {
        double done = probe(&sink), start = (double)now;
        now         = pw_now();
        double rate = done / (((double)now - start) / 1e9);
        best        = rate > best ? rate : best;
    }
    peak->rates[worker->rank] = best;
}

double pw_measure_peak(PwTeam *team, double seconds)
{
    Peak   peak = {seconds, calloc((size_t)team->nranks, sizeof(double))};
    double sum  = 0;
    if (!peak.rates)
        return 0;
    pw_team_do(team, measure_peak, &peak);
    int here = pw_ranks_here(team->transport), cores = team->transport->ncores;
    for (int rank = 0; rank < team->nranks; rank++)
        sum += peak.rates[rank];
    free(peak.rates);
    return pw_sum(team->transport, sum) * (here < cores ? here : cores) / here;
}

/* --- codelets --- */

typedef struct Point {
    PwCall    call;
    PwCodelet run;
    int64_t   offsets[PW_MAX_OPERANDS]; /* in the arena; -1: none                              */
    int64_t   bytes;                    /* of the arena, in all                                */
    int       repeat;
    double   *seconds; /* [nranks][repeat]                                                     */
} Point;

static bool read_segments(Point *point, PwSegment *segments, const PwJson *list, const PwJob *job)
{
    int64_t row_bytes = 2 * job->kv_heads * job->head_dim * (int64_t)sizeof(real), row = 0;
    if (!list || list->kind != PW_JSON_ARRAY || list->count > MAX_SEGMENTS)
        return false;
    for (const PwJson *pair = list->first; pair; pair = pair->next) {
        const PwJson *tokens = pair->first, *context = tokens ? tokens->next : NULL;
        if (!context || tokens->integer <= 0 || context->integer < 0 ||
            tokens->integer > job->context || context->integer > job->context)
            return false;
        int64_t bytes = pw_align((tokens->integer + context->integer) * row_bytes);
        segments[point->call.nsegments++] = (PwSegment){.row     = (int32_t)row,
                                                        .tokens  = (int32_t)tokens->integer,
                                                        .context = (int32_t)context->integer,
                                                        .flags   = PW_SEGMENT_DKV_FIRST,
                                                        .kv      = point->bytes,
                                                        .dkv     = point->bytes + bytes};
        point->bytes += 2 * bytes;
        row += tokens->integer;
    }
    return row <= point->call.tokens;
}

static bool read_operands(Point *point, const PwJson *list)
{
    int i = 0;
    if (!list || list->kind != PW_JSON_ARRAY || list->count > PW_MAX_OPERANDS)
        return false;
    for (const PwJson *bytes = list->first; bytes; bytes = bytes->next, i++) {
        if (!bytes->is_integer || bytes->integer < 0)
            return false;
        point->offsets[i] = bytes->integer > 0 ? point->bytes : -1;
        point->bytes += pw_align(bytes->integer);
    }
    while (i < PW_MAX_OPERANDS)
        point->offsets[i++] = -1;
    return true;
}

static PwCodelet find_codelet(const PwJob *job, const char *name)
{
    for (int i = 0; name && i < job->ncodelets; i++)
        if (strcmp(job->codelets[i].name, name) == 0)
            return job->codelets[i].run;
    return NULL;
}

static bool read_point(Point *point, PwSegment *segments, const PwJson *entry, const PwJob *job,
                       const PwStepNumbers *numbers, PwError *error)
{
    const char *name   = pw_json_text(entry, "codelet");
    int64_t     repeat = REPEAT;
    *point             = (Point){.run  = find_codelet(job, name),
                                 .call = {.segments   = segments,
                                          .flags      = PW_CALL_FIRST,
                                          .heads      = (int32_t)job->heads,
                                          .kv_heads   = (int32_t)job->kv_heads,
                                          .vocabulary = job->vocabulary,
                                          .step       = numbers}};
    if (!point->run)
        return pw_input(error, "points: there is no codelet \"%s\"", name ? name : "");
    pw_json_integer(entry, "count", &point->call.count);
    pw_json_integer(entry, "repeat", &repeat);
    point->repeat = (int)(repeat < 1 ? 1 : repeat > REPEAT_MAX ? REPEAT_MAX : repeat);
    if (!pw_json_integer(entry, "tokens", &point->call.tokens) ||
        !read_operands(point, pw_json_member(entry, "operands")) ||
        !read_segments(point, segments, pw_json_member(entry, "segments"), job))
        return pw_input(error,
                        "points: %s: tokens, operands and segments expected, the segments' "
                        "tokens within tokens and the context",
                        name);
    for (int rank = 0; rank < job->nranks; rank++)
        if (point->bytes > job->capacity[rank])
            return pw_input(error, "points: %s: %lld bytes do not fit into the capacity of rank %d",
                            name, (long long)point->bytes, rank);
    return true;
}

/* Processor time of this thread: what else the machine does does not count. */
static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What a core keeps nearest goes: between two calls of a codelet a step runs all the others. */
static void forget(volatile unsigned char *at, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += PW_ALIGN)
        at[i] = (unsigned char)(at[i] + 1);
}

static void measure_point(PwWorker *worker, void *context)
{
    const Point *point = context;
    PwCall       call  = point->call;
    double      *to    = point->seconds + worker->rank * point->repeat;
    int64_t      sweep = worker->job->capacity[worker->rank] - point->bytes;
    sweep              = sweep < NEAREST_BYTES ? sweep : NEAREST_BYTES;
    pw_arena_touch(&worker->arena, point->bytes + sweep);
    memset(worker->arena.at, 0, (size_t)point->bytes);
    call.arena = worker->arena.at;
    for (int i = 0; i < PW_MAX_OPERANDS; i++)
        call.at[i] = point->offsets[i] < 0 ? NULL : worker->arena.at + point->offsets[i];
    point->run(&call); /* the first time pages are mapped */
    for (int i = 0; i < point->repeat; i++) {
        forget(worker->arena.at + point->bytes, sweep);
        double begin = thread_seconds();
        point->run(&call);
        to[i] = thread_seconds() - begin;
    }
}

static int compare_seconds(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

/* Of each repeat, the slowest rank; of these, the least and the middle one. */
static bool time_point(PwTeam *team, Point *point, double *minimum, double *median, PwError *error)
{
    point->seconds = calloc((size_t)team->nranks * (size_t)point->repeat, sizeof(double));
    if (!point->seconds)
        return pw_fail(error, "no memory to measure");
    pw_team_do(team, measure_point, point);
    for (int i = 0; i < point->repeat; i++)
        for (int rank = 1; rank < team->nranks; rank++)
            if (point->seconds[rank * point->repeat + i] > point->seconds[i])
                point->seconds[i] = point->seconds[rank * point->repeat + i];
    qsort(point->seconds, (size_t)point->repeat, sizeof(double), compare_seconds);
    *minimum = point->seconds[0];
    *median  = point->seconds[point->repeat / 2];
    free(point->seconds);
    return true;
}

static bool measure_points(PwTeam *team, const PwJson *root, PwJsonText *out, PwError *error)
{
    PwStepNumbers numbers  = {.inverse_weight = 1,
                              .correction1    = 1,
                              .correction2    = 1,
                              .epsilon        = 1e-8,
                              .learning_rate  = 1e-3,
                              .temperature    = 1};
    PwSegment    *segments = malloc(MAX_SEGMENTS * sizeof *segments);
    bool          good     = segments || pw_fail(error, "no memory to measure");
    pw_json_add(out, "{\"points\": [");
    for (const PwJson *entry = root->first; entry && good; entry = entry->next) {
        Point  point;
        double minimum = 0, median = 0;
        good = read_point(&point, segments, entry, team->job, &numbers, error) &&
               time_point(team, &point, &minimum, &median, error);
        if (good)
            pw_json_add(out, "%s\n  {\"minimum\": %.9g, \"median\": %.9g}",
                        entry == root->first ? "" : ",", minimum, median);
    }
    pw_json_add(out, "\n]");
    free(segments);
    return good;
}

/* --- messages --- */

/* Rank 0 and 1 send the same bytes to and fro, by a program made here. */
typedef struct PingPong {
    PwTransport *transport;
    int64_t      bytes;
    double       seconds; /* of one message                                                    */
} PingPong;

static void play(PwWorker *worker, void *context)
{
    PingPong    *game      = context;
    PwTransport *transport = game->transport;
    int          rank = worker->rank, peer = 1 - rank;
    if (rank > 1)
        return;
    int64_t begin = pw_now();
    for (int i = 0; i < MESSAGES; i++) {
        unsigned char *ball = worker->arena.at;
        if (i % 2 == rank) {
            transport->send(transport, rank, peer, i, ball, game->bytes);
            transport->sent(transport, rank, i);
        } else {
            transport->receive(transport, rank, peer, i, ball, game->bytes);
            transport->wait(transport, rank, i);
        }
    }
    if (rank == 0)
        game->seconds = (double)(pw_now() - begin) / 1e9 / MESSAGES;
}

enum { RANKS_MAX = 64 };

typedef struct PingPongProgram {
    PwProgram     program;
    PwRank        ranks[RANKS_MAX]; /* those beyond the second do nothing */
    PwInstruction instructions[2][MESSAGES];
} PingPongProgram;

static void make_ping_pong(PingPongProgram *made, int nranks)
{
    *made =
        (PingPongProgram){.program = {.nranks = nranks, .ranks = offsetof(PingPongProgram, ranks)}};
    for (int rank = 0; rank < 2; rank++) {
        made->ranks[rank].ninstructions = MESSAGES;
        made->ranks[rank].instructions =
            offsetof(PingPongProgram, instructions) + (size_t)rank * sizeof *made->instructions;
        for (int i = 0; i < MESSAGES; i++)
            made->instructions[rank][i] = (PwInstruction){
                .kind = i % 2 == rank ? PW_SEND : PW_RECEIVE, .peer = 1 - rank, .message = i};
    }
}

static bool measure_messages(PwTeam *team, PwJsonText *out, PwError *error)
{
    static PingPongProgram made;
    double                 seconds[2] = {0, 0};
    int64_t                sizes[2]   = {SMALL_BYTES, LARGE_BYTES};
    make_ping_pong(&made, team->nranks);
    for (int i = 0; team->nranks >= 2 && team->nranks <= RANKS_MAX && i < 2; i++) {
        PingPong game = {team->transport, sizes[i], 0};
        if (sizes[i] > team->job->capacity[0] || sizes[i] > team->job->capacity[1])
            return pw_input(error, "the arenas are too small to measure messages of %lld bytes",
                            (long long)sizes[i]);
        for (int k = 0; k < GAMES; k++) {
            if (!team->transport->begin(team->transport, &made.program, error))
                return false;
            pw_team_do(team, play, &game);
            if (k == 0 || game.seconds < seconds[i])
                seconds[i] = game.seconds;
        }
    }
    pw_json_add(out, ",\n\"latency\": %.9g, \"seconds_per_byte\": %.9g", seconds[0],
                seconds[1] > seconds[0]
                    ? (seconds[1] - seconds[0]) / (double)(LARGE_BYTES - SMALL_BYTES)
                    : 0);
    return true;
}

static bool measure_all(PwTeam *team, const PwJson *root, PwError *error)
{
    PwJsonText out  = {0};
    bool       good = root->kind == PW_JSON_ARRAY || pw_input(error, "points: expected a list");
    good = good && measure_points(team, root, &out, error) && measure_messages(team, &out, error);
    if (good) {
        double peak = pw_measure_peak(team, 0.2);
        pw_json_add(&out, ", \"probe\": %.9g}\n", peak > 0 ? 1e9 * team->nranks / peak : 0);
        fputs(out.at, stdout);
    }
    free(out.at);
    return good;
}

bool pw_measure(const PwJob *job, PwTransport *transport, const PwOptions *options, PwError *error)
{
    PwTeam  team = {0};
    int64_t length;
    char   *text = pw_disk_read(options->points, (int64_t)POINTS_LIMIT_MIB << 20, &length, error);
    PwJson *root = text ? pw_json_read(text, (size_t)length, options->points, error) : NULL;
    bool    good =
        root && pw_team_open(&team, job, transport, NULL, error) && measure_all(&team, root, error);
    pw_team_close(&team);
    free(root);
    free(text);
    return good;
}
