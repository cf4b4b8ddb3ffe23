/* fuzz_safetensors.c - any bytes as a safetensors file, and any text as the header of one.
 * What is accepted must cover the file, be found by its name, and be readable to its last number.
 */
#include <stdlib.h>
#include <string.h>
#include "io/safetensors.h"
#include "scratch.h"

static void read_tensor(const safetensors *f, size_t i)
{
    const safetensors_entry *e = safetensors_get(f, i);
    status st = { 0 };
    int64_t *out = malloc((size_t)e->count * sizeof *out + 1);
    if (!out)
        return;
    demand(safetensors_read_floats(f, i, (float *)(void *)out, &st) == (st.code == TIMM_OK));
    st = (status){ 0 };
    demand(safetensors_read_ints(f, i, out, &st) == (st.code == TIMM_OK));
    free(out);
    safetensors_release(f, i);
}

static void try_file(const uint8_t *bytes, size_t size)
{
    status st = { 0 };
    safetensors *f = safetensors_open_memory(bytes, size, "file", &st);
    demand(!f == !!st.code && (f || *st.text));
    if (!f)
        return;
    size_t sum = 0;
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const safetensors_entry *e = safetensors_get(f, i);
        demand(safetensors_find(f, e->name) == i);
        demand(e->count == 0 || (const uint8_t *)e->data + e->bytes <= bytes + size);
        sum += e->bytes;
        read_tensor(f, i);
    }
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    demand(sum + header + 8 == size);
    safetensors_metadata(f, "format");
    safetensors_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file(data, size);
    uint64_t header = size;                                  /* up to the last '}', the rest is tensors */
    while (header && data[header - 1] != '}')
        header--;
    uint8_t *file = malloc(8 + size);
    if (!file)
        return 0;
    memcpy(file, &header, 8);
    if (size)
        memcpy(file + 8, data, size);
    try_file(file, 8 + size);
    free(file);
    return 0;
}
