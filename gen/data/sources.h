/* sources: the files that a folder, a glob or a path stands for. */
#ifndef PIPEWRIGHT_SOURCES_H
#define PIPEWRIGHT_SOURCES_H

#include <stdint.h>

#include "gen/base/error.h"
#include "gen/base/region.h"

typedef struct Source {
    const char *path;
    int64_t     bytes, modified; /* modified: nanoseconds, as the file system has it            */
} Source;

typedef struct Sources {
    Source *files; /* [nfiles], by the bytes of their paths                                     */
    int64_t nfiles, room;
    int64_t bytes; /* of all                                                                    */
    int64_t links; /* symbolic links that were not followed                                     */
} Sources;

/* Folders are walked; names that begin with "." and symbolic links in them are left out. */
bool sources_find(Region *region, const char *path, Sources *sources, Error *error);

/* Of paths, sizes and times; `folder` is taken off the paths that begin with it, so that it does
 * not matter from where a job is named. */
const char *sources_hash(Region *region, const Sources *sources, const char *folder);

/* False, and an error, where the file is no longer what it was when it was found. */
bool source_unchanged(const Source *source, Error *error);

#endif
