/* first_weights: see first_weights.h. The runtime checks the same again with a reader of its own,
 * since gen and runtime share no code. */
#include "gen/data/first_weights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/base/fields.h"
#include "gen/base/file.h"

#define CONFIG_MAX ((size_t)64 << 20)
#define HEADER_MAX ((uint64_t)100000000) /* the format's own bound */

typedef struct Reading {
    Region     *region;
    const Job  *job;
    const char *folder;
    json_t     *config;  /* of the folder                                                      */
    json_t     *shards;  /* the header of each file that was read, by the file's name          */
    json_t     *tensors; /* of all files, by name; what was asked for is taken out             */
    Error      *error;
} Reading;

/* Every error is one of the job's field. */
static bool wrong(const Reading *reading, const char *remedy)
{
    return error_at(reading->error, job_place(reading->region, reading->job, "train.from"),
                    .field = "train.from", .found = reading->job->train.from,
                    .expected = "a Hugging Face folder with the weights of the job's model",
                    .remedy   = remedy);
}

static bool lacks(const Reading *reading, const char *name)
{
    return wrong(reading, region_format(reading->region,
                                        "there is no %s in it; name one that `pipewright export` "
                                        "wrote or that was downloaded whole",
                                        name));
}

static bool differs(const Reading *reading, const char *how)
{
    return wrong(reading, region_format(reading->region,
                                        "%s; change the job's model, or name another folder", how));
}

static bool unread(const Reading *reading)
{
    return wrong(reading, region_copy(reading->region, reading->error->text));
}

static const char *path_of(const Reading *reading, const char *name)
{
    return path_join(reading->region, reading->folder, name);
}

/* A pipe would let the tool wait for ever. */
static bool has_plain(const Reading *reading, const char *name)
{
    if (!file_exists(path_of(reading, name)))
        return lacks(reading, name);
    return file_is_plain(path_of(reading, name)) ||
           wrong(reading, region_format(reading->region,
                                        "its %s is not a plain file; put the file there, or name "
                                        "another folder",
                                        name));
}

static json_t *read_json(const Reading *reading, const char *name)
{
    if (!has_plain(reading, name))
        return NULL;
    char *text =
        file_read(reading->region, path_of(reading, name), CONFIG_MAX, NULL, reading->error);
    json_t *tree = text ? fields_parse(text, path_of(reading, name), reading->error) : NULL;
    if (!tree)
        unread(reading);
    return tree;
}

/* ---- config.json ---- */

static const char *config_of(const Model *model, const char *key)
{
    for (int i = 0; i < model->nconfig; i++)
        if (strcmp(model->config[i].key, key) == 0)
            return model->config[i].json;
    return NULL;
}

/* What the tensors' shapes do not tell, such as the number of heads. What may be changed with the
 * same weights, such as the context, is the job's to say; so are keys that either leaves out. */
static bool check_config(const Reading *reading)
{
    static const char *const keys[] = {"num_hidden_layers",   "hidden_size", "num_attention_heads",
                                       "num_key_value_heads", "head_dim",    "intermediate_size",
                                       "vocab_size"};
    for (int i = 0; i < COUNT(keys); i++) {
        const json_t *found = json_object_get(reading->config, keys[i]);
        const char   *want  = config_of(reading->job->model, keys[i]);
        if (json_is_integer(found) && want && json_integer_value(found) != strtoll(want, NULL, 10))
            return differs(reading,
                           region_format(reading->region,
                                         "its config.json has %s = %lld, the job's model %s",
                                         keys[i], (long long)json_integer_value(found), want));
    }
    return true;
}

/* ---- The headers of safetensors: 8 bytes of length, then JSON ---- */

static bool read_length(FILE *stream, uint64_t *length)
{
    unsigned char bytes[8];
    *length = 0;
    if (fread(bytes, 1, sizeof bytes, stream) != sizeof bytes)
        return false;
    for (int i = 7; i >= 0; i--)
        *length = *length << 8 | bytes[i];
    return *length <= HEADER_MAX;
}

