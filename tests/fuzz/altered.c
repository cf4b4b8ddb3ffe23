/* altered.c - changes to a safetensors file: tensors gone, renamed, of another type, shape or value; other metadata. */
#include "altered.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/safetensors.h"

enum { MOST = 1024, TEXTS = 64, SMALL = 4096, FILLER = 1 << 16 };
enum { GONE, RENAMED, TYPE, SHAPE, VALUE, METADATA, CHANGES };

struct altered {
    safetensors *f;
    size_t count, pairs;
    safetensors_tensor t[MOST];
    safetensors_pair pair[TEXTS];
    bool gone[MOST];
    char text[TEXTS][320];
    int texts;
    uint8_t small[8][SMALL], filler[FILLER];
    int smalls;
};

altered *altered_of(const char *path)
{
    altered *a = calloc(1, sizeof *a);
    status st = { 0 };
    demand(a && (a->f = safetensors_open(path, &st)) && safetensors_count(a->f) <= MOST);
    return a;
}

static void begin(altered *a)
{
    static const char *const keys[] = { "format", "architecture", "timm.num_classes", "timm.in_chans", "timm.img_size",
                                        "timm.labels", "timm.option.batch-size", "timm.option.grad-accum-steps",
                                        "timm.option.seed" };
    a->count = safetensors_count(a->f);
    for (size_t i = 0; i < a->count; i++) {
        const safetensors_entry *e = safetensors_get(a->f, i);
        a->t[i] = (safetensors_tensor){ .name = e->name, .dtype = e->dtype, .rank = e->rank, .data = e->data };
        memcpy(a->t[i].dim, e->dim, sizeof e->dim);
    }
    a->pairs = sizeof keys / sizeof *keys;
    for (size_t i = 0; i < a->pairs; i++)
        a->pair[i] = (safetensors_pair){ keys[i], safetensors_metadata(a->f, keys[i]) };
    memset(a->gone, 0, sizeof a->gone);
    a->texts = a->smalls = 0;
}

static size_t bits_of(const safetensors_tensor *t)
{
    size_t bits = (size_t)safetensors_dtype_bits(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bits, (size_t)t->dim[i], &bits))
            return SIZE_MAX;
    return bits;
}

/* Numbers for a type or shape other than the file's: there are as many as FILLER holds. */
static void refill(altered *a, safetensors_tensor *t)
{
    if (bits_of(t) > (size_t)FILLER * 8)
        t->rank = 0;
    t->data = a->filler;
}

/* A short text of the input, its length before it. */
static const char *text_of(altered *a, input *in)
{
    if (a->texts == TEXTS)
        return NULL;
    char *to = a->text[a->texts++];
    size_t n = input_byte(in);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)input_byte(in);
    to[n] = 0;
    return to;
}

/* One number, of a tensor that is small, or all of another's. */
static void set_value(altered *a, safetensors_tensor *t, input *in)
{
    size_t at = input_byte(in), bytes = bits_of(t) / 8, each = (size_t)safetensors_dtype_bits(t->dtype) / 8;
    uint8_t number[8];
    for (size_t i = 0; i < sizeof number; i++)
        number[i] = (uint8_t)input_byte(in);
    if (bytes > SMALL || a->smalls == 8) {
        for (size_t i = 0; i < FILLER; i++)
            a->filler[i] = number[i % (each ? each : 1)];
        if (bytes <= FILLER)
            t->data = a->filler;
    } else if (bytes && each) {
        uint8_t *copy = memcpy(a->small[a->smalls++], t->data, bytes);
        memcpy(copy + at % (bytes / each) * each, number, each);
        t->data = copy;
    }
}

static void change(altered *a, input *in)
{
    unsigned what = input_byte(in) % CHANGES;
    size_t i = (input_byte(in) | input_byte(in) << 8) % a->count;
    safetensors_tensor *t = &a->t[i];
    const char *text;
    switch (what) {
    case GONE:
        a->gone[i] = true;
        break;
    case RENAMED:
        text = text_of(a, in);
        t->name = text ? text : t->name;
        break;
    case TYPE:
        t->dtype = (safetensors_dtype)(input_byte(in) % ST_DTYPES);
        refill(a, t);
        break;
    case SHAPE:
        t->rank = (int)(input_byte(in) % (SAFETENSORS_RANK + 1));
        for (int k = 0; k < t->rank; k++)
            t->dim[k] = input_byte(in);
        refill(a, t);
        break;
    case VALUE:
        set_value(a, t, in);
        break;
    default:
        a->pair[i % a->pairs].value = text_of(a, in);
    }
}

bool altered_write(altered *a, input *changes, const char *path)
{
    size_t n = 0, pairs = 0;
    status st = { 0 };
    begin(a);
    while (changes->left)
        change(a, changes);
    for (size_t i = 0; i < a->count; i++)
        if (!a->gone[i])
            a->t[n++] = a->t[i];
    for (size_t i = 0; i < a->pairs; i++)
        if (a->pair[i].value)
            a->pair[pairs++] = a->pair[i];
    return safetensors_write(path, a->t, n, a->pair, pairs, &st);
}
