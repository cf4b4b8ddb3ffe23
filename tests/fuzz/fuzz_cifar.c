/* fuzz_cifar.c - any bytes as CIFAR's batches and the names of their classes. */
#include "data/dataset.h"
#include <stdlib.h>
#include <string.h>
#include "io/image.h"
#include "scratch.h"

/* Pixels are nothing to choose from: the bytes of a part, and zeros up to `size`. */
static void put_records(const char *name, input part, size_t size)
{
    uint8_t *all = calloc(size > part.left ? size : part.left + 1, 1);
    demand(all);
    if (part.left)
        memcpy(all, part.at, part.left);
    scratch_write(name, (input){ all, size > part.left ? size : part.left });
    free(all);
}

/* Four bytes choose: what there is, whole records, bytes beyond them; then the names and the batches. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const file[] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                        "data_batch_5.bin" };
    input in = { bytes, size };
    unsigned choice = input_byte(&in), records = input_byte(&in) & 7, beyond = input_byte(&in);
    bool hundred = choice & 1, train = choice & 2;
    scratch_write(hundred ? "fine_label_names.txt" : "batches.meta.txt", input_part(&in));
    size_t length = records * (3072u + (hundred ? 2 : 1)) + beyond;
    for (int i = 0; i < (train && !hundred ? 5 : 1); i++)
        put_records(hundred ? train ? "train.bin" : "test.bin" : train ? file[i] : "test_batch.bin", input_part(&in), length);
    status st = { 0 };
    dataset *d = dataset_open(hundred ? "cifar100" : "cifar10", scratch_path(""), train ? "train" : "test", NULL, &st);
    demand(!d == !status_ok(&st));
    int64_t n = d ? dataset_count(d) : 0;
    demand(!d || (n > 0 && dataset_classes(d) == (hundred ? 100 : 10)));
    for (int64_t i = 0; i < n; i++) {
        timm_image image;
        demand(dataset_label(d, i) >= 0 && dataset_class_name(d, (int)dataset_label(d, i)) && dataset_sample_name(d, i));
        demand(dataset_read(d, i, &image, &st) && image.width == 32 && image.height == 32 && image.channels == 3);
        image_free(&image);
    }
    dataset_close(d);
    return 0;
}
