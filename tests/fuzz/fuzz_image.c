/* fuzz_image.c - any bytes as an image; what is accepted has as many pixels as it says. */
#include <stdlib.h>
#include "io/image.h"
#include "scratch.h"

/* The first byte chooses the channels wanted, the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const int wanted[4] = { 0, 1, 3, 3 };
    if (!size)
        return 0;
    status st = { 0 };
    timm_image out;
    image_source from = { .bytes = bytes + 1, .size = size - 1, .name = "fuzz", .channels = wanted[bytes[0] & 3],
                          .max_pixels = 1 << 16 };
    bool ok = image_decode(&from, &out, &st);
    demand(ok == status_ok(&st) && ok == (out.pixels != NULL));
    if (!ok)
        return 0;
    demand(out.width > 0 && out.height > 0 && (int64_t)out.width * out.height <= from.max_pixels);
    demand(from.channels ? out.channels == from.channels : out.channels == 1 || out.channels == 3 || out.channels == 4);
    size_t n = (size_t)out.width * (size_t)out.height * (size_t)out.channels, sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += out.pixels[i];
    demand(sum <= 255 * n);
    image_free(&out);
    return 0;
}
