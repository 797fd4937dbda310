/* safetensors: rules of the reference reader: the header fits the file, names are unique, sizes
 * follow from shape and dtype without overflow, and, sorted by offset, the tensors tile the data
 * from its first byte to the last. */
#include "runtime/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/json.h"
#include "runtime/kernel.h"

enum { HEADER_MAX = 100000000 };

static const struct {
    const char *name;
    int         bits;
} dtypes[] = {
    {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},
    {"F16", 16},    {"BF16", 16},       {"I32", 32},        {"U32", 32},    {"F32", 32},
    {"I64", 64},    {"U64", 64},        {"F64", 64},        {"C64", 64},    {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

static int dtype_bits(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return dtypes[i].bits;
    return 0;
}

static bool read_shape(PwStoredTensor *tensor, const PwJson *shape)
{
    if (!shape || shape->kind != PW_JSON_ARRAY || shape->count > PW_SHAPE_MAX)
        return false;
    tensor->elements = 1;
    for (const PwJson *size = shape->first; size; size = size->next) {
        if (!size->is_integer || size->integer < 0 ||
            __builtin_mul_overflow(tensor->elements, size->integer, &tensor->elements))
            return false;
        tensor->shape[tensor->ndimensions++] = size->integer;
    }
    return true;
}

static bool read_offsets(PwStoredTensor *tensor, const PwJson *offsets)
{
    if (!offsets || offsets->kind != PW_JSON_ARRAY || offsets->count != 2)
        return false;
    const PwJson *begin = offsets->first, *end = begin->next;
    if (!begin->is_integer || !end->is_integer || begin->integer < 0 ||
        end->integer < begin->integer)
        return false;
    tensor->begin = begin->integer;
    tensor->end   = end->integer;
    return true;
}

static bool read_tensor(PwStoredTensor *tensor, const PwJson *entry, const char *path,
                        PwError *error)
{
    int64_t bits;
    *tensor   = (PwStoredTensor){.name = entry->key, .dtype = pw_json_text(entry, "dtype")};
    int known = tensor->dtype ? dtype_bits(tensor->dtype) : 0;
    if (entry->kind != PW_JSON_OBJECT || entry->count != 3 || known == 0)
        return pw_input(error, "%s: tensor \"%s\": expected a known dtype, shape, data_offsets",
                        path, entry->key);
    if (!read_shape(tensor, pw_json_member(entry, "shape")))
        return pw_input(error,
                        "%s: tensor \"%s\": shape: expected up to %d sizes whose product "
                        "fits into 64 bits",
                        path, entry->key, PW_SHAPE_MAX);
    if (!read_offsets(tensor, pw_json_member(entry, "data_offsets")))
        return pw_input(error, "%s: tensor \"%s\": data_offsets: expected [begin, end]", path,
                        entry->key);
    if (__builtin_mul_overflow(tensor->elements, (int64_t)known, &bits) || bits % 8 ||
        bits / 8 != tensor->end - tensor->begin)
        return pw_input(error, "%s: tensor \"%s\": %lld bytes, but its shape and %s say otherwise",
                        path, entry->key, (long long)(tensor->end - tensor->begin), tensor->dtype);
    return true;
}

static bool check_metadata(const PwJson *metadata, const char *path, PwError *error)
{
    if (metadata->kind != PW_JSON_OBJECT)
        return pw_input(error, "%s: __metadata__: expected an object", path);
    for (const PwJson *member = metadata->first; member; member = member->next)
        if (member->kind != PW_JSON_STRING)
            return pw_input(error, "%s: __metadata__.%s: expected a string", path, member->key);
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const PwStoredTensor *one = a, *other = b;
    if (one->begin != other->begin)
        return one->begin < other->begin ? -1 : 1;
    return (one->end > other->end) - (one->end < other->end);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const PwStoredTensor *)a)->name, ((const PwStoredTensor *)b)->name);
}

