/* hash: SHA-256 as text. */
#include "gen/base/hash.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

struct Hash {
    struct sha256_ctx context;
};

Hash *hash_start(Region *region)
{
    Hash *hash = REGION_NEW(region, Hash);
    sha256_init(&hash->context);
    return hash;
}

void hash_add(Hash *hash, const void *bytes, size_t count)
{
    sha256_update(&hash->context, count, bytes);
}

static char *digest_text(Region *region, struct sha256_ctx *context)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    char *text = region_alloc(region, 2 * sizeof digest + 1);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}

char *hash_end(Region *region, Hash *hash)
{
    return digest_text(region, &hash->context);
}

char *hash_bytes(Region *region, const void *bytes, size_t count)
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, count, bytes);
    return digest_text(region, &context);
}

char *hash_file(Region *region, const char *path, Error *error)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        error_input(error, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    struct sha256_ctx context;
    uint8_t           bytes[1 << 16];
    size_t            count;
    sha256_init(&context);
    while ((count = fread(bytes, 1, sizeof bytes, stream)) > 0)
        sha256_update(&context, count, bytes);
    int failed = ferror(stream) ? errno : 0;
    fclose(stream);
    if (failed) {
        error_input(error, "%s: cannot be read: %s", path, strerror(failed));
        return NULL;
    }
    return digest_text(region, &context);
}
