/* tokens: Megatron's index (reference: its IndexedDataset). The arrays after the header are not
 * aligned: they are read by memcpy. All checks are made once, in O(documents), without overflow. */
#include "runtime/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 34, U8 = 1, I8 = 2, I16 = 3, I32 = 4, I64 = 5, U16 = 8 };

static const int token_sizes[] = {[U8] = 1, [I8] = 1, [I16] = 2, [I32] = 4, [I64] = 8, [U16] = 2};

/* A mapped file that somebody cut short answers with SIGBUS. The handler knows the maps. */
enum { NGUARDED = 3 };
static const PwTokenFile *guarded[NGUARDED];

static void on_bus_error(int number, siginfo_t *information, void *context)
{
    static const char    said[] = ": the file became shorter while it was read\n";
    const unsigned char *at     = information->si_addr;
    (void)context;
    for (int i = 0; i < NGUARDED; i++) {
        const PwTokenFile *file = guarded[i];
        if (!file || !file->at || at < file->at || at >= file->at + file->bytes)
            continue;
        if (write(STDERR_FILENO, file->path, strlen(file->path)) < 0 ||
            write(STDERR_FILENO, said, sizeof said - 1) < 0)
            _exit(PW_EXIT_FAILED);
        _exit(PW_EXIT_INPUT);
    }
    signal(number, SIG_DFL);
}

static void guard_files(const PwTokens *tokens)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    guarded[0]              = &tokens->index;
    guarded[1]              = &tokens->data;
    guarded[2]              = &tokens->prompt;
    sigaction(SIGBUS, &action, NULL);
}

static bool map_file(PwTokenFile *file, const char *prefix, const char *suffix, bool optional,
                     PwError *error)
{
    struct stat status;
    int         length = snprintf(file->path, sizeof file->path, "%s%s", prefix, suffix);
    if (length >= (int)sizeof file->path)
        return pw_input(error, "%.200s...: the path is too long", prefix);
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && optional && errno == ENOENT)
        return true;
    if (descriptor < 0)
        return pw_input(error, "%s: %s", file->path, strerror(errno));
    bool  plain = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    void *map   = NULL;
    if (plain && status.st_size > 0)
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (!plain || map == MAP_FAILED)
        return pw_input(error, "%s: %s", file->path, plain ? strerror(errno) : "not a plain file");
    file->at      = map;
    file->bytes   = status.st_size;
    file->changed = status.st_mtim;
    return true;
}

