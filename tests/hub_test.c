/* hub_test.c - a made-up Hugging Face cache, laid out as huggingface_hub does it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "io/atomic_file.h"
#include "io/hub.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"

static const char *const variables[] = { "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME" };

/* Sets the five variables ("" or NULL: unset) and remembers those of the process. */
static void set(const char *const value[COUNT(variables)])
{
    for (size_t i = 0; i < COUNT(variables); i++)
        if (value[i])
            setenv(variables[i], value[i], 1);
        else
            unsetenv(variables[i]);
}

static void save(char *kept[COUNT(variables)])
{
    for (size_t i = 0; i < COUNT(variables); i++)
        kept[i] = getenv(variables[i]) ? strdup(getenv(variables[i])) : NULL;
}

static void restore(char *kept[COUNT(variables)])
{
    set((const char *const *)kept);
    for (size_t i = 0; i < COUNT(variables); i++)
        free(kept[i]);
}

TEST(hub_cache_obeys_the_environment)
{
    static const struct { const char *value[COUNT(variables)], *path; } cases[] = {
        { { "/a", "/b", "/c", "/d", "/e" }, "/a" },
        { { NULL, "/b", "/c", "/d", "/e" }, "/b" },
        { { NULL, NULL, "/c", "/d", "/e" }, "/c/hub" },
        { { NULL, NULL, NULL, "/d", "/e" }, "/d/huggingface/hub" },
        { { NULL, NULL, NULL, NULL, "/e" }, "/e/.cache/huggingface/hub" },
        { { "", "", "", "", "/e" },         "/e/.cache/huggingface/hub" },
        { { NULL, NULL, "~/x", NULL, "/e" }, "/e/x/hub" },
        { { "~", NULL, NULL, NULL, "/e" },  "/e" },
        { { "~x", NULL, NULL, NULL, "/e" }, "~x" },
        { { NULL, NULL, NULL, NULL, NULL }, NULL },
    };
    char *kept[COUNT(variables)], path[64];
    save(kept);
    for (size_t i = 0; i < COUNT(cases); i++) {
        status st = { 0 };
        set(cases[i].value);
        bool ok = hub_cache(path, sizeof path, &st);
        CHECK(ok == !!cases[i].path, "case %zu: %s", i, st.text);
        CHECK(ok ? !strcmp(path, cases[i].path) : !strcmp(st.text,
                                                          "no Hugging Face cache: neither HF_HUB_CACHE, HF_HOME, "
              "XDG_CACHE_HOME nor HOME is set"), "case %zu: %s%s", i, ok ? path : "", st.text);
    }
    restore(kept);
}

static void put_folder(const char *root, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    CHECK(!mkdir(path, 0777) || errno == EEXIST, "mkdir %s", path);
}

static void put(const char *root, const char *name, const char *text)
{
    char path[1024];
    status st = { 0 };
    snprintf(path, sizeof path, "%s/%s", root, name);
    CHECK(atomic_write_file(path, text, strlen(text), &st), "%s", st.text);
}

#define REPO "models--timm--resnet50.a1_in1k"

static void lay_out(const char *root)
{
    static const char *const folders[] = {
        "", REPO, REPO "/refs", REPO "/refs/pr", REPO "/blobs", REPO "/snapshots", REPO "/snapshots/" COMMIT,
        REPO "/snapshots/" COMMIT "/sub", REPO "/snapshots/" OTHER, "models--timm--bad", "models--timm--bad/refs",
        "models--timm--ref", "models--timm--ref/refs", "models--timm--ref/refs/main",
    };
    for (size_t i = 0; i < COUNT(folders); i++)
        put_folder(root, folders[i]);
    put(root, REPO "/refs/main", COMMIT);
    put(root, REPO "/refs/pr/1", OTHER "\n");
    put(root, REPO "/blobs/aaaa", "weights");
    put(root, REPO "/snapshots/" COMMIT "/sub/config.json", "{}");
    put(root, REPO "/snapshots/" OTHER "/model.safetensors", "other");
    put(root, "models--timm--bad/refs/main", "../../../etc");
    char link[1024];
    snprintf(link, sizeof link, "%s/" REPO "/snapshots/" COMMIT "/model.safetensors", root);
    CHECK(!symlink("../../blobs/aaaa", link), "%s", link);
    snprintf(link, sizeof link, "%s/" REPO "/snapshots/" COMMIT "/broken.safetensors", root);
    CHECK(!symlink("../../blobs/gone", link), "%s", link);
}