/* NULL: no object of JSON. Its text may be large, and goes at once. */
static json_t *parse_header(FILE *stream, uint64_t length)
{
    Region *region = region_new();
    char   *text   = region_alloc(region, (size_t)length + 1);
    json_t *header = fread(text, 1, (size_t)length, stream) == length
                         ? json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, NULL)
                         : NULL;
    region_free(region);
    if (json_is_object(header))
        return header;
    json_decref(header);
    return NULL;
}

static bool check_size(const Reading *reading, const char *name, uint64_t said)
{
    long long size = (long long)file_size(path_of(reading, name));
    return (uint64_t)size == said ||
           wrong(reading, region_format(reading->region,
                                        "its %s has %lld bytes, its header says %llu; copy the "
                                        "file again, whole, or name another folder",
                                        name, size, (unsigned long long)said));
}

/* `bytes`: of the length and the header, before the values. */
static bool check_offsets(const Reading *reading, const char *name, json_t *header, uint64_t bytes)
{
    const char *tensor;
    json_t     *stored;
    json_int_t  last = 0;
    json_object_foreach(header, tensor, stored)
    {
        const json_t *offsets = json_object_get(stored, "data_offsets");
        const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
        if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
            json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
            return wrong(reading, region_format(reading->region,
                                                "in its %s, %s has no data_offsets [begin, end]; "
                                                "name another folder",
                                                name, tensor));
        last = json_integer_value(end) > last ? json_integer_value(end) : last;
    }
    return check_size(reading, name, bytes + (uint64_t)last);
}

static bool read_header(const Reading *reading, const char *name)
{
    uint64_t length;
    if (!has_plain(reading, name))
        return false;
    FILE *stream = fopen(path_of(reading, name), "rb");
    if (!stream)
        return wrong(reading, region_format(reading->region, "its %s cannot be read: %s", name,
                                            strerror(errno)));
    bool    begun  = read_length(stream, &length);
    bool    whole  = begun && (uint64_t)file_size(path_of(reading, name)) >= 8 + length;
    json_t *header = whole ? parse_header(stream, length) : NULL;
    fclose(stream);
    if (begun && !whole)
        return check_size(reading, name, 8 + length);
    if (!header)
        return wrong(reading, region_format(reading->region, "%s is no safetensors file", name));
    json_object_del(header, "__metadata__");
    json_object_set_new(reading->shards, name, header);
    json_object_update(reading->tensors, header);
    return check_offsets(reading, name, header, 8 + length);
}

/* A shard is read once, for the first of its tensors that the index maps. */
static bool read_mapped(const Reading *reading, const char *tensor, const char *shard)
{
    if (!shard || strchr(shard, '/'))
        return wrong(reading, region_format(reading->region,
                                            "its weight_map.%s names no file of it", tensor));
    if (!json_object_get(reading->shards, shard) && !read_header(reading, shard))
        return false;
    return json_object_get(json_object_get(reading->shards, shard), tensor) ||
           wrong(reading,
                 region_format(reading->region,
                               "its model.safetensors.index.json maps %s to %s, which has no such "
                               "tensor; name a folder that was downloaded whole",
                               tensor, shard));
}

static bool read_shards(const Reading *reading)
{
    static const char *const index = "model.safetensors.index.json";
    const char              *tensor;
    json_t                  *shard;
    if (!file_exists(path_of(reading, index)))
        return read_header(reading, "model.safetensors");
    json_t *tree = read_json(reading, index);
    json_t *map  = json_object_get(tree, "weight_map");
    bool    good = tree && (json_is_object(map) ||
                         wrong(reading, "its model.safetensors.index.json has no weight_map"));
    json_object_foreach(map, tensor, shard)
    {
        if (good)
            good = read_mapped(reading, tensor, json_string_value(shard));
    }
    json_decref(tree);
    return good;
}

/* ---- The tensors ---- */

