/* toy_trainer: programs as an assembler would write them, instruction after instruction. */
#include "tests/support/toy_trainer.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/sha256.h"

ToyMischief toy_mischief = {-1, 0};
const char *toy_lengthened;

/* Addresses, the same on every rank: static ones first. */
enum {
    A       = 0,
    DA      = 64,
    MA      = 128,
    VA      = 192,
    B       = 256,
    DB      = 320,
    MB      = 384,
    VB      = 448,
    NORMS   = 512,
    CLIP    = 576,
    STATIC  = 640,
    TOKENS  = 1024,
    TARGETS = 1152,
    WEIGHTS = 1280,
    Y       = 1408,
    DY      = 1536,
    LOSSES  = 1664,
};

enum { FORWARD, HEAD, BACKWARD, NORM, CLIPPING, UPDATE, NCODELETS };

static void toy_forward(const PwCall *call)
{
    const int32_t *tokens = call->at[0];
    const real    *a      = call->at[1];
    real          *y      = call->at[2];
    for (int64_t i = 0; i < call->tokens; i++)
        y[i] = a[tokens[i]];
}

static void toy_head(const PwCall *call)
{
    const int32_t *targets = call->at[0];
    const float   *weights = call->at[1];
    const real    *y = call->at[2], *b = call->at[3];
    real          *dy = call->at[4], *db = call->at[5];
    double        *loss = call->at[6];
    memset(db, 0, TOY_ROWS * sizeof *db);
    *loss = 0;
    for (int64_t i = 0; i < call->tokens; i++) {
        real error = y[i] * b[targets[i]] - 2;
        real share = weights[i] * (real)call->step->inverse_weight;
        *loss += (double)weights[i] * (double)error * (double)error;
        dy[i] = 2 * share * error * b[targets[i]];
        db[targets[i]] += 2 * share * error * y[i];
    }
}

static void toy_backward(const PwCall *call)
{
    const int32_t *tokens = call->at[0];
    const real    *dy     = call->at[1];
    real          *da     = call->at[2];
    memset(da, 0, TOY_ROWS * sizeof *da);
    for (int64_t i = 0; i < call->tokens; i++)
        da[tokens[i]] += dy[i];
}

static void lengthen(const char *path)
{
    FILE *file = fopen(path, "ab");
    if (!file || fputc(0, file) == EOF || fclose(file) != 0)
        abort();
}

static bool is_open_as(int file, const char *name)
{
    char    link[40], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length]      = 0;
    const char *slash = strrchr(path, '/');
    return slash && strcmp(slash + 1, name) == 0;
}

/* Of what this process writes to the file nothing finds room any more. */
static void fill_disk_of(const char *name)
{
    int full = open("/dev/full", O_WRONLY);
    for (int file = 3; file < 256; file++)
        if (is_open_as(file, name) && dup2(full, file) < 0)
            abort();
}

static void misbehave(const PwCall *call, double *norm)
{
    static atomic_int waiting;
    if (toy_mischief.step != (long long)call->tokens)
        return;
    if (toy_mischief.kind == TOY_NOT_FINITE)
        *norm = NAN;
    if (toy_mischief.kind == TOY_SIGNAL)
        kill(getpid(), SIGTERM);
    if (toy_mischief.kind == TOY_KILL)
        kill(getpid(), SIGKILL);
    if (toy_mischief.kind == TOY_LENGTHEN)
        lengthen(toy_lengthened);
    if (toy_mischief.kind == TOY_FULL)
        fill_disk_of("metrics.jsonl");
    while (toy_mischief.kind == TOY_HANG && !atomic_load(&waiting))
        usleep(1000);
}

static void toy_norm(const PwCall *call)
{
    const real *gradient = call->at[0];
    double     *norm     = call->at[1];
    *norm                = 0;
    for (int64_t i = 0; i < call->count; i++)
        *norm += (double)gradient[i] * (double)gradient[i];
    misbehave(call, norm);
}

static void toy_clip(const PwCall *call)
{
    const double *norms = call->at[0];
    double       *clip  = call->at[1];
    double        sum   = norms[0] + norms[1];
    clip[0]             = isfinite(sum) ? call->step->inverse_weight > 0 : NAN;
    clip[1]             = sqrt(sum);
}

static void toy_update(const PwCall *call)
{
    real         *weight = call->at[0], *moment1 = call->at[1], *moment2 = call->at[2];
    const real   *gradient = call->at[3];
    const double *clip     = call->at[4];
    if (!(clip[0] > 0))
        return;
    for (int64_t i = 0; i < call->count; i++) {
        moment1[i] = (real)call->step->beta1 * moment1[i] + gradient[i];
        moment2[i] = moment2[i] + gradient[i] * gradient[i];
        weight[i] -= (real)call->step->learning_rate * moment1[i];
    }
}

