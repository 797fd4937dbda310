/* hash: SHA-256, from nettle; always 64 small hexadecimal digits. */
#ifndef PIPEWRIGHT_HASH_H
#define PIPEWRIGHT_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

char *hash_bytes(Region *region, const void *bytes, size_t count);
char *hash_file(Region *region, const char *path, Error *error); /* NULL on error */

#endif