static bool check_tiles(PwSafetensors *file, int64_t data_bytes, PwError *error)
{
    int64_t at = 0;
    qsort(file->tensors, (size_t)file->ntensors, sizeof *file->tensors, by_offset);
    for (PwStoredTensor *tensor = file->tensors; tensor < file->tensors + file->ntensors;
         tensor++) {
        if (tensor->begin != at)
            return pw_input(error,
                            "%s: tensor \"%s\" begins at byte %lld of the data; the one "
                            "before it ends at %lld",
                            file->path, tensor->name, (long long)tensor->begin, (long long)at);
        at = tensor->end;
    }
    if (at != data_bytes)
        return pw_input(error, "%s: the tensors end at byte %lld of the data, the file at %lld",
                        file->path, (long long)at, (long long)data_bytes);
    qsort(file->tensors, (size_t)file->ntensors, sizeof *file->tensors, by_name);
    return true;
}

static bool read_header(PwSafetensors *file, PwError *error)
{
    uint64_t length;
    if (file->bytes < 8)
        return pw_input(error, "%s: %lld bytes, too short for a safetensors file", file->path,
                        (long long)file->bytes);
    memcpy(&length, file->map, 8);
    if (length > HEADER_MAX || length > (uint64_t)file->bytes - 8)
        return pw_input(error, "%s: a header of %llu bytes in a file of %lld", file->path,
                        (unsigned long long)length, (long long)file->bytes);
    const char *text = (const char *)file->map + 8;
    if (length == 0 || text[0] != '{')
        return pw_input(error, "%s: the header does not begin with '{'", file->path);
    PwJson *root = file->header = pw_json_read(text, length, file->path, error);
    if (!root)
        return false;
    file->tensors = calloc((size_t)root->count + 1, sizeof *file->tensors);
    if (!file->tensors)
        return pw_fail(error, "%s: no memory to read it", file->path);
    for (const PwJson *entry = root->first; entry; entry = entry->next) {
        bool is_metadata = strcmp(entry->key, "__metadata__") == 0;
        if (is_metadata ? !check_metadata(entry, file->path, error)
                        : !read_tensor(&file->tensors[file->ntensors++], entry, file->path, error))
            return false;
    }
    const unsigned char *data = (const unsigned char *)file->map + 8 + length;
    for (int i = 0; i < file->ntensors; i++)
        file->tensors[i].data = data + file->tensors[i].begin;
    return check_tiles(file, file->bytes - 8 - (int64_t)length, error);
}

bool pw_safetensors_open(PwSafetensors *file, const char *path, PwError *error)
{
    struct stat status;
    int         descriptor = open(path, O_RDONLY | O_CLOEXEC);
    *file                  = (PwSafetensors){.map = MAP_FAILED};
    snprintf(file->path, sizeof file->path, "%s", path);
    if (descriptor < 0)
        return pw_input(error, "%s: %s", path, strerror(errno));
    bool plain  = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    file->bytes = plain ? status.st_size : 0;
    if (plain && file->bytes > 0)
        file->map = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (!plain || (file->bytes > 0 && file->map == MAP_FAILED))
        return pw_input(error, "%s: %s", path, plain ? strerror(errno) : "not a plain file");
    if (read_header(file, error))
        return true;
    pw_safetensors_close(file);
    return false;
}

const PwStoredTensor *pw_safetensors_find(const PwSafetensors *file, const char *name)
{
    PwStoredTensor key = {.name = name};
    return bsearch(&key, file->tensors, (size_t)file->ntensors, sizeof *file->tensors, by_name);
}

void pw_safetensors_close(PwSafetensors *file)
{
    if (file->map != MAP_FAILED)
        munmap(file->map, (size_t)file->bytes);
    free(file->header);
    free(file->tensors);
    *file = (PwSafetensors){.map = MAP_FAILED};
}

bool pw_stored_is_float(const PwStoredTensor *tensor)
{
    return strcmp(tensor->dtype, "F64") == 0 || strcmp(tensor->dtype, "F32") == 0 ||
           strcmp(tensor->dtype, "F16") == 0 || strcmp(tensor->dtype, "BF16") == 0;
}

