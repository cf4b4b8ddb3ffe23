/* sha256.h - SHA-256 of bytes in memory. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H
#include <stddef.h>

/* 64 lower-case hexadecimal digits and a final 0. */
void sha256_hex(const void *bytes, size_t size, char out[65]);

#endif
