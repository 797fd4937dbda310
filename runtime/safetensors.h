/* safetensors: the file format of Hugging Face weights and of saved states. A header of JSON, then
 * the tensors' bytes. Opening checks all that the header claims; a file that lies is refused. */
#ifndef PW_SAFETENSORS_H
#define PW_SAFETENSORS_H

#include "runtime/disk.h"

enum { PW_SHAPE_MAX = 8 };

typedef struct PwStoredTensor {
    const char          *name, *dtype; /* "F32"                                                */
    int64_t              shape[PW_SHAPE_MAX];
    int                  ndimensions;
    int64_t              elements;
    int64_t              begin, end; /* bytes from the start of the data                       */
    const unsigned char *data;       /* in the mapped file                                     */
} PwStoredTensor;

typedef struct PwSafetensors {
    char            path[PW_PATH_MAX];
    PwStoredTensor *tensors; /* sorted by name                                                 */
    int             ntensors;
    void           *map;
    int64_t         bytes; /* of the file                                                      */
    void           *header;
} PwSafetensors;

bool                  pw_safetensors_open(PwSafetensors *file, const char *path, PwError *error);
const PwStoredTensor *pw_safetensors_find(const PwSafetensors *file, const char *name);
void                  pw_safetensors_close(PwSafetensors *file);

/* Element i as a double; F64, F32, F16 and BF16 only. */
bool   pw_stored_is_float(const PwStoredTensor *tensor);
double pw_stored_element(const PwStoredTensor *tensor, int64_t i);

typedef struct PwOutgoingTensor {
    const char *name;
    int64_t     rows, columns; /* columns 0: a vector of `rows`; [rows][columns] of real       */
} PwOutgoingTensor;

/* Bytes [at, at + bytes) of a tensor: values may lie in another process, and come in pieces. */
typedef const void *(*PwFetch)(void *context, int tensor, int64_t at, int64_t bytes);
enum { PW_PIECE_MAX = 1 << 20 };

/* All of one dtype, in the order given; `hash` and `bytes` are those of the file. */
bool pw_safetensors_write(const char *path, const PwOutgoingTensor *tensors, int ntensors,
                          PwFetch fetch, void *context, char hash[65], int64_t *bytes,
                          PwError *error);
/* The same calls of `fetch`, in the same order, in a process that only has values. */
void pw_safetensors_offer(const PwOutgoingTensor *tensors, int ntensors, PwFetch fetch,
                          void *context);

#endif
