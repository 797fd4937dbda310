/* sandbox_frames: what a sandbox's child tells its parent: a kind, a length, bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/host/sandbox_child.h"

enum { FRAME_BYTES_MAX = 64 << 20 };

typedef struct FrameHead {
    uint32_t kind, length;
} FrameHead;

static void send_bytes(const Child *child, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = write(child->pipe, at, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(EXIT_FAILED);
        at += written;
        count -= (size_t)written;
    }
}

void frame_send(const Child *child, FrameKind kind, const char *bytes, size_t count)
{
    FrameHead head = {.kind = kind, .length = (uint32_t)count};
    send_bytes(child, &head, sizeof head);
    send_bytes(child, bytes, count);
}

_Noreturn void frame_end(const Child *child, FrameKind kind, const char *message)
{
    json_t *error = json_pack("{s:s}", "text", message);
    char   *text  = error ? json_dumps(error, JSON_COMPACT) : NULL;
    if (text)
        frame_send(child, kind, text, strlen(text));
    _exit(0);
}

/* False at the end of the pipe. */
static bool read_whole(int pipe, void *bytes, size_t count)
{
    char *at = bytes;
    while (count > 0) {
        ssize_t got = read(pipe, at, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        count -= (size_t)got;
    }
    return true;
}

char *frame_read(int pipe, FrameKind *kind, size_t *length)
{
    FrameHead head;
    if (!read_whole(pipe, &head, sizeof head) || head.length > FRAME_BYTES_MAX)
        return NULL;
    char *bytes = calloc((size_t)head.length + 1, 1);
    if (bytes && !read_whole(pipe, bytes, head.length)) {
        free(bytes);
        return NULL;
    }
    *kind   = (FrameKind)head.kind;
    *length = head.length;
    return bytes;
}