static bool is_float(const json_t *stored)
{
    static const char *const types[] = {"F64", "F32", "F16", "BF16"};
    const char              *type    = json_string_value(json_object_get(stored, "dtype"));
    for (int i = 0; type && i < COUNT(types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

/* columns 0: a vector. */
static bool has_shape(const json_t *stored, int64_t rows, int64_t columns)
{
    const json_t *shape = json_object_get(stored, "shape");
    return json_array_size(shape) == (columns ? 2 : 1) &&
           json_integer_value(json_array_get(shape, 0)) == rows &&
           (!columns || json_integer_value(json_array_get(shape, 1)) == columns);
}

static bool check_tensor(const Reading *reading, const char *name, int64_t rows, int64_t columns)
{
    Region       *region = reading->region;
    const json_t *stored = json_object_get(reading->tensors, name);
    if (!stored)
        return differs(reading, region_format(region, "it has no tensor %s", name));
    if (!has_shape(stored, rows, columns)) {
        char *shape = json_dumps(json_object_get(stored, "shape"), JSON_ENCODE_ANY | JSON_COMPACT);
        const char *found = region_copy(region, shape ? shape : "none");
        const char *want =
            columns ? region_format(region, "[%lld,%lld]", (long long)rows, (long long)columns)
                    : region_format(region, "[%lld]", (long long)rows);
        free(shape);
        return differs(reading, region_format(region, "its %s has the shape %s, the job's model %s",
                                              name, found, want));
    }
    if (!is_float(stored))
        return wrong(reading,
                     region_format(region, "its %s is not of F64, F32, F16 or BF16", name));
    json_object_del(reading->tensors, name);
    return true;
}

static bool check_weight(const Reading *reading, const ModelWeight *weight, int layer)
{
    bool vector = weight->rows == 1 && weight->deviation == 0;
    for (int i = 0; i < weight->ntensors; i++) {
        const char *name  = weight->tensors[i].name;
        const char *digit = strstr(name, "%d");
        if (digit)
            name = region_format(reading->region, "%.*s%d%s", (int)(digit - name), name, layer,
                                 digit + 2);
        if (!check_tensor(reading, name, vector ? weight->columns : weight->tensors[i].rows,
                          vector ? 0 : weight->columns))
            return false;
    }
    return true;
}

/* The copy of the embedding that some write beside it is none. */
static bool has_own_head(const Reading *reading)
{
    return json_is_false(json_object_get(reading->config, "tie_word_embeddings")) &&
           json_object_get(reading->tensors, "lm_head.weight");
}

/* What the trainer too passes over: tables that follow from the shape, and a head that is the
 * embedding. Of the rest nothing may be lost without a word: a bias is not nothing. */
static bool refuse_strangers(const Reading *reading)
{
    if (reading->job->model->tied && has_own_head(reading))
        return wrong(reading,
                     "it has a head of its own, lm_head.weight, and its config.json says "
                     "tie_word_embeddings = false: model.tied = true would drop it; set model.tied "
                     "= false, or name another folder");
    const char *name;
    json_t     *stored;
    json_object_foreach(reading->tensors, name, stored)
    {
        if (!strstr(name, "rotary_emb.inv_freq") &&
            !(reading->job->model->tied && strcmp(name, "lm_head.weight") == 0))
            return differs(
                reading,
                region_format(reading->region, "it has a tensor %s, the job's model none", name));
    }
    return true;
}

static bool check_tensors(const Reading *reading)
{
    const Model *model = reading->job->model;
    for (int i = 0; i < model->nweights; i++) {
        const ModelWeight *weight = &model->weights[i];
        bool               inner  = weight->part != PART_EMBED && weight->part != PART_HEAD;
        for (int layer = 0; weight->tied < 0 && layer < (inner ? model->layers : 1); layer++)
            if (!check_weight(reading, weight, layer))
                return false;
    }
    return refuse_strangers(reading);
}

const char *first_weights_folder(Region *region, const Job *job)
{
    const char *from = job->train.from;
    return !from || *from == '/' ? from : path_join(region, job->folder, from);
}

bool first_weights_check(Region *region, const Job *job, Error *error)
{
    Reading reading = {.region = region, .job = job, .error = error};
    reading.folder  = first_weights_folder(region, job);
    if (!reading.folder)
        return true;
    if (!file_is_folder(reading.folder))
        return wrong(&reading, "there is no such folder; name one, or leave the field out to start "
                               "from the seed");
    reading.config  = read_json(&reading, "config.json");
    reading.shards  = json_object();
    reading.tensors = json_object();
    bool good       = reading.config && check_config(&reading) && read_shards(&reading) &&
                check_tensors(&reading);
    json_decref(reading.shards);
    json_decref(reading.tensors);
    json_decref(reading.config);
    return good;
}
