/* fuzz_hub.c - any names of repositories and files, and any bytes as what a reference of the cache holds. */
#include "io/hub.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "scratch.h"

/* Three parts: the repository, its file, the reference "main". */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static bool begun;
    input in = { bytes, size };
    if (!begun) {
        setenv("HF_HUB_CACHE", scratch_path(""), 1);
        scratch_write("models--timm--resnet18.a1_in1k/snapshots/0123abcd/model.safetensors", (input){ 0 });
        begun = true;
    }
    char *repo = input_text(input_part(&in)), *file = input_text(input_part(&in)), path[512];
    scratch_write("models--timm--resnet18.a1_in1k/refs/main", in);
    status st = { 0 };
    struct stat info;
    bool found = hub_find(repo, file, path, sizeof path, &st);
    demand(found == status_ok(&st));
    if (found)
        demand(!stat(path, &info) && S_ISREG(info.st_mode) && !strstr(path, "..")
               && !strncmp(path, scratch_path(""), strlen(scratch_path(""))));
    free(repo);
    free(file);
    return 0;
}
