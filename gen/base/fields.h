/* fields: reads JSON strictly, as every form does that comes from a file or a policy: an unknown
 * field, a missing one or one of another type is an error of the user's input that names it by its
 * path ("chunks[2].segments[0]"). */
#ifndef PIPEWRIGHT_FIELDS_H
#define PIPEWRIGHT_FIELDS_H

#include <jansson.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* Where in the tree we are; errors are reported once, the first one wins. */
typedef struct Fields {
    Region       *region;
    const json_t *object;
    const char   *file; /* what messages begin with                          */
    const char   *path; /* of `object`; "" at the top                        */
    Error        *error;
} Fields;

/* Parses a whole text; duplicates are refused. The caller gives it back with json_decref. */
json_t *fields_parse(const char *text, const char *file, Error *error);

/* The message of a wrong field: found what it is, expected what it should be. */
bool fields_wrong(const Fields *at, const char *name, const json_t *found, const char *expected);

/* Every field of the object is one of `names` (NULL-terminated). */
bool fields_known(const Fields *at, const char *const *names);

/* The object's field, or NULL where it is absent. */
const json_t *fields_get(const Fields *at, const char *name);

/* Each needs the field to be there, and of that type. */
bool fields_whole(const Fields *at, const char *name, int64_t least, int64_t most, int64_t *value);
bool fields_number(const Fields *at, const char *name, double *value); /* finite */
bool fields_text(const Fields *at, const char *name, const char **value);
bool fields_list(const Fields *at, const char *name, const json_t **list);

/* Going down: the object that is the field's element `i`. */
bool fields_object(const Fields *at, const char *name, size_t i, const json_t *list, Fields *below);

#endif
