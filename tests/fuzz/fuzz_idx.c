/* fuzz_idx.c - any bytes as the two idx files of a data set: plain, packed, or as what is taken for a packed file. */
#include "data/dataset_in.h"
#include <stdio.h>
#include <zlib.h>
#include "io/image.h"
#include "scratch.h"

enum { PLAIN, PACKED, CALLED_PACKED };

static void put_file(const char *stem, input part, int how)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", stem, how == PLAIN ? "" : ".gz");
    if (how != PACKED) {
        scratch_write(name, part);
        return;
    }
    gzFile f = gzopen(scratch_path(name), "wb1");
    demand(f && gzwrite(f, part.at, (unsigned)part.left) == (int)part.left && gzclose(f) == Z_OK);
}

/* One byte chooses, then the images, then the labels. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    input in = { bytes, size };
    unsigned choice = input_byte(&in);
    int how = (int)(choice & 3) % 3;
    put_file("train-images-idx3-ubyte", input_part(&in), how);
    put_file("train-labels-idx1-ubyte", input_part(&in), how);
    status st = { 0 };
    dataset_opts o = { .channels = choice & 4 ? 1 : 3 };
    dataset *d = dataset_open(choice & 8 ? "fashion-mnist" : "idx", scratch_path(""), "train", &o, &st);
    demand(!d == !status_ok(&st));
    int64_t n = d ? dataset_count(d) : 0;
    demand(!d || n > 0);
    for (int64_t i = 0; i < n; i++)
        demand(dataset_label(d, i) >= 0 && dataset_class_name(d, (int)dataset_label(d, i)) && dataset_sample_name(d, i));
    for (int64_t i = 0; i < n; i += n > 1 ? n - 1 : 1) {
        timm_image image;
        size_t sum = 0;
        demand(dataset_read(d, i, &image, &st) && image.channels == o.channels);
        for (size_t k = 0; k < (size_t)image.width * (size_t)image.height * (size_t)image.channels; k++)
            sum += image.pixels[k];
        demand(sum <= (size_t)255 * (size_t)image.width * (size_t)image.height * (size_t)image.channels);
        image_free(&image);
    }
    dataset_close(d);
    for (int i = 0; i < 2; i++) {
        scratch_clear(i ? "train-images-idx3-ubyte.gz" : "train-images-idx3-ubyte");
        scratch_clear(i ? "train-labels-idx1-ubyte.gz" : "train-labels-idx1-ubyte");
    }
    return 0;
}
