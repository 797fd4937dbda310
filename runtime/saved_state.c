/* saved_state: the leader writes; the order of operations is what makes it safe: files and their
 * syncs, the manifest and its sync, the folder's, the rename, the parent's; `latest` for people;
 * removal of older ones last. After any prefix of it the old state or the new one is whole. */
#include "runtime/saved_state.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/json.h"
#include "runtime/safetensors.h"
#include "runtime/weights.h"

enum { NFILES = 3, MANIFEST_LIMIT = 1 << 20 };

#define FORMAT "pipewright-state-1"

/* By PwValues. */
static const char *const file_names[NFILES] = {"master.safetensors", "moment1.safetensors",
                                               "moment2.safetensors"};

#if defined(__AVX512F__)
#define KERNEL_CLASS "avx512"
#elif defined(__AVX2__) && defined(__FMA__)
#define KERNEL_CLASS "avx2 fma"
#elif defined(__aarch64__)
#define KERNEL_CLASS "aarch64"
#else
#define KERNEL_CLASS "plain"
#endif

const char *pw_toolchain(void)
{
#ifdef __clang__
    return "clang " __clang_version__ ", " KERNEL_CLASS;
#else
    return "gcc " __VERSION__ ", " KERNEL_CLASS;
#endif
}

typedef struct WrittenFile {
    char    hash[65];
    int64_t bytes;
} WrittenFile;

static bool write_files(const PwTeam *team, const char *folder, WrittenFile written[NFILES],
                        PwError *error)
{
    for (int file = 0; file < NFILES; file++) {
        char path[PW_PATH_MAX];
        if (!pw_disk_join(path, folder, file_names[file], error) ||
            !pw_tensors_write(team, (PwValues)file, path, written[file].hash, &written[file].bytes,
                              error))
            return false;
    }
    return true;
}

static void add_member(PwJsonText *text, const char *key, const char *value)
{
    pw_json_add(text, "  \"%s\": ", key);
    pw_json_add_string(text, value);
    pw_json_add(text, ",\n");
}

static void add_fields(PwJsonText *text, const PwJob *job)
{
    pw_json_add(text, "  \"fields\": {\n");
    for (int i = 0; i < job->nfields; i++) {
        pw_json_add(text, "    ");
        pw_json_add_string(text, job->fields[i].name);
        pw_json_add(text, ": ");
        pw_json_add_string(text, job->fields[i].value);
        pw_json_add(text, "%s\n", i < job->nfields - 1 ? "," : "");
    }
    pw_json_add(text, "  },\n");
}

/* Who reads it takes no more: the state would be lost, and seem to be saved. */
static bool too_long(const char *path, size_t bytes, PwError *error)
{
    return pw_fail(error,
                   "%s: not written: found %zu bytes, expected at most %d; shorten the fields of "
                   "the job, the policy's options first",
                   path, bytes, MANIFEST_LIMIT);
}

static bool write_manifest(const PwJob *job, const char *folder, const PwSavedState *state,
                           const WrittenFile written[NFILES], PwError *error)
{
    PwJsonText text = {0};
    PwDiskFile file;
    char       path[PW_PATH_MAX], hash[65];
    pw_json_add(&text,
                "{\n  \"format\": \"" FORMAT "\",\n  \"step\": %lld,\n  \"position\": %lld,\n",
                (long long)state->step, (long long)state->position);
    add_member(&text, "job_hash", job->job_hash);
    add_member(&text, "code_hash", job->code_hash);
    add_member(&text, "data_hash", job->data_hash);
    add_member(&text, "tokens_hash", state->tokens_hash);
    add_member(&text, "toolchain", pw_toolchain());
    add_fields(&text, job);
    pw_json_add(&text, "  \"files\": [\n");
    for (int i = 0; i < NFILES; i++)
        pw_json_add(&text, "    {\"name\": \"%s\", \"bytes\": %lld, \"sha256\": \"%s\"}%s\n",
                    file_names[i], (long long)written[i].bytes, written[i].hash,
                    i < NFILES - 1 ? "," : "");
    pw_json_add(&text, "  ]\n}\n");
    bool good = pw_disk_join(path, folder, "manifest.json", error) &&
                (text.length <= MANIFEST_LIMIT || too_long(path, text.length, error)) &&
                pw_disk_create(&file, path, (int64_t)text.length, error);
    if (good && !pw_disk_write(&file, text.at, (int64_t)text.length, error)) {
        pw_disk_abandon(&file);
        good = false;
    }
    free(text.at);
    return good && pw_disk_finish(&file, hash, error);
}

