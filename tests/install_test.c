/* install_test.c - what `make install` gives can be built against; the examples run. */
#include <stdlib.h>
#include <string.h>
#include "test.h"

/* The command's output; *status its exit status. */
static const char *output(const char *command, int *status)
{
    static char text[4096];
    FILE *f = popen(command, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    *status = f ? pclose(f) : -1;
    return text;
}

TEST(install_can_be_built_against)
{
#ifdef __SANITIZE_ADDRESS__
    test_skip("a sanitized library does not load into plain programs");
#else
    char command[2048];
    int status;
    snprintf(command, sizeof command, "sh %s %s %s 2>&1", test_data("install.sh"), TEST_BUILD, test_temp("install"));
    const char *text = output(command, &status);
    CHECK(!status && strstr(text, "many models"), "%s", text);
#endif
}

TEST(examples_run)
{
    char command[2048];
    int status;
    snprintf(command, sizeof command, "%s/examples/classify %s/../share/chelsea.jpg %s/../share/tf_efficientnet_lite0.in1k.safetensors 2>&1",
             TEST_BUILD, TEST_DATA, TEST_DATA);
    const char *text = output(command, &status);
    CHECK(!status && !strcmp(text, "tiger cat\n"), "%s", text);
    snprintf(command, sizeof command, "%s/examples/features resnet18 2>&1", TEST_BUILD);
    text = output(command, &status);
    CHECK(!status && strstr(text, "layer4       512 channels, 1/32: 7 x 7\n"), "%s", text);
    static const char *const nets[] = { "test_vit", "test_resnet" };
    for (int i = 0; i < 2; i++) {
        char made[1024];
        int right = 0;
        snprintf(made, sizeof made, "%s", test_temp("trained.safetensors"));
        snprintf(command, sizeof command, "%s/examples/train %s %s 2>&1", TEST_BUILD, nets[i], made);
        text = output(command, &status);
        const char *last = strstr(text, " of 16 right\n");
        while (last && last > text && last[-1] != '\n')
            last--;
        CHECK(!status && last && sscanf(last, "%d of 16 right", &right) == 1 && right >= 15, "%s: %s", nets[i], text);
        snprintf(command, sizeof command, "%s info %s 2>&1", TEST_TIMM, made);
        text = output(command, &status);
        CHECK(!status && strstr(text, "trained.safetensors"), "%s", text);
    }
}