static const PwCodeletEntry codelets[NCODELETS] = {
    [FORWARD]  = {"toy_forward", toy_forward},
    [HEAD]     = {"toy_head", toy_head},
    [BACKWARD] = {"toy_backward", toy_backward},
    [NORM]     = {"grad_norm", toy_norm},
    [CLIPPING] = {"clip", toy_clip},
    [UPDATE]   = {"adamw", toy_update},
};

const PwJob *toy_job(int nranks)
{
    static const PwTensor tensors[2][2] = {
        {{"a.weight", 0, TOY_ROWS, 0, A, DA, MA, VA, 0.5},
         {"b.weight", 0, TOY_ROWS, 0, B, DB, MB, VB, 0}},
        {{"a.weight", 0, TOY_ROWS, 0, A, DA, MA, VA, 0.5},
         {"b.weight", 1, TOY_ROWS, 0, B, DB, MB, VB, 0}},
    };
    static const int64_t static_bytes[2] = {STATIC, STATIC};
    static const int64_t capacity[2]     = {TOY_CAPACITY, TOY_CAPACITY};
    static PwJob         jobs[2];
    jobs[nranks - 1] = (PwJob){.name          = "toy.lua",
                               .job_hash      = "toyjob",
                               .code_hash     = nranks == 1 ? "one" : "two",
                               .data_hash     = "",
                               .tokens_hash   = "",
                               .prompt_hash   = "",
                               .nranks        = nranks,
                               .heads         = 1,
                               .kv_heads      = 1,
                               .head_dim      = 2,
                               .vocabulary    = TOY_ROWS,
                               .context       = TOY_TOKENS,
                               .static_bytes  = static_bytes,
                               .capacity      = capacity,
                               .tensors       = tensors[nranks - 1],
                               .ntensors      = 2,
                               .codelets      = codelets,
                               .ncodelets     = NCODELETS,
                               .steps         = 20,
                               .save_every    = 5,
                               .save_keep     = 2,
                               .seed          = 1,
                               .learning_rate = 0.02,
                               .beta1         = 0.9,
                               .beta2         = 0.99,
                               .epsilon       = 1e-8,
                               .config_json   = "{}"};
    return &jobs[nranks - 1];
}

/* --- the assembler --- */

typedef struct Rank {
    PwInstruction list[64];
    PwOperand     operands[128];
    PwSource      source;
    int           ninstructions, noperands, nmessages;
} Rank;

static PwInstruction *add(Rank *rank, int kind)
{
    PwInstruction *instruction = &rank->list[rank->ninstructions++];
    *instruction               = (PwInstruction){.kind    = (uint8_t)kind,
                                                 .layer   = -2,
                                                 .chunk   = 0,
                                                 .message = -1,
                                                 .operand = (uint32_t)rank->noperands};
    return instruction;
}

static void operand(Rank *rank, int64_t address, int64_t bytes, int access)
{
    rank->operands[rank->noperands++] = (PwOperand){address, bytes, -1, access};
    rank->list[rank->ninstructions - 1].noperands++;
}

static PwInstruction *call(Rank *rank, int codelet, int tokens)
{
    PwInstruction *instruction = add(rank, PW_CALL);
    instruction->codelet       = (uint16_t)codelet;
    instruction->tokens        = tokens;
    return instruction;
}

static void load(Rank *rank, bool inputs, bool outputs)
{
    PwInstruction *instruction = add(rank, PW_LOAD);
    instruction->tokens        = TOY_TOKENS;
    instruction->nsources      = 1;
    operand(rank, inputs ? TOKENS : -1, 4 * TOY_TOKENS, PW_WRITE);
    operand(rank, outputs ? TARGETS : -1, 4 * TOY_TOKENS, PW_WRITE);
    operand(rank, outputs ? WEIGHTS : -1, 4 * TOY_TOKENS, PW_WRITE);
}

static void move(Rank *from, Rank *to, int from_number, int64_t address, int64_t bytes)
{
    PwInstruction *send = add(from, PW_SEND);
    send->message       = from->nmessages++;
    send->peer          = 1 - from_number;
    operand(from, address, bytes, PW_READ);
    add(from, PW_SENT)->message              = send->message;
    from->list[from->ninstructions - 1].peer = 1 - from_number;
    PwInstruction *receive                   = add(to, PW_RECEIVE);
    receive->message                         = to->nmessages++;
    receive->peer                            = from_number;
    operand(to, address, bytes, PW_WRITE);
    add(to, PW_WAIT)->message            = receive->message;
    to->list[to->ninstructions - 1].peer = from_number;
}

