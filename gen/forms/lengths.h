/* lengths: how many documents of each length, exact. An input in its own right, hashed.
 *   made by    stats, from a token set, an .idx alone, or a text file of lengths
 *   printed    as JSON, `pipewright-lengths-1`, which reads back:
 *     {"format": "pipewright-lengths-1", "name": "corpus", "source": "measured",
 *      "documents": 3, "tokens": 6022, "lengths": [[96, 1], [1830, 1], [4096, 1]]} */
#ifndef PIPEWRIGHT_LENGTHS_H
#define PIPEWRIGHT_LENGTHS_H

#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"
#include "gen/base/text.h"

typedef struct LengthCount {
    int64_t length, documents; /* tokens; how many documents have it                           */
} LengthCount;

typedef struct Lengths {
    const char  *name;
    const char  *source; /* "measured" or "modelled"                                           */
    LengthCount *counts; /* by length, rising                                                  */
    int          ncounts;
    int64_t      documents, tokens;
} Lengths;

Lengths *lengths_read(Region *region, const char *text, const char *name, Error *error);
void     lengths_print(const Lengths *lengths, Text *out);
Lengths *lengths_count(Region *region, const int64_t *length, int64_t documents, const char *name);
int64_t  lengths_quantile(const Lengths *lengths, double share); /* of documents */

#endif
