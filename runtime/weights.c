/* weights: each tensor is filled by itself, from (seed, name, index), so that neither the number of
 * ranks nor the order of tensors has a say in a single bit. */
#include "runtime/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/json.h"
#include "runtime/safetensors.h"

enum { JSON_LIMIT = 64 << 20, SHARDS_MAX = 4096 };

/* splitmix64 (Steele, Lea and Flood 2014): a number from a place in a sequence. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t tensor_seed(uint64_t seed, const char *tensor)
{
    uint64_t state = mix(seed);
    for (const char *c = tensor; *c; c++)
        state = mix(state ^ (unsigned char)*c);
    return state;
}

/* Two numbers of (0, 1] give two normal ones (Box and Muller 1958). */
static double normal_at(uint64_t state, uint64_t index)
{
    uint64_t pair   = index / 2;
    double   first  = (double)((mix(state ^ mix(2 * pair)) >> 11) + 1) * 0x1p-53;
    double   second = (double)(mix(state ^ mix(2 * pair + 1)) >> 11) * 0x1p-53;
    double   radius = sqrt(-2 * log(first)), angle = 2 * M_PI * second;
    return radius * (index % 2 ? sin(angle) : cos(angle));
}

static real *tensor_at(const PwTeam *team, const PwTensor *tensor, int64_t address)
{
    return (real *)(void *)(team->workers[tensor->rank].arena.at + address);
}

static int64_t elements(const PwTensor *tensor)
{
    return tensor->rows * (tensor->columns > 1 ? tensor->columns : 1);
}

/* Each rank fills the tensors that it is home to. */
static void fill_from_seed(PwWorker *worker, void *context)
{
    const PwTeam *team = context;
    const PwJob  *job  = worker->job;
    for (const PwTensor *tensor = job->tensors; tensor < job->tensors + job->ntensors; tensor++) {
        if (tensor->rank != worker->rank)
            continue;
        real    *weight = tensor_at(team, tensor, tensor->weight);
        uint64_t state  = tensor_seed(job->seed, tensor->name);
        for (int64_t i = 0; i < elements(tensor); i++)
            weight[i] = tensor->deviation > 0
                            ? (real)(tensor->deviation * normal_at(state, (uint64_t)i))
                            : (real)1;
    }
}

void pw_weights_from_seed(PwTeam *team)
{
    pw_team_do(team, fill_from_seed, team);
}

static void fill_tables(PwWorker *worker, void *context)
{
    const PwJob *job  = worker->job;
    int64_t      half = job->head_dim / 2;
    (void)context;
    for (const PwTable *table = job->tables; table < job->tables + job->ntables; table++) {
        if (table->rank != worker->rank)
            continue;
        real *to = (real *)(void *)(worker->arena.at + table->address);
        for (int64_t position = 0; position < job->context; position++)
            for (int64_t i = 0; i < half; i++) {
                double angle = (double)position * job->rope_frequency[i];
                *to++        = (real)(cos(angle) * job->rope_factor);
                *to++        = (real)(sin(angle) * job->rope_factor);
            }
    }
}

void pw_tables_fill(PwTeam *team)
{
    pw_team_do(team, fill_tables, NULL);
}

typedef struct Folder { /* an open Hugging Face folder                                         */
    PwSafetensors *shards;
    int            nshards;
} Folder;

static bool open_shard(Folder *folder, const char *path, const char *name, PwError *error)
{
    char file[PW_PATH_MAX];
    if (strchr(name, '/') || name[0] == '.')
        return pw_input(error, "%s: weight_map: \"%s\" is not a file of the folder", path, name);
    if (!pw_disk_join(file, path, name, error))
        return false;
    for (int i = 0; i < folder->nshards; i++)
        if (strcmp(folder->shards[i].path, file) == 0)
            return true;
    if (folder->nshards == SHARDS_MAX)
        return pw_input(error, "%s: more than %d shards", path, SHARDS_MAX);
    if (!pw_safetensors_open(&folder->shards[folder->nshards], file, error))
        return false;
    folder->nshards++;
    return true;
}

static PwJson *read_json(const char *path, PwError *error)
{
    int64_t length;
    char   *text = pw_disk_read(path, JSON_LIMIT, &length, error);
    PwJson *root = text ? pw_json_read(text, (size_t)length, path, error) : NULL;
    free(text);
    return root;
}

static bool open_indexed(Folder *folder, const char *path, const char *index, PwError *error)
{
    PwJson *root = read_json(index, error);
    if (!root)
        return false;
    const PwJson *map  = pw_json_member(root, "weight_map");
    bool          good = map && map->kind == PW_JSON_OBJECT;
    if (!good)
        pw_input(error, "%s: weight_map: expected an object", index);
    for (const PwJson *entry = good ? map->first : NULL; good && entry; entry = entry->next)
        good = entry->kind == PW_JSON_STRING
                   ? open_shard(folder, path, entry->text, error)
                   : pw_input(error, "%s: weight_map.%s: expected a file", index, entry->key);
    free(root);
    return good;
}

