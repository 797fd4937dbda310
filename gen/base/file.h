/* file: whole files in, whole files out. What is written appears complete or not at all: it is
 * written beside, synced, renamed, and its folder synced. */
#ifndef PIPEWRIGHT_FILE_H
#define PIPEWRIGHT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

/* Reads a whole file of at most `limit` bytes; a 0 byte is added after the last. `length` may be
 * NULL. Missing, unreadable, or too large: error_input naming the file. */
char *file_read(Region *region, const char *path, size_t limit, size_t *length, Error *error);
bool  file_write(const char *path, const void *bytes, size_t count, Error *error);

/* The same, piece by piece, for what is larger than memory. A write or finish that fails has taken
 * the unfinished file away; a writer that stops early abandons it (twice does no harm). */
typedef struct FileOut {
    FILE *stream; /* NULL: finished or abandoned */
    char *path, *temporary, *folder;
} FileOut;
bool file_out_open(FileOut *out, Region *region, const char *path, Error *error);
bool file_out_write(FileOut *out, const void *bytes, size_t count, Error *error);
bool file_out_finish(FileOut *out, Error *error);
void file_out_abandon(FileOut *out);

/* The next line of a stream, with its end where it has one; of a line longer than `limit`, its
 * first limit + 1 bytes, and no more is read. False: there is none; ferror says whether it could
 * not be read. A line's memory, at first {0}, is the region's and serves the next one again. */
typedef struct FileLine {
    char  *at;
    size_t length, room;
} FileLine;
bool file_line(FILE *stream, Region *region, size_t limit, FileLine *line);

bool    file_make_folders(const char *path, Error *error); /* like mkdir -p */
bool    file_exists(const char *path);
bool    file_is_folder(const char *path);
bool    file_is_plain(const char *path);
int64_t file_size(const char *path); /* -1 if there is none */
bool    file_copy(const char *from, const char *to, Error *error);
bool    file_remove_tree(const char *path, Error *error);

/* The names in a folder, sorted by bytes, without "." and ".."; ends in NULL. */
char **file_names(Region *region, const char *folder, int *count, Error *error);

char       *path_join(Region *region, const char *folder, const char *name);
char       *path_folder(Region *region, const char *path); /* "a/b/c" -> "a/b", "c" -> "." */
const char *path_name(const char *path);                   /* "a/b/c" -> "c" */
char       *path_trim(Region *region, const char *path);   /* "a/b//" -> "a/b", "/" -> "/" */
/* "a/b.lua" without ".lua" -> "a/b"; what does not end so, or is nothing else, stays. */
char *path_without(Region *region, const char *path, const char *ending);

#endif