/* "step-120" -> 120; -1: another name. */
static int64_t step_of(const char *name)
{
    char     *end;
    long long step = strncmp(name, "step-", 5) == 0 ? strtoll(name + 5, &end, 10) : -1;
    return step >= 0 && name[5] >= '0' && name[5] <= '9' && *end == 0 ? step : -1;
}

static int newest_first(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one < other) - (one > other);
}

typedef struct StateList {
    int64_t *steps; /* [count], newest first; freed by the one who asked                          */
    size_t   count, room;
} StateList;

static bool add_step(StateList *list, int64_t step)
{
    if (list->count == list->room) {
        size_t   room  = list->room ? 2 * list->room : 64;
        int64_t *steps = realloc(list->steps, room * sizeof *steps);
        if (!steps)
            return false;
        list->steps = steps;
        list->room  = room;
    }
    list->steps[list->count++] = step;
    return true;
}

/* The states that are there. A folder that is not there has none; one that cannot be read must not
 * look like it: the run would begin anew. */
static bool list_states(const char *states, StateList *list, PwError *error)
{
    DIR *folder = opendir(states);
    bool good   = true;
    *list       = (StateList){0};
    if (!folder && errno == ENOENT)
        return true;
    if (!folder)
        return (errno == ENOTDIR ? pw_input : pw_fail)(error, "%s: cannot be read: %s", states,
                                                       strerror(errno));
    errno = 0; /* readdir leaves it where nothing more is there, and the run would begin anew */
    for (struct dirent *entry; good && (entry = readdir(folder));)
        if (step_of(entry->d_name) >= 0)
            good = add_step(list, step_of(entry->d_name));
    int code = errno;
    closedir(folder);
    if (!good || code)
        return pw_fail(error, "%s: cannot be listed: %s", states, strerror(code));
    if (list->count > 0)
        qsort(list->steps, list->count, sizeof *list->steps, newest_first);
    return true;
}

static bool state_path(char path[PW_PATH_MAX], const char *states, int64_t step, PwError *error)
{
    char name[40];
    snprintf(name, sizeof name, "step-%lld", (long long)step);
    return pw_disk_join(path, states, name, error);
}

/* After a save: the newest ones stay, and every K-th. States beyond `before`, where the run stood
 * until now, did not hold, or it would have gone on from them. They do not count as kept; those
 * that the run has passed now go, those still ahead of it stay for who wants to look at them. What
 * cannot be removed is reported and stays: the new state is whole. */
static void remove_old(const PwJob *job, const char *states, int64_t before, int64_t saved)
{
    PwError   error = {{0}, 0};
    StateList list;
    int64_t   every = job->save_every * job->save_keep_every, hold = 0;
    bool      good = list_states(states, &list, &error);
    for (size_t i = 0; good && i < list.count; i++) {
        char    path[PW_PATH_MAX];
        int64_t step = list.steps[i];
        bool    held = step == saved || step <= before;
        if (step > saved || (held && (hold++ < job->save_keep || (every > 0 && step % every == 0))))
            continue;
        good = state_path(path, states, step, &error) && pw_disk_remove_folder(path, &error);
    }
    free(list.steps);
    if (!good)
        fprintf(stderr, "an older state stays: %s\n", error.text);
}

/* Folders of saves that did not end: "step-120.tmp". The run's lock is ours, so nobody writes them
 * now. To ask whether their process lives would not do: one that was killed is there until its
 * parent has asked for its end, and its number may be another's by then. */
