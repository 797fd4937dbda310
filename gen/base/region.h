/* region: memory that is freed all at once.
 * A Region lives as long as a job or as one step; passes allocate from it and nobody frees. */
#ifndef PIPEWRIGHT_REGION_H
#define PIPEWRIGHT_REGION_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Region Region;

Region *region_new(void);
void    region_free(Region *region); /* NULL is allowed */

/* Zeroed memory, aligned to 16 bytes; never NULL: running out of memory ends the process with
 * status 1 and a message. */
void *region_alloc(Region *region, size_t bytes) __attribute__((returns_nonnull));
char *region_copy(Region *region, const char *text);
char *region_format(Region *region, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));

#define REGION_NEW(region, type) ((type *)region_alloc(region, sizeof(type)))
#define REGION_ARRAY(region, type, count)                                                          \
    ((type *)region_alloc(region, sizeof(type) * (size_t)(count)))

/* Appends one element to a growing array in a region. `array`, `count` and `room` are lvalues;
 * growing leaves the old copy to the region. */
#define REGION_APPEND(region, array, count, room, element)                                         \
    do {                                                                                           \
        if ((count) == (room)) {                                                                   \
            (room)  = (room) ? 2 * (room) : 8;                                                     \
            (array) = region_grow(region, array, sizeof *(array) * (size_t)(count),                \
                                  sizeof *(array) * (size_t)(room));                               \
        }                                                                                          \
        (array)[(count)++] = (element);                                                            \
    } while (0)
void *region_grow(Region *region, const void *old, size_t old_bytes, size_t new_bytes)
    __attribute__((returns_nonnull));

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

#endif