static const struct { const char *repo, *file, *path, *text; } cases[] = {       /* %s: the cache */
    { "timm/resnet50.a1_in1k", "model.safetensors", REPO "/snapshots/" COMMIT "/model.safetensors", NULL },
    { "timm/resnet50.a1_in1k", "sub/config.json", REPO "/snapshots/" COMMIT "/sub/config.json", NULL },
    { "timm/resnet50.a1_in1k@main", "model.safetensors", REPO "/snapshots/" COMMIT "/model.safetensors", NULL },
    { "timm/resnet50.a1_in1k@pr/1", "model.safetensors", REPO "/snapshots/" OTHER "/model.safetensors", NULL },
    { "timm/resnet50.a1_in1k@" OTHER, "model.safetensors", REPO "/snapshots/" OTHER "/model.safetensors", NULL },
    { "timm/resnet50.a1_in1k", "broken.safetensors", NULL,
      "broken.safetensors of timm/resnet50.a1_in1k is not in the Hugging Face cache (no %s/" REPO "/snapshots/" COMMIT
      "/broken.safetensors); `hf download timm/resnet50.a1_in1k broken.safetensors` puts it there, or name a file "
      "you have" },
    { "timm/resnet50.a1_in1k", "sub", NULL,
      "sub of timm/resnet50.a1_in1k is not in the Hugging Face cache (no %s/" REPO "/snapshots/" COMMIT
      "/sub); `hf download timm/resnet50.a1_in1k sub` puts it there, or name a file you have" },
    { "timm/vit", "model.safetensors", NULL,
      "model.safetensors of timm/vit is not in the Hugging Face cache (no %s/models--timm--vit/snapshots/main/"
      "model.safetensors); `hf download timm/vit model.safetensors` puts it there, or name a file you have" },
    { "timm/resnet50.a1_in1k@v2", "model.safetensors", NULL,
      "model.safetensors of timm/resnet50.a1_in1k is not in the Hugging Face cache (no %s/" REPO "/snapshots/v2/"
      "model.safetensors); `hf download timm/resnet50.a1_in1k model.safetensors --revision v2` puts it there, or name "
      "a file you have" },
    { "timm/bad", "model.safetensors", NULL,
      "%s/models--timm--bad/refs/main: should hold a commit, holds \"../../../etc\"" },
    { "timm/ref", "model.safetensors", NULL, "%s/models--timm--ref/refs/main: cannot read: Is a directory" },
    { "resnet50", "f", NULL,
      "\"resnet50\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "a/b/c", "f", NULL, "\"a/b/c\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "a/..", "f", NULL, "\"a/..\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "/b", "f", NULL, "\"/b\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "a/", "f", NULL, "\"a/\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "a@b/c", "f", NULL, "\"a@b/c\": not a repository of the hub, which is called ORG/NAME or ORG/NAME@REVISION" },
    { "a/b@", "f", NULL, "\"a/b@\": \"\" is no revision" },
    { "a/b@../x", "f", NULL, "\"a/b@../x\": \"../x\" is no revision" },
    { "a/b", "../f", NULL, "\"../f\": not a file of a repository" },
    { "a/b", "/etc/passwd", NULL, "\"/etc/passwd\": not a file of a repository" },
    { "a/b", "", NULL, "\"\": not a file of a repository" },
};

TEST(hub_finds_files_or_says_how_to_get_them)
{
    char *kept[COUNT(variables)], path[1024], want[2048];
    const char *root = test_temp("hub");
    save(kept);
    set((const char *const[COUNT(variables)]){ root });
    lay_out(root);
    for (size_t i = 0; i < COUNT(cases); i++) {
        status st = { 0 };
        bool ok = hub_find(cases[i].repo, cases[i].file, path, sizeof path, &st);
        CHECK(ok == !!cases[i].path, "%s, %s: %s", cases[i].repo, cases[i].file, ok ? path : st.text);
        const char *text = ok ? cases[i].path : cases[i].text, *mark = ok || !text ? NULL : strstr(text, "%s");
        if (ok)
            snprintf(want, sizeof want, "%s/%s", root, text);
        else
            snprintf(want, sizeof want, "%.*s%s%s", mark ? (int)(mark - text) : 0, text, mark ? root : "",
                     mark ? mark + 2 : text);
        CHECK(!strcmp(ok ? path : st.text, want), "%s", ok ? path : st.text);
    }
    status st = { 0 };
    CHECK(!hub_find("timm/resnet50.a1_in1k", "model.safetensors", path, 20, &st) && strstr(st.text, "too long"), "%s",
          st.text);
    CHECK(!hub_find("timm/resnet50.a1_in1k", "model.safetensors", path, sizeof path, &st), "went on after a failure");
    restore(kept);
}
