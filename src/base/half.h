/* half.h - IEEE half (F16) and bfloat16 (BF16) to float and back, rounding to nearest even.
 *
 * The single conversions are the definition; the array forms give the same bits, NaN payloads included, with whatever
 * instructions the processor has.  Arrays of 16-bit numbers need no alignment: they lie in files as they come.
 */
#ifndef BASE_HALF_H
#define BASE_HALF_H
#include <stddef.h>
#include <stdint.h>

float half_to_float(uint16_t h);
uint16_t float_to_half(float x);          /* beyond 65520: infinity; below 2^-25: zero, of x's sign */
float bfloat_to_float(uint16_t b);
uint16_t float_to_bfloat(float x);

void halves_to_floats(float *out, const void *halves, size_t count);
void floats_to_halves(void *halves, const float *in, size_t count);
void bfloats_to_floats(float *out, const void *bfloats, size_t count);
void floats_to_bfloats(void *bfloats, const float *in, size_t count);

#endif