static void norm(Rank *rank, int64_t gradient, int64_t to, int step)
{
    call(rank, NORM, step)->count = TOY_ROWS;
    operand(rank, gradient, TOY_ROWS * sizeof(real), PW_READ);
    operand(rank, to, sizeof(double), PW_WRITE);
}

static void clip(Rank *rank)
{
    call(rank, CLIPPING, 1);
    operand(rank, NORMS, 2 * sizeof(double), PW_READ);
    operand(rank, CLIP, 2 * sizeof(double), PW_WRITE);
}

static void update(Rank *rank, int64_t weight)
{
    static const int64_t offsets[4] = {0, MA - A, VA - A, DA - A};
    call(rank, UPDATE, 1)->count    = TOY_ROWS;
    for (int i = 0; i < 4; i++)
        operand(rank, weight + offsets[i], TOY_ROWS * sizeof(real), i < 3 ? PW_ADD : PW_READ);
    operand(rank, CLIP, 2 * sizeof(double), PW_READ);
}

static void forward_and_backward(Rank *first, Rank *last)
{
    bool two = first != last;
    load(first, true, !two);
    call(first, FORWARD, TOY_TOKENS);
    operand(first, TOKENS, 4 * TOY_TOKENS, PW_READ);
    operand(first, A, TOY_ROWS * sizeof(real), PW_READ);
    operand(first, Y, TOY_TOKENS * sizeof(real), PW_WRITE);
    if (two) {
        load(last, false, true);
        move(first, last, 0, Y, TOY_TOKENS * sizeof(real));
    }
    call(last, HEAD, TOY_TOKENS);
    operand(last, TARGETS, 4 * TOY_TOKENS, PW_READ);
    operand(last, WEIGHTS, 4 * TOY_TOKENS, PW_READ);
    operand(last, Y, TOY_TOKENS * sizeof(real), PW_READ);
    operand(last, B, TOY_ROWS * sizeof(real), PW_READ);
    operand(last, DY, TOY_TOKENS * sizeof(real), PW_WRITE);
    operand(last, DB, TOY_ROWS * sizeof(real), PW_WRITE);
    operand(last, LOSSES, sizeof(double), PW_WRITE);
    if (two)
        move(last, first, 1, DY, TOY_TOKENS * sizeof(real));
    call(first, BACKWARD, TOY_TOKENS);
    operand(first, TOKENS, 4 * TOY_TOKENS, PW_READ);
    operand(first, DY, TOY_TOKENS * sizeof(real), PW_READ);
    operand(first, DA, TOY_ROWS * sizeof(real), PW_WRITE);
}

static void end_of_step(Rank *first, Rank *last, int step)
{
    norm(first, DA, NORMS, step);
    norm(last, DB, NORMS + 8, INT32_MAX); /* no step: only one rank misbehaves */
    if (first != last) {
        move(first, last, 0, NORMS, sizeof(double));
        move(last, first, 1, NORMS + 8, sizeof(double));
        move(last, first, 1, LOSSES, sizeof(double));
        clip(last);
    }
    clip(first);
    update(first, A);
    update(last, B);
}

static size_t put(unsigned char *to, size_t *at, const void *bytes, size_t count)
{
    size_t where = *at;
    memcpy(to + where, bytes, count);
    *at = (where + count + 7) / 8 * 8;
    return where;
}

static PwRank store_rank(unsigned char *to, size_t *at, const Rank *rank)
{
    return (PwRank){
        .instructions  = put(to, at, rank->list, sizeof *rank->list * (size_t)rank->ninstructions),
        .ninstructions = (uint64_t)rank->ninstructions,
        .operands  = put(to, at, rank->operands, sizeof *rank->operands * (size_t)rank->noperands),
        .noperands = (uint64_t)rank->noperands,
        .sources   = put(to, at, &rank->source, sizeof rank->source),
        .nsources  = 1,
        .static_bytes     = STATIC,
        .arena_bytes      = LOSSES + 64,
        .capacity         = TOY_CAPACITY,
        .losses           = LOSSES,
        .next             = -1,
        .peak_instruction = 0,
    };
}

