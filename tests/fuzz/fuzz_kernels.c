/* fuzz_kernels.c - files of measured kernels: any bytes are read, or refused whole; what was read reads back. */
#include <stdlib.h>
#include <string.h>
#include "plan/tune.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t length = 0, again = 0;
    tune *a = tune_open("m", false), *b = tune_open("m", false);
    bool read = tune_parse(a, (const char *)bytes, size);
    char *text = tune_text(a, &length);
    if (!text || !tune_parse(b, text, length))
        abort();
    char *twice = tune_text(b, &again);
    if (!twice || again != length || memcmp(text, twice, length) || (!read && strcmp(text, "timm kernels 1: m\n")))
        abort();
    free(text);
    free(twice);
    tune_close(a);
    tune_close(b);
    return 0;
}
