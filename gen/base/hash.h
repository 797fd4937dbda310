/* hash: SHA-256, from nettle; always 64 small hexadecimal digits. */
#ifndef PIPEWRIGHT_HASH_H
#define PIPEWRIGHT_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* The same piece by piece. */
typedef struct Hash Hash;
Hash               *hash_start(Region *region);
void                hash_add(Hash *hash, const void *bytes, size_t count);
char               *hash_end(Region *region, Hash *hash);

char *hash_bytes(Region *region, const void *bytes, size_t count);
char *hash_file(Region *region, const char *path, Error *error); /* NULL on error */

#endif
