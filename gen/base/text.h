/* text: a growing string, and the numbers in it the same in every locale. */
#ifndef PIPEWRIGHT_TEXT_H
#define PIPEWRIGHT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/base/region.h"

typedef struct Text {
    Region *region; /* owns `at` */
    char   *at;     /* always ends in 0, never NULL after text_new */
    size_t  length, room;
} Text;

Text text_new(Region *region);
void text_clear(Text *text);
void text_add(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_bytes(Text *text, const void *bytes, size_t count);

/* "1.5 MiB", "33 tokens" for people; exact when the number is short. */
const char *text_size(Region *region, int64_t bytes);
const char *text_seconds(Region *region, double seconds);

/* "1 sequence", "2 sequences": `what` is the word for one. */
const char *text_count(Region *region, int64_t count, const char *what);

/* A double that reads back to the same bits, in the C locale ("0.1", "1e-05"). */
const char *text_double(Region *region, double value);

/* The nearest of `names` (NULL-terminated) to a mistyped word, or NULL if none is near. */
const char *text_nearest(const char *word, const char *const *names);

bool text_ends(const char *text, const char *end);

/* For SVG and HTML: what would be markup is written as an entity. */
const char *text_markup(Region *region, const char *text);

/* "2K", "1.5 M", "300 tokens": the whole text or false. K, M and G are powers of 1,024: "2K" is
 * 2,048, as context lengths are written. */
bool text_to_tokens(const char *text, int64_t *tokens);

#endif