unsigned char *toy_program(int nranks, long long step, bool weightless, size_t *bytes)
{
    static Rank    ranks[2];
    unsigned char *to = calloc(1, TOY_ARENA * 4);
    memset(ranks, 0, sizeof ranks);
    for (int i = 0; i < nranks; i++) /* a token beyond the document's end would be an error */
        ranks[i].source = (PwSource){.document = weightless ? 0 : 1 + step, .tokens = TOY_TOKENS};
    forward_and_backward(&ranks[0], &ranks[nranks - 1]);
    end_of_step(&ranks[0], &ranks[nranks - 1], (int)step);
    PwProgram program  = {.step       = step,
                          .kind       = PW_TRAIN,
                          .nranks     = nranks,
                          .nsequences = 1,
                          .ntokens    = TOY_TOKENS,
                          .weight     = weightless ? 0 : TOY_TOKENS,
                          .position   = step + 1,
                          .nlosses    = 1};
    int32_t   sequence = 0;
    PwRank    stored[2];
    size_t    at = sizeof program;
    memcpy(program.magic, PW_PROGRAM_MAGIC, 8);
    memset(program.plan_hash, '0', sizeof program.plan_hash);
    program.ranks = at;
    at += sizeof(PwRank) * (size_t)nranks;
    program.loss_sequence = put(to, &at, &sequence, sizeof sequence);
    for (int i = 0; i < nranks; i++)
        stored[i] = store_rank(to, &at, &ranks[i]);
    memcpy(to + program.ranks, stored, sizeof(PwRank) * (size_t)nranks);
    program.order = at;
    program.bytes = at;
    memcpy(to, &program, sizeof program);
    *bytes = at;
    return to;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
        abort();
}

void toy_ring(const char *path, int nranks, int steps, int weightless)
{
    size_t data = sizeof(PwRing) + sizeof(PwSlot) * (size_t)steps, at;
    at = data           = (data + 63) / 64 * 64;
    unsigned char *file = calloc(1, data + (size_t)steps * TOY_ARENA * 4);
    PwRing        *ring = (PwRing *)(void *)file;
    PwSlot        *slot = (PwSlot *)(ring + 1);
    memcpy(ring->magic, PW_RING_MAGIC, 8);
    ring->slots = (uint64_t)steps;
    ring->data  = data;
    for (int step = 0; step < steps; step++) {
        size_t         bytes;
        char           hash[65];
        unsigned char *program = toy_program(nranks, step, step == weightless, &bytes);
        memcpy(file + at, program, bytes);
        pw_sha256(program, bytes, hash);
        slot[step] = (PwSlot){.step = step, .offset = at, .bytes = bytes};
        memcpy(slot[step].hash, hash, 64);
        at = (at + bytes + 63) / 64 * 64;
        free(program);
    }
    ring->data_bytes = at - data;
    atomic_store(&ring->written, steps);
    atomic_store(&ring->finished, 1);
    write_file(path, file, at);
    free(file);
}

/* Document 0 is inside a prompt as a whole: nothing of it counts. */
void toy_tokens(const char *prefix, int documents)
{
    char     path[128];
    int      length = TOY_TOKENS + 1, header = 34;
    size_t   bytes = (size_t)header + 12 * (size_t)documents + 8 * ((size_t)documents + 1);
    uint8_t *index = calloc(1, bytes), *data = calloc((size_t)documents, (size_t)length);
    int64_t *prompt = calloc((size_t)documents, 8);
    memcpy(index, "MMIDIDX\0", 9);
    index[9]  = 1;
    index[17] = 1; /* u8 */
    memcpy(index + 18, &(int64_t){documents}, 8);
    memcpy(index + 26, &(int64_t){documents + 1}, 8);
    for (int64_t i = 0; i < documents; i++) {
        int64_t offset = i * length, next = i + 1;
        memcpy(index + header + 4 * i, &(int32_t){length}, 4);
        memcpy(index + header + 4 * documents + 8 * i, &offset, 8);
        memcpy(index + header + 12 * documents + 8 * (i + 1), &next, 8);
        for (int j = 0; j < length; j++)
            data[offset + j] = (uint8_t)((i * 7 + j * 5 + i * j) % TOY_ROWS);
    }
    prompt[0] = length;
    snprintf(path, sizeof path, "%s.idx", prefix);
    write_file(path, index, bytes);
    snprintf(path, sizeof path, "%s.bin", prefix);
    write_file(path, data, (size_t)documents * (size_t)length);
    snprintf(path, sizeof path, "%s.prompt", prefix);
    write_file(path, prompt, 8 * (size_t)documents);
    free(index);
    free(data);
    free(prompt);
}

enum { FOLDERS_MAX = 4096 };
static char  folders[FOLDERS_MAX][64];
static int   nfolders;
static pid_t folders_owner;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_folders(void)
{
    for (int i = 0; i < nfolders && folders_owner == getpid(); i++)
        nftw(folders[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void toy_folder(char path[64])
{
    snprintf(path, 64, "%s/toy.XXXXXX", P_tmpdir);
    if (!mkdtemp(path) || nfolders == FOLDERS_MAX)
        abort();
    if (nfolders == 0) {
        folders_owner = getpid();
        atexit(remove_folders);
    }
    memcpy(folders[nfolders++], path, 64);
}
