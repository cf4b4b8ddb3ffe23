/* sha256.c - SHA-256 by nettle. */
#include "sha256.h"
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>

void sha256_hex(const void *bytes, size_t size, char out[65])
{
    struct sha256_ctx state;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&state);
    sha256_update(&state, size, bytes);
    sha256_digest(&state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