static int64_t read_int64(const unsigned char *at)
{
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int64_t sequence_length(const PwTokens *tokens, int64_t sequence)
{
    int32_t length;
    memcpy(&length, tokens->index.at + HEADER + 4 * sequence, sizeof length);
    return length;
}

static int64_t sequence_offset(const PwTokens *tokens, int64_t sequence)
{
    return read_int64(tokens->index.at + HEADER + 4 * tokens->nsequences + 8 * sequence);
}

/* Document d is sequences [first(d), first(d + 1)). */
static int64_t first_sequence(const PwTokens *tokens, int64_t document)
{
    return read_int64(tokens->index.at + HEADER + 12 * tokens->nsequences + 8 * document);
}

static bool check_header(PwTokens *tokens, PwError *error)
{
    const unsigned char *at    = tokens->index.at;
    const char          *path  = tokens->index.path;
    int64_t              bytes = tokens->index.bytes;
    if (bytes < HEADER || memcmp(at, "MMIDIDX\0", 9) != 0 || read_int64(at + 9) != 1)
        return pw_input(error, "%s: not a Megatron index of version 1", path);
    tokens->type = at[17];
    if ((size_t)tokens->type >= sizeof token_sizes / sizeof *token_sizes ||
        token_sizes[tokens->type] == 0)
        return pw_input(error, "%s: tokens of type %d; whole numbers expected", path, tokens->type);
    tokens->size      = token_sizes[tokens->type];
    int64_t sequences = read_int64(at + 18), entries = read_int64(at + 26);
    if (sequences < 0 || sequences > bytes / 12 || entries < 1 || entries > bytes / 8)
        return pw_input(error, "%s: %lld sequences and %lld documents do not fit into %lld bytes",
                        path, (long long)sequences, (long long)(entries - 1), (long long)bytes);
    int64_t needed = HEADER + 12 * sequences + 8 * entries;
    if (bytes != needed && bytes != needed + sequences)
        return pw_input(error, "%s: %lld bytes, its header says %lld", path, (long long)bytes,
                        (long long)needed);
    tokens->nsequences = sequences;
    tokens->ndocuments = entries - 1;
    return true;
}

static bool check_sequences(const PwTokens *tokens, PwError *error)
{
    for (int64_t i = 0; i < tokens->nsequences; i++) {
        int64_t length = sequence_length(tokens, i), offset = sequence_offset(tokens, i);
        if (length < 0 || offset < 0 || offset % tokens->size || offset > tokens->data.bytes ||
            length > (tokens->data.bytes - offset) / tokens->size)
            return pw_input(error, "%s: sequence %lld, %lld tokens from byte %lld, lies outside %s",
                            tokens->index.path, (long long)i, (long long)length, (long long)offset,
                            tokens->data.path);
    }
    return true;
}

static bool check_documents(const PwTokens *tokens, PwError *error)
{
    int64_t before = first_sequence(tokens, 0);
    if (before != 0 || first_sequence(tokens, tokens->ndocuments) != tokens->nsequences)
        return pw_input(error, "%s: the documents do not go from the first sequence to the last",
                        tokens->index.path);
    for (int64_t document = 1; document <= tokens->ndocuments; document++) {
        int64_t first = first_sequence(tokens, document);
        if (first < before)
            return pw_input(error, "%s: document %lld ends before it begins", tokens->index.path,
                            (long long)(document - 1));
        before = first;
    }
    return true;
}

bool pw_tokens_open(PwTokens *tokens, const char *prefix, int64_t vocabulary, PwError *error)
{
    *tokens = (PwTokens){.vocabulary = vocabulary};
    if (!map_file(&tokens->index, prefix, ".idx", false, error) ||
        !map_file(&tokens->data, prefix, ".bin", false, error) ||
        !map_file(&tokens->prompt, prefix, ".prompt", true, error))
        return false;
    guard_files(tokens);
    if (!check_header(tokens, error) || !check_sequences(tokens, error) ||
        !check_documents(tokens, error))
        return false;
    if (tokens->prompt.at && tokens->prompt.bytes != 8 * tokens->ndocuments)
        return pw_input(error, "%s: %lld bytes for %lld documents, 8 for each expected",
                        tokens->prompt.path, (long long)tokens->prompt.bytes,
                        (long long)tokens->ndocuments);
    return true;
}

static bool check_file(const PwTokenFile *file, PwError *error)
{
    struct stat status;
    if (!file->at)
        return true;
    if (stat(file->path, &status) != 0)
        return pw_input(error, "%s: %s", file->path, strerror(errno));
    if (status.st_size != file->bytes || status.st_mtim.tv_sec != file->changed.tv_sec ||
        status.st_mtim.tv_nsec != file->changed.tv_nsec)
        return pw_input(error, "%s: the file changed while it was used", file->path);
    return true;
}

bool pw_tokens_check(const PwTokens *tokens, PwError *error)
{
    return check_file(&tokens->index, error) && check_file(&tokens->data, error) &&
           check_file(&tokens->prompt, error);
}

static void unmap_file(PwTokenFile *file)
{
    if (file->at)
        munmap((void *)file->at, (size_t)file->bytes);
    file->at = NULL;
}

void pw_tokens_close(PwTokens *tokens)
{
    memset(guarded, 0, sizeof guarded);
    unmap_file(&tokens->index);
    unmap_file(&tokens->data);
    unmap_file(&tokens->prompt);
}

static int64_t token_at(const PwTokens *tokens, const unsigned char *at)
{
    uint16_t u16;
    int16_t  i16;
    int32_t  i32;
    switch (tokens->type) {
    case U8:
        return *at;
    case I8:
        return (int8_t)*at;
    case U16:
        return memcpy(&u16, at, 2), u16;
    case I16:
        return memcpy(&i16, at, 2), i16;
    case I32:
        return memcpy(&i32, at, 4), i32;
    default:
        return read_int64(at);
    }
}

typedef struct Cursor { /* a place in a document                                               */
    int64_t sequence, past; /* of its sequences                                                */
    int64_t within;         /* token of that sequence                                          */
} Cursor;

/* The next token, or -1 at the document's end. */
static int64_t next_token(const PwTokens *tokens, int64_t document, Cursor *cursor)
{
    while (cursor->sequence < cursor->past &&
           cursor->within >= sequence_length(tokens, cursor->sequence)) {
        cursor->within -= sequence_length(tokens, cursor->sequence);
        cursor->sequence++;
    }
    if (cursor->sequence == cursor->past)
        return -1;
    int64_t token = token_at(tokens, tokens->data.at + sequence_offset(tokens, cursor->sequence) +
                                         cursor->within++ * tokens->size);
    if (token < 0 || token >= tokens->vocabulary)
        pw_die(PW_EXIT_INPUT, "%s: document %lld: token %lld is outside the vocabulary of %lld",
               tokens->data.path, (long long)document, (long long)token,
               (long long)tokens->vocabulary);
    return token;
}

static void read_typed(const PwTokens *tokens, int64_t start, int64_t count, int32_t *inputs,
                       int32_t *targets, float *weights)
{
    if (start + count > tokens->ntyped)
        pw_die(PW_EXIT_INPUT, "the prompt has %lld tokens, the program reads %lld",
               (long long)tokens->ntyped, (long long)(start + count));
    for (int64_t i = 0; i < count; i++) {
        if (inputs)
            inputs[i] = tokens->typed_prompt[start + i];
        if (targets)
            targets[i] = 0;
        if (weights)
            weights[i] = 0;
    }
}

void pw_tokens_read(const PwTokens *tokens, int64_t document, int64_t start, int64_t count,
                    int32_t *inputs, int32_t *targets, float *weights)
{
    if (document < 0) {
        read_typed(tokens, start, count, inputs, targets, weights);
        return;
    }
    if (document >= tokens->ndocuments)
        pw_die(PW_EXIT_INPUT, "%s: document %lld is wanted, it has %lld", tokens->index.path,
               (long long)document, (long long)tokens->ndocuments);
    int64_t prompt = tokens->prompt.at ? read_int64(tokens->prompt.at + 8 * document) : 0;
    Cursor cursor = {first_sequence(tokens, document), first_sequence(tokens, document + 1), start};
    int64_t token = next_token(tokens, document, &cursor);
    for (int64_t i = 0; i < count; i++) {
        if (token < 0)
            pw_die(PW_EXIT_INPUT, "%s: document %lld has no token %lld", tokens->index.path,
                   (long long)document, (long long)(start + i));
        if (inputs)
            inputs[i] = (int32_t)token;
        token = next_token(tokens, document, &cursor);
        if (targets)
            targets[i] = token < 0 ? 0 : (int32_t)token;
        if (weights)
            weights[i] = token >= 0 && start + i + 1 >= prompt ? 1.0f : 0.0f;
    }
}