static bool open_folder(Folder *folder, const char *path, PwError *error)
{
    struct stat status;
    char        index[PW_PATH_MAX];
    *folder = (Folder){.shards = calloc(SHARDS_MAX, sizeof(PwSafetensors))};
    if (!folder->shards)
        return pw_fail(error, "no memory to open %s", path);
    if (!pw_disk_join(index, path, "model.safetensors.index.json", error))
        return false;
    if (stat(index, &status) == 0)
        return open_indexed(folder, path, index, error);
    return open_shard(folder, path, "model.safetensors", error);
}

static void close_folder(Folder *folder)
{
    for (int i = 0; i < folder->nshards; i++)
        pw_safetensors_close(&folder->shards[i]);
    free(folder->shards);
}

static const PwStoredTensor *find(const Folder *folder, const char *name)
{
    for (int i = 0; i < folder->nshards; i++) {
        const PwStoredTensor *stored = pw_safetensors_find(&folder->shards[i], name);
        if (stored)
            return stored;
    }
    return NULL;
}

static bool take_tensor(const PwTeam *team, const PwTensor *tensor, const Folder *folder,
                        const char *path, PwError *error)
{
    const PwStoredTensor *stored = find(folder, tensor->name);
    if (!stored)
        return pw_input(error, "%s: there is no tensor \"%s\"", path, tensor->name);
    bool same = tensor->columns > 1
                    ? stored->ndimensions == 2 && stored->shape[0] == tensor->rows &&
                          stored->shape[1] == tensor->columns
                    : stored->ndimensions == 1 && stored->shape[0] == tensor->rows;
    if (!same)
        return pw_input(error,
                        "%s: \"%s\" has another shape than the job's model: [%lld, %lld] "
                        "expected",
                        path, tensor->name, (long long)tensor->rows, (long long)tensor->columns);
    if (!pw_stored_is_float(stored))
        return pw_input(error, "%s: \"%s\" is %s; F64, F32, F16 or BF16 expected", path,
                        tensor->name, stored->dtype);
    real *weight = tensor_at(team, tensor, tensor->weight);
    for (int64_t i = 0; i < stored->elements; i++)
        weight[i] = (real)pw_stored_element(stored, i);
    return true;
}

/* The head of a tied model is its embedding: one that is not would be lost. */
static bool refuse_own_head(const Folder *folder, const PwJob *job, const char *path,
                            PwError *error)
{
    struct stat status;
    char        config[PW_PATH_MAX];
    if (!pw_disk_join(config, path, "config.json", error))
        return false;
    if (!job->tied || !find(folder, "lm_head.weight") || stat(config, &status) != 0)
        return true;
    PwJson       *root = read_json(config, error);
    const PwJson *says = pw_json_member(root, "tie_word_embeddings");
    bool          good = root != NULL;
    if (says && says->kind == PW_JSON_FALSE)
        good = pw_input(error,
                        "%s: tensor \"lm_head.weight\" would be dropped: model.tied is true, but "
                        "tie_word_embeddings in config.json false",
                        path);
    free(root);
    return good;
}

/* What a folder holds beyond the model would be lost without a word: a bias is not nothing. */
static bool refuse_strangers(const Folder *folder, const PwJob *job, const char *path,
                             PwError *error)
{
    for (int shard = 0; shard < folder->nshards; shard++)
        for (int i = 0; i < folder->shards[shard].ntensors; i++) {
            const char *name  = folder->shards[shard].tensors[i].name;
            bool        known = strstr(name, "rotary_emb.inv_freq") != NULL ||
                         (job->tied && strcmp(name, "lm_head.weight") == 0);
            for (int j = 0; j < job->ntensors && !known; j++)
                known = strcmp(job->tensors[j].name, name) == 0;
            if (!known)
                return pw_input(error, "%s: tensor \"%s\" is not of the job's model", path, name);
        }
    return true;
}

bool pw_weights_from_folder(PwTeam *team, const char *path, PwError *error)
{
    Folder folder;
    bool   good = open_folder(&folder, path, error) &&
                refuse_own_head(&folder, team->job, path, error) &&
                refuse_strangers(&folder, team->job, path, error);
    for (int i = 0; i < team->job->ntensors && good; i++)
        if (pw_is_mine(team->transport, team->job->tensors[i].rank))
            good = take_tensor(team, &team->job->tensors[i], &folder, path, error);
    close_folder(&folder);
    return good;
}