static bool remove_leftovers(const char *states, PwError *error)
{
    bool good   = true;
    DIR *folder = opendir(states);
    if (!folder)
        return true;
    for (struct dirent *entry; good && (entry = readdir(folder));) {
        char path[PW_PATH_MAX];
        if (strncmp(entry->d_name, "step-", 5) == 0 && strstr(entry->d_name, ".tmp"))
            good = pw_disk_join(path, states, entry->d_name, error) &&
                   pw_disk_remove_folder(path, error);
    }
    closedir(folder);
    return good;
}

/* A state of this step may be there: it did not hold, or it would have been gone on from. */
static bool move_into_place(const char *states, const char *beside, PwSavedState *saved,
                            PwError *error)
{
    char latest[40];
    snprintf(latest, sizeof latest, "step-%lld\n", (long long)saved->step);
    return state_path(saved->folder, states, saved->step, error) &&
           pw_disk_remove_folder(saved->folder, error) &&
           pw_disk_rename(beside, saved->folder, error) && pw_disk_sync_folder(states, error) &&
           pw_disk_replace(states, "latest", latest, error);
}

static bool write_state(const PwTeam *team, const char *run, PwSavedState *saved,
                        const PwSavedState *newest, PwError *error)
{
    const PwJob *job = team->job;
    WrittenFile  written[NFILES];
    char         states[PW_PATH_MAX], beside[PW_PATH_MAX], name[80];
    snprintf(saved->tokens_hash, sizeof saved->tokens_hash, "%s",
             team->workers[0].tokens ? team->workers[0].tokens->hash : "");
    snprintf(name, sizeof name, "step-%lld.tmp", (long long)saved->step);
    bool good = pw_disk_join(states, run, "states", error) && pw_disk_make_folder(states, error) &&
                remove_leftovers(states, error) && pw_disk_join(beside, states, name, error) &&
                pw_disk_make_folder(beside, error) && write_files(team, beside, written, error) &&
                write_manifest(job, beside, saved, written, error) &&
                pw_disk_sync_folder(beside, error) && move_into_place(states, beside, saved, error);
    if (!good)
        return false;
    remove_old(job, states, newest->step, saved->step);
    snprintf(saved->hash, sizeof saved->hash, "%s", written[0].hash);
    return true;
}

bool pw_state_save(const PwTeam *team, const char *run, int64_t step, int64_t position,
                   PwSavedState *newest, PwError *error)
{
    WrittenFile  elsewhere[NFILES];
    PwSavedState saved = {.step = step, .position = position};
    bool         good  = pw_leads(team->transport) ? write_state(team, run, &saved, newest, error)
                                                   : write_files(team, "", elsewhere, error);
    if (!good)
        return false;
    pw_share(team->transport, 0, &saved, sizeof saved); /* all go on when it is there */
    *newest = saved;
    return true;
}

static bool check_file(const char *folder, const PwJson *entry, PwError *error)
{
    char        path[PW_PATH_MAX], hash[65];
    int64_t     bytes, expected;
    const char *name = pw_json_text(entry, "name"), *sum = pw_json_text(entry, "sha256");
    if (!name || !sum || !pw_json_integer(entry, "bytes", &expected) || strchr(name, '/'))
        return pw_input(error, "%s/manifest.json: files: name, bytes, sha256 expected", folder);
    if (!pw_disk_join(path, folder, name, error) || !pw_disk_hash(path, hash, &bytes, error))
        return false;
    return (bytes == expected && strcmp(hash, sum) == 0) ||
           pw_input(error, "%s: its size or SHA-256 is not what the manifest says", path);
}

static bool check_files(const char *folder, const PwJson *files, PwSavedState *saved,
                        PwError *error)
{
    if (!files || files->kind != PW_JSON_ARRAY || files->count != NFILES)
        return pw_input(error, "%s/manifest.json: files: %d expected", folder, NFILES);
    int i = 0;
    for (const PwJson *entry = files->first; entry && i < NFILES; entry = entry->next, i++) {
        const char *name = pw_json_text(entry, "name");
        if (!name || strcmp(name, file_names[i]) != 0)
            return pw_input(error, "%s/manifest.json: files: %s expected", folder, file_names[i]);
        if (!check_file(folder, entry, error))
            return false;
    }
    snprintf(saved->hash, sizeof saved->hash, "%s", pw_json_text(files->first, "sha256"));
    return true;
}