static double half_to_double(uint16_t half)
{
    int    exponent = half >> 10 & 31;
    double fraction = half & 1023;
    double size     = exponent == 31  ? (half & 1023 ? NAN : INFINITY)
                      : exponent == 0 ? ldexp(fraction, -24)
                                      : ldexp(fraction + 1024, exponent - 25);
    return half >> 15 ? -size : size;
}

double pw_stored_element(const PwStoredTensor *tensor, int64_t i)
{
    const unsigned char *at = tensor->data;
    union {
        double   f64;
        float    f32;
        uint16_t half;
        uint32_t bits;
    } value;
    if (strcmp(tensor->dtype, "F64") == 0)
        return memcpy(&value.f64, at + 8 * i, 8), value.f64;
    if (strcmp(tensor->dtype, "F32") == 0)
        return memcpy(&value.f32, at + 4 * i, 4), value.f32;
    memcpy(&value.half, at + 2 * i, 2);
    if (strcmp(tensor->dtype, "F16") == 0)
        return half_to_double(value.half);
    value.bits = (uint32_t)value.half << 16;
    return value.f32;
}

static int64_t bytes_of(const PwOutgoingTensor *tensor)
{
    return tensor->rows * (tensor->columns ? tensor->columns : 1) * (int64_t)sizeof(real);
}

static void describe(PwJsonText *header, const PwOutgoingTensor *tensors, int ntensors)
{
    int64_t at = 0;
    pw_json_add(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (const PwOutgoingTensor *tensor = tensors; tensor < tensors + ntensors; tensor++) {
        int64_t bytes = bytes_of(tensor);
        pw_json_add(header, ",");
        pw_json_add_string(header, tensor->name);
        pw_json_add(header, ":{\"dtype\":\"%s\",\"shape\":[%lld", sizeof(real) == 4 ? "F32" : "F64",
                    (long long)tensor->rows);
        if (tensor->columns)
            pw_json_add(header, ",%lld", (long long)tensor->columns);
        pw_json_add(header, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
                    (long long)(at + bytes));
        at += bytes;
    }
    pw_json_add(header, "}");
    while (header->length % 8)
        pw_json_add(header, " ");
}

/* `file` NULL: they are only asked for. */
static bool take_pieces(PwDiskFile *file, const PwOutgoingTensor *tensors, int ntensors,
                        PwFetch fetch, void *context, PwError *error)
{
    for (int i = 0; i < ntensors; i++)
        for (int64_t at = 0, end = bytes_of(&tensors[i]); at < end; at += PW_PIECE_MAX) {
            int64_t     bytes = end - at < PW_PIECE_MAX ? end - at : PW_PIECE_MAX;
            const void *piece = fetch(context, i, at, bytes);
            if (file && !pw_disk_write(file, piece, bytes, error))
                return false;
        }
    return true;
}

void pw_safetensors_offer(const PwOutgoingTensor *tensors, int ntensors, PwFetch fetch,
                          void *context)
{
    take_pieces(NULL, tensors, ntensors, fetch, context, NULL);
}

bool pw_safetensors_write(const char *path, const PwOutgoingTensor *tensors, int ntensors,
                          PwFetch fetch, void *context, char hash[65], int64_t *bytes,
                          PwError *error)
{
    PwDiskFile file;
    PwJsonText header = {0};
    uint64_t   length;
    describe(&header, tensors, ntensors);
    length = header.length;
    *bytes = 8 + (int64_t)length;
    for (int i = 0; i < ntensors; i++)
        *bytes += bytes_of(&tensors[i]);
    bool good = pw_disk_create(&file, path, *bytes, error);
    if (good && (!pw_disk_write(&file, &length, 8, error) ||
                 !pw_disk_write(&file, header.at, (int64_t)length, error) ||
                 !take_pieces(&file, tensors, ntensors, fetch, context, error))) {
        pw_disk_abandon(&file);
        good = false;
    }
    free(header.at);
    return good && pw_disk_finish(&file, hash, error);
}
