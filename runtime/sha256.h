/* sha256: FIPS 180-4, because an artifact has no library. Always 64 small hexadecimal digits. */
#ifndef PW_SHA256_H
#define PW_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct PwSha256 {
    uint32_t      state[8];
    uint64_t      bytes; /* taken in so far                                                    */
    unsigned char block[64];
} PwSha256;

void pw_sha256_start(PwSha256 *hash);
void pw_sha256_add(PwSha256 *hash, const void *bytes, size_t count);
void pw_sha256_finish(PwSha256 *hash, char hexadecimal[65]);
void pw_sha256(const void *bytes, size_t count, char hexadecimal[65]);

#endif