/* Adds it to the text `to`, as much as fits. Whoever can write a manifest must not be able to write
 * to the terminal that its texts come to: control bytes are told as numbers. */
static void add_shown(char *to, size_t room, const char *text)
{
    size_t used = strlen(to);
    for (; *text && used + 1 < room; text++) {
        unsigned char byte  = (unsigned char)*text;
        bool          plain = byte >= 32 && byte != 127;
        used += (size_t)snprintf(to + used, room - used, plain ? "%c" : "\\x%02x", byte);
    }
}

/* NULL: it does not say. */
static void add_change(PwSavedState *saved, const char *name, const char *before, const char *now)
{
    const char *parts[] = {
        saved->changes[0] ? "; " : "", name,  ": ", before ? before : "nothing", " before, ",
        now ? now : "nothing",         " now"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        add_shown(saved->changes, sizeof saved->changes, parts[i]);
}

static const char *field_of(const PwJob *job, const char *name)
{
    for (int i = 0; i < job->nfields; i++)
        if (strcmp(job->fields[i].name, name) == 0)
            return job->fields[i].value;
    return NULL;
}

/* False: what stands there are no fields. */
static bool compare_fields(const PwJob *job, const PwJson *fields, PwSavedState *saved)
{
    saved->tells      = fields != NULL;
    saved->changes[0] = 0;
    if (!fields)
        return true;
    if (fields->kind != PW_JSON_OBJECT)
        return false;
    for (int i = 0; i < job->nfields; i++) {
        const char *before = pw_json_text(fields, job->fields[i].name);
        if (!before || strcmp(before, job->fields[i].value) != 0)
            add_change(saved, job->fields[i].name, before, job->fields[i].value);
    }
    for (const PwJson *field = fields->first; field; field = field->next)
        if (!field_of(job, field->key))
            add_change(saved, field->key, field->text, NULL);
    return true;
}

/* The manifest of step `step`, as its folder is named. `job_hash` is that of the state: whoever
 * goes on with it must be of the same job. */
static bool read_manifest(const PwJob *job, const char *folder, int64_t step, PwSavedState *saved,
                          char job_hash[80], PwError *error)
{
    char    path[PW_PATH_MAX];
    int64_t length;
    if (!pw_disk_join(path, folder, "manifest.json", error))
        return false;
    char   *text = pw_disk_read(path, MANIFEST_LIMIT, &length, error);
    PwJson *root = text ? pw_json_read(text, (size_t)length, path, error) : NULL;
    free(text);
    if (!root)
        return false;
    const char *format = pw_json_text(root, "format"), *hash = pw_json_text(root, "job_hash");
    const char *code = pw_json_text(root, "code_hash"), *tools = pw_json_text(root, "toolchain");
    const char *tokens = pw_json_text(root, "tokens_hash");
    bool        good = (format && strcmp(format, FORMAT) == 0 && hash && code && tools && tokens &&
                 pw_json_integer(root, "step", &saved->step) &&
                 pw_json_integer(root, "position", &saved->position)) ||
                pw_input(error, "%s: not a manifest of " FORMAT, path);
    if (good && saved->step != step)
        good = pw_input(error, "%s: step: found %lld, expected %lld, as its folder is named", path,
                        (long long)saved->step, (long long)step);
    if (good) {
        job_hash[0] = saved->toolchain[0] = 0;
        add_shown(job_hash, 80, hash);
        add_shown(saved->toolchain, sizeof saved->toolchain, tools);
        snprintf(saved->code_hash, sizeof saved->code_hash, "%s", code);
        snprintf(saved->tokens_hash, sizeof saved->tokens_hash, "%s", tokens);
        snprintf(saved->folder, sizeof saved->folder, "%s", folder);
        good = (compare_fields(job, pw_json_member(root, "fields"), saved) ||
                pw_input(error, "%s: fields: an object expected", path)) &&
               check_files(folder, pw_json_member(root, "files"), saved, error);
    }
    free(root);
    return good;
}

/* The first state of the list that holds. One that could not be read may hold all the same, and
 * where none holds a run that begins anew would remove them: both are errors. */
static bool first_that_holds(const PwJob *job, const char *states, const StateList *list,
                             PwSavedState *saved, char job_hash[80], bool *found, PwError *error)
{
    PwError why, newest = {{0}, 0};
    for (size_t i = 0; i < list->count; i++) {
        char folder[PW_PATH_MAX];
        if (!state_path(folder, states, list->steps[i], error))
            return false;
        if (read_manifest(job, folder, list->steps[i], saved, job_hash, &why))
            return *found = true;
        if (why.status != PW_EXIT_INPUT)
            return *error = why, false;
        fprintf(stderr, "%s is passed over: %s\n", folder, why.text);
        if (i == 0)
            newest = why;
    }
    return list->count == 0 ||
           pw_input(error,
                    "%s: no saved state there holds (the newest: %s); to begin at step 0, move "
                    "them away or choose another --out",
                    states, newest.text);
}

static bool another_job(const PwJob *job, const PwSavedState *saved, const char *job_hash,
                        PwError *error)
{
    char hashes[200] = "";
    if (!saved->changes[0])
        snprintf(hashes, sizeof hashes,
                 "it does not say what differs, only its hash (%.16s; this trainer's is %.16s)",
                 job_hash, job->job_hash);
    return pw_input(error,
                    "%s was saved by another job: %s%s; model, data, batch and seed must be the "
                    "same to go on from it: put them back, or choose another --out",
                    saved->folder, saved->changes, hashes);
}

bool pw_state_find(const PwJob *job, const char *run, PwSavedState *saved, bool *found,
                   PwError *error)
{
    StateList list;
    char      states[PW_PATH_MAX], job_hash[80];
    *found = false;
    *saved = (PwSavedState){0};
    if (!pw_disk_join(states, run, "states", error) || !list_states(states, &list, error))
        return false;
    bool good = first_that_holds(job, states, &list, saved, job_hash, found, error);
    free(list.steps);
    if (*found && strcmp(job_hash, job->job_hash) != 0)
        return another_job(job, saved, job_hash, error);
    if (!*found)
        *saved = (PwSavedState){0};
    return good;
}

static bool load_file(PwTeam *team, const char *folder, int file, PwError *error)
{
    PwSafetensors stored;
    char          path[PW_PATH_MAX];
    const char   *dtype = sizeof(real) == 4 ? "F32" : "F64";
    if (!pw_disk_join(path, folder, file_names[file], error) ||
        !pw_safetensors_open(&stored, path, error))
        return false;
    bool good = true;
    for (int i = 0; i < team->job->ntensors && good; i++) {
        const PwTensor       *tensor   = &team->job->tensors[i];
        const PwStoredTensor *found    = pw_safetensors_find(&stored, tensor->name);
        int64_t               elements = tensor->rows * (tensor->columns > 1 ? tensor->columns : 1);
        good = found && found->elements == elements && strcmp(found->dtype, dtype) == 0;
        if (good && pw_is_mine(team->transport, tensor->rank))
            memcpy(pw_tensor_values(team, tensor, (PwValues)file), found->data,
                   (size_t)elements * sizeof(real));
        if (!good)
            pw_input(error, "%s: no tensor \"%s\" of %lld elements of %s", path, tensor->name,
                     (long long)elements, dtype);
    }
    pw_safetensors_close(&stored);
    return good;
}

bool pw_state_load(PwTeam *team, const PwSavedState *saved, bool only_weights, PwError *error)
{
    for (int file = 0; file < (only_weights ? 1 : NFILES); file++)
        if (!load_file(team, saved->folder, file, error))
            return false;
    return true;
}
