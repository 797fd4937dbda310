/* disk: every operation that a saved state is made of, one function each, so that a test can let
 * the n-th fail, or end the process in front of it, for every n (the order in saved_state.c is only
 * right if the old or the new state is whole after any prefix of it). */
#ifndef PW_DISK_H
#define PW_DISK_H

#include <stdint.h>

#include "runtime/failure.h"
#include "runtime/sha256.h"

/* Tests: called before each operation; another errno than 0 makes the operation fail with it. */
extern int (*pw_disk_fault)(const char *operation, const char *path);

typedef struct PwDiskFile {
    int      descriptor;
    char     path[PW_PATH_MAX];
    int64_t  bytes; /* written so far                                                          */
    PwSha256 hash;  /* of them                                                                 */
} PwDiskFile;

bool pw_disk_create(PwDiskFile *file, const char *path, int64_t expected_bytes, PwError *error);
bool pw_disk_write(PwDiskFile *file, const void *bytes, int64_t count, PwError *error);
/* Synced and closed. After an error of the sync the file is lost and never tried again. */
bool pw_disk_finish(PwDiskFile *file, char hash[65], PwError *error);
void pw_disk_abandon(PwDiskFile *file);

bool pw_disk_make_folder(const char *path, PwError *error);  /* there already: good */
bool pw_disk_make_folders(const char *path, PwError *error); /* with those that it lies in */
bool pw_disk_sync_folder(const char *path, PwError *error);
bool pw_disk_rename(const char *from, const char *to, PwError *error);
bool pw_disk_remove_folder(const char *path, PwError *error); /* of plain files; none: good */
/* A small file: written beside, synced, renamed, its folder synced. */
bool pw_disk_replace(const char *folder, const char *name, const char *text, PwError *error);

/* One trainer at a time writes in a folder: FOLDER/lock is held until `*descriptor` is closed, or
 * the process ends, however it ends. */
bool pw_disk_lock(const char *folder, int *descriptor, PwError *error);

/* A whole file of at most `limit` bytes, a 0 byte after the last; free() it. NULL on error. Both: a
 * file that is not there is wrong input, one that is and cannot be read a failure. */
char *pw_disk_read(const char *path, int64_t limit, int64_t *bytes, PwError *error);
bool  pw_disk_hash(const char *path, char hash[65], int64_t *bytes, PwError *error);

/* folder + "/" + name; a path that is too long is an error of the input. */
bool pw_disk_join(char path[PW_PATH_MAX], const char *folder, const char *name, PwError *error);

#endif
