/* bf16_emulated.h - the instructions that gemm_bf16.c is written with, in C: the tile registers of AMX and the dot product of
 * AVX512-BF16, so that what it does with them can be tested where they are missing.  Subnormal numbers count as zero.  A product of two
 * such numbers is exact in single precision, so that to add it rounds once, as the instructions do.
 */
#ifndef BF16_EMULATED_H
#define BF16_EMULATED_H
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float bf16_flushed(float x) { return fabsf(x) < 0x1p-126f ? 0.f : x; }

static inline float bf16_wide(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return bf16_flushed(x);
}

/* sum + a[0] b[0] + a[1] b[1] in each lane. */
static inline vf bf16_dot(vf sum, vi a, vi b)
{
    for (int i = 0; i < VW; i++)
        for (int h = 1; h >= 0; h--)
            sum[i] = bf16_flushed(bf16_wide((uint16_t)(a[i] >> 16 * h)) * bf16_wide((uint16_t)(b[i] >> 16 * h)) + sum[i]);
    return sum;
}

typedef struct bf16_shape { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } bf16_shape;
static _Thread_local bf16_shape tile_shape;
static _Thread_local uint8_t tile_memory[8][16][64];

static inline void _tile_loadconfig(const void *shape)
{
    memcpy(&tile_shape, shape, sizeof tile_shape);
    memset(tile_memory, 0, sizeof tile_memory);
}

static inline void _tile_release(void) { memset(&tile_shape, 0, sizeof tile_shape); }
static inline void _tile_zero(int t) { memset(tile_memory[t], 0, sizeof tile_memory[t]); }

static inline void _tile_loadd(int t, const void *from, int64_t step)
{
    _tile_zero(t);
    for (int i = 0; i < tile_shape.rows[t]; i++)
        memcpy(tile_memory[t][i], (const char *)from + i * step, tile_shape.bytes[t]);
}

static inline void _tile_stored(int t, void *to, int64_t step)
{
    for (int i = 0; i < tile_shape.rows[t]; i++)
        memcpy((char *)to + i * step, tile_memory[t][i], tile_shape.bytes[t]);
}

/* Rows of sums grow by rows of a's pairs times rows of b, even and odd numbers apart. */
static inline void _tile_dpbf16ps(int sum, int a, int b)
{
    const int pairs = tile_shape.bytes[a] / 4, columns = tile_shape.bytes[sum] / 4;
    float right[16][32];
    for (int k = 0; k < pairs; k++) {
        uint16_t row[32];
        memcpy(row, tile_memory[b][k], sizeof row);
        for (int n = 0; n < 32; n++)
            right[k][n] = bf16_wide(row[n]);
    }
    for (int m = 0; m < tile_shape.rows[sum]; m++) {
        float row[16], part[32] = { 0 };
        uint16_t left[32];
        memcpy(row, tile_memory[sum][m], sizeof row);
        memcpy(left, tile_memory[a][m], sizeof left);
        for (int k = 0; k < pairs; k++) {
            const float two[2] = { bf16_wide(left[2 * k]), bf16_wide(left[2 * k + 1]) };
            for (int n = 0; n < 32; n++)
                part[n] = bf16_flushed(two[n % 2] * right[k][n] + part[n]);
        }
        for (int n = 0; n < columns; n++)
            row[n] = bf16_flushed(row[n] + bf16_flushed(part[2 * n] + part[2 * n + 1]));
        memcpy(tile_memory[sum][m], row, sizeof row);
    }
}

#endif