static int compare_tensors(const void *a, const void *b, void *job)
{
    const PwTensor *tensors = ((const PwJob *)job)->tensors;
    return strcmp(tensors[*(const int *)a].name, tensors[*(const int *)b].name);
}

static int *tensors_by_name(const PwJob *job)
{
    int *order = malloc((size_t)job->ntensors * sizeof *order);
    if (!order)
        pw_die(PW_EXIT_FAILED, "no memory to sort %d tensors", job->ntensors);
    for (int i = 0; i < job->ntensors; i++)
        order[i] = i;
    qsort_r(order, (size_t)job->ntensors, sizeof *order, compare_tensors, (void *)job);
    return order;
}

real *pw_tensor_values(const PwTeam *team, const PwTensor *tensor, PwValues values)
{
    return tensor_at(team, tensor,
                     values == PW_WEIGHTS   ? tensor->weight
                     : values == PW_MOMENT1 ? tensor->moment1
                                            : tensor->moment2);
}

typedef struct Outgoing {
    const PwTeam  *team;
    PwValues       values;
    int           *order; /* of the job's tensors, by name                                     */
    unsigned char *piece; /* [PW_PIECE_MAX] of a tensor that is at home elsewhere              */
} Outgoing;

static const void *fetch(void *context, int number, int64_t at, int64_t bytes)
{
    const Outgoing *outgoing  = context;
    PwTransport    *transport = outgoing->team->transport;
    const PwTensor *tensor    = &outgoing->team->job->tensors[outgoing->order[number]];
    unsigned char  *piece     = outgoing->piece;
    if (pw_is_mine(transport, tensor->rank))
        piece = (unsigned char *)pw_tensor_values(outgoing->team, tensor, outgoing->values) + at;
    pw_carry(transport, tensor->rank, 0, piece, bytes);
    return piece;
}

bool pw_tensors_write(const PwTeam *team, PwValues values, const char *path, char hash[65],
                      int64_t *bytes, PwError *error)
{
    const PwJob      *job      = team->job;
    PwOutgoingTensor *tensors  = calloc((size_t)job->ntensors + 1, sizeof *tensors);
    Outgoing          outgoing = {team, values, tensors_by_name(job), malloc(PW_PIECE_MAX)};
    bool              good =
        (tensors && outgoing.piece) || pw_fail(error, "no memory for %d tensors", job->ntensors);
    for (int i = 0; i < job->ntensors && good; i++) {
        const PwTensor *tensor = &job->tensors[outgoing.order[i]];
        tensors[i]             = (PwOutgoingTensor){tensor->name, tensor->rows,
                                        tensor->columns > 1 ? tensor->columns : 0};
    }
    if (good && pw_leads(team->transport))
        good = pw_safetensors_write(path, tensors, job->ntensors, fetch, &outgoing, hash, bytes,
                                    error);
    else if (good)
        pw_safetensors_offer(tensors, job->ntensors, fetch, &outgoing);
    free(outgoing.piece);
    free(outgoing.order);
    free(tensors);
    return good;
}

/* Readers would take the shards that an index names, and not the file that we write. */
static bool refuse_index(const char *folder, PwError *error)
{
    struct stat status;
    char        index[PW_PATH_MAX];
    return pw_disk_join(index, folder, "model.safetensors.index.json", error) &&
           (stat(index, &status) != 0 ||
            pw_input(error,
                     "%s: readers would take the shards that it names for the weights; remove it, "
                     "or choose another folder",
                     index));
}

bool pw_weights_export(const PwTeam *team, const char *folder, PwError *error)
{
    char    path[PW_PATH_MAX], beside[PW_PATH_MAX], hash[65];
    int64_t bytes;
    return refuse_index(folder, error) && pw_disk_make_folders(folder, error) &&
           pw_disk_join(path, folder, "model.safetensors", error) &&
           pw_disk_join(beside, folder, "model.safetensors.tmp", error) &&
           pw_tensors_write(team, PW_WEIGHTS, beside, hash, &bytes, error) &&
           pw_disk_rename(beside, path, error) &&
           pw_disk_replace(folder, "config.json", team->job->config_json, error);
}

static bool all_finite(const real *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

const PwTensor *pw_weights_broken(const PwTeam *team, bool *in_gradient)
{
    const PwJob *job   = team->job;
    int64_t      first = 0, n = job->ntensors; /* weights 0 to n - 1, then gradients */
    for (; first < 2 * n; first++) {
        const PwTensor *tensor = &job->tensors[first % n];
        if (pw_is_mine(team->transport, tensor->rank) &&
            !all_finite(tensor_at(team, tensor, first < n ? tensor->weight : tensor->gradient),
                        elements(tensor)))
            break;
    }
    first        = -pw_greatest(team->transport, -first);
    *in_gradient = first >= n;
    return first < 2 * n ? &job->tensors[first % n] : NULL;
}
