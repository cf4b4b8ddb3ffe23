/* fuzz_folder.c - folders of images with any names, and any text as the map of classes. */
#include "data/dataset.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "scratch.h"

/* A file for every line, below `set`; lines that would lead out of it are none. */
static void make_tree(char *text)
{
    char name[320];
    for (int n = 0; n < 16 && text; n++) {
        char *line = strsep(&text, "\n");
        if (!*line || strlen(line) > 200 || strstr(line, ".."))
            continue;
        snprintf(name, sizeof name, "set/%s", line);
        scratch_write(name, (input){ 0 });
    }
}

/* One byte chooses, then the files, then the map. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    input in = { bytes, size };
    unsigned choice = input_byte(&in);
    char *files = input_text(input_part(&in));
    make_tree(files);
    scratch_write("map", input_part(&in));
    status st = { 0 };
    dataset_opts o = { .class_map = choice & 1 ? scratch_path("map") : NULL };
    dataset *d = dataset_open("folder", scratch_path("set"), choice & 2 ? "validation" : "train", &o, &st);
    demand(!d == !status_ok(&st));
    demand(!d || (dataset_count(d) > 0 && dataset_classes(d) > 0));
    for (int64_t i = 0; d && i < dataset_count(d); i++)
        demand(dataset_label(d, i) >= 0 && dataset_class_name(d, (int)dataset_label(d, i))
               && !strncmp(dataset_sample_name(d, i), scratch_path("set/"), strlen(scratch_path("set/"))));
    dataset_close(d);
    free(files);
    scratch_clear("set");
    return 0;
}
