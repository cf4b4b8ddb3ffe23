/* half_test.c - 16-bit floats against their formula and against PyTorch's rounding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "io/safetensors.h"
#include "test.h"

static uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* The format's definition: (-1)^s 2^(e - bias) (1 + m / 2^M), subnormal 2^(1 - bias) m / 2^M. */
static double formula(unsigned h, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, e = h >> mantissa_bits & ((1 << exponent_bits) - 1);
    double m = (double)(h & ((1u << mantissa_bits) - 1)) / (1 << mantissa_bits);
    double x = e == (1 << exponent_bits) - 1 ? (m > 0 ? (double)NAN : (double)INFINITY)
             : e ? ldexp(1 + m, e - bias) : ldexp(m, 1 - bias);
    return h & 0x8000 ? -x : x;
}

TEST(half_widens_all_65536_numbers)
{
    for (unsigned h = 0; h < 65536; h++) {
        double f16 = formula(h, 5, 10), b16 = formula(h, 8, 7);
        float x = half_to_float((uint16_t)h), y = bfloat_to_float((uint16_t)h);
        CHECK(isnan(f16) ? isnan(x) : (double)x == f16 && !signbit(x) == !signbit(f16), "half %04x: %g, not %g", h,
              (double)x, f16);
        CHECK(isnan(b16) ? isnan(y) : (double)y == b16 && !signbit(y) == !signbit(b16), "bfloat %04x: %g, not %g", h,
              (double)y, b16);
        CHECK(isnan(f16) ? (float_to_half(x) | 0x200u) == (h | 0x200u) : float_to_half(x) == h,
              "half %04x comes back %04x", h,
              float_to_half(x));
        CHECK(isnan(b16) ? (float_to_bfloat(y) | 0x40u) == (h | 0x40u) : float_to_bfloat(y) == h,
              "bfloat %04x comes back %04x", h, float_to_bfloat(y));
    }
}

TEST(half_rounds_as_pytorch_does)
{
    status st = { 0 };
    safetensors *f = safetensors_open(test_data("data/safetensors/rounding.safetensors"), &st);
    REQUIRE(f, "%s", st.text);
    const safetensors_entry *x = safetensors_get(f, safetensors_find(f, "float"));
    const safetensors_entry *h = safetensors_get(f, safetensors_find(f, "half"));
    const safetensors_entry *b = safetensors_get(f, safetensors_find(f, "bfloat"));
    CHECK(x->count > 5000, "%d numbers", (int)x->count);
    for (int64_t i = 0; i < x->count; i++) {
        float v;
        uint16_t half, bfloat;
        memcpy(&v, (const char *)x->data + 4 * i, 4);
        memcpy(&half, (const char *)h->data + 2 * i, 2);
        memcpy(&bfloat, (const char *)b->data + 2 * i, 2);
        CHECK(float_to_half(v) == half, "half of %a: %04x, not %04x", (double)v, float_to_half(v), half);
        CHECK(float_to_bfloat(v) == bfloat, "bfloat of %a: %04x, not %04x", (double)v, float_to_bfloat(v), bfloat);
    }
    safetensors_close(f);
}

/* Whatever instructions they use, at every length and alignment, NaN payloads too. */
TEST(half_arrays_equal_single_conversions)
{
    enum { N = 65536 + 3 };
    uint8_t *raw = malloc(2 * N + 1);
    float *x = malloc(N * sizeof *x);
    REQUIRE(raw && x, "memory");
    for (unsigned i = 0; i < N; i++) {
        uint16_t h = (uint16_t)i;
        memcpy(raw + 1 + 2 * i, &h, 2);
    }
    halves_to_floats(x, raw + 1, N);
    for (unsigned i = 0; i < N; i++)
        CHECK(bits(x[i]) == bits(half_to_float((uint16_t)i)), "half %04x: %08x", i, bits(x[i]));
    bfloats_to_floats(x, raw + 1, N);
    for (unsigned i = 0; i < N; i++)
        CHECK(bits(x[i]) == bits(bfloat_to_float((uint16_t)i)), "bfloat %04x: %08x", i, bits(x[i]));
    for (unsigned i = 0; i < N; i++) {
        uint32_t u = i * 65521u + i;                         /* all over the bit patterns */
        memcpy(&x[i], &u, 4);
    }
    for (size_t n = 0; n < N; n = n < 20 ? n + 1 : n < 100 ? N - 1 : N) {
        floats_to_halves(raw + 1, x, n);
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, raw + 1 + 2 * i, 2);
            CHECK(h == float_to_half(x[i]), "%08x: %04x, not %04x", bits(x[i]), h, float_to_half(x[i]));
        }
        floats_to_bfloats(raw + 1, x, n);
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, raw + 1 + 2 * i, 2);
            CHECK(h == float_to_bfloat(x[i]), "%08x: %04x, not %04x", bits(x[i]), h, float_to_bfloat(x[i]));
        }
    }
    free(raw);
    free(x);
}
