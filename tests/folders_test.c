/* folders_test.c - folders of images: what is taken of them, and what is said of the rest. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "data/dataset.h"
#include "test.h"

#define CAT TEST_DATA "/../share/chelsea.jpg"

static void hear(void *user, const char *text) { snprintf(user, 1024, "%s", text); }

/* FOLDERS below a fresh folder, two images each. */
static void make_folders(char root[1200], const char *name, const char *folders)
{
    snprintf(root, 1200, "%s", test_temp(name));
    command_result r = command_run("mkdir -p %s && cd %s && for d in %s; do mkdir -p $d; for i in 1 2; do cp %s $d/$i.jpg; done; done", root, root,
                                   folders, CAT);
    CHECK(r.code == 0, "%s", r.err);
    command_free(&r);
}

static void write_map(char path[1300], const char *root, const char *text)
{
    snprintf(path, 1300, "%s/map.txt", root);
    FILE *f = fopen(path, "w");
    REQUIRE(f && fputs(text, f) >= 0 && !fclose(f), "cannot write %s", path);
}

/* root/train by a map of these lines, and what is said of it. */
static dataset *mapped(const char *root, char *map, const char *lines, char *said)
{
    status st = { 0 };
    *said = 0;
    write_map(map, root, lines);
    dataset *d = dataset_open("folder", root, "train", &(dataset_opts){ .class_map = map, .note = hear, .user = said }, &st);
    CHECK(d != NULL, "%s", st.text);
    return d;
}

/* What a map does not name is left out, and told of. */
TEST(folders_that_a_map_leaves_out)
{
    static const struct { const char *map, *says; int64_t images; } cases[] = {
        { "f1\nf2\nf3\nf4\nf5\nf6\nf10\n", "", 14 },
        { "f1\nf2\nf3\nf4\nf5\nf6\n", "2 images are left out, in 1 folder that ", 12 },
        { "f10\nf1\n", ": f2, f3, f4, f5, f6", 4 },
        { "f1\n", "12 images are left out, in 6 folders that ", 2 },
        { "f1\n", "map.txt does not name: f2, f3, f4, f5, f6, ...", 2 },
    };
    char root[1200], map[1300], said[1024];
    make_folders(root, "mapped", "train/f1 train/f2 train/f3 train/f4 train/f5 train/f6 train/f10");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dataset *d = mapped(root, map, cases[i].map, said);
        REQUIRE(d, "case %zu", i);
        CHECK(*cases[i].says ? strstr(said, cases[i].says) != NULL : !*said, "case %zu: '%s'", i, said);
        CHECK(dataset_count(d) == cases[i].images, "case %zu: %lld images", i, (long long)dataset_count(d));
        dataset_close(d);
    }
}

/* A class of the map that no folder is of is told, as it may be misspelt; it keeps its place. */
TEST(folders_that_a_map_names_in_vain)
{
    static const struct { const char *map, *says; } cases[] = {
        { "cat\ndog\n", "" },
        { "cat\ndgo\ndog\n", ": no image of 1 class that " },
        { "cat\ndgo\ndog\n", "map.txt names: dgo" },
        { "a\nb\ncat\nc\ndog\nd\ne\nf\n", "/train: no image of 6 classes that " },
        { "a\nb\ncat\nc\ndog\nd\ne\nf\n", "map.txt names: a, b, c, d, e, ..." },
    };
    char root[1200], map[1300], said[1024];
    make_folders(root, "in-vain", "train/cat train/dog");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dataset *d = mapped(root, map, cases[i].map, said);
        REQUIRE(d, "case %zu", i);
        CHECK(*cases[i].says ? strstr(said, cases[i].says) != NULL : !*said, "case %zu: '%s'", i, said);
        CHECK(dataset_count(d) == 4 && !strcmp(dataset_class_name(d, (int)dataset_label(d, 3)), "dog"), "case %zu", i);
        dataset_close(d);
    }
    status st = { 0 };
    dataset *d = dataset_open("folder", root, "train", &(dataset_opts){ .class_map = root }, &st);
    CHECK(!d && st.code == TIMM_IO && strstr(st.text, "in-vain: cannot read: Is a directory"), "%s", st.text);
    dataset_close(d);
}

/* Without folders for splits all images count, as timm has it; a folder that is called as the split is the split. */
TEST(folders_without_splits)
{
    static const struct { const char *below, *split; bool told; } cases[] = {
        { "flat", "validation", true }, { "flat", "train", true }, { "flat", "weekday", true }, { "val", "validation", false },
        { "val/", "validation", false }, { "val", "test", true }, { "parted", "validation", false }, { "parted", "train", false },
    };
    char root[1200], path[1300], said[1024];
    make_folders(root, "parts", "flat/cat flat/dog val/cat val/dog parted/train/cat parted/val/cat");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        status st = { 0 };
        *said = 0;
        snprintf(path, sizeof path, "%s/%s", root, cases[i].below);
        dataset *d = dataset_open("folder", path, cases[i].split, &(dataset_opts){ .note = hear, .user = said }, &st);
        CHECK(d, "%s", st.text);
        CHECK(cases[i].told ? strstr(said, ": all of its images are taken") != NULL : !*said, "%s for %s: '%s'", cases[i].below, cases[i].split, said);
        dataset_close(d);
    }
}

/* The notes reach who runs the command. */
TEST(folders_tell_on_stderr)
{
    char root[1200], map[1300], weights[1200];
    make_folders(root, "told", "cat dog owl");
    write_map(map, root, "cat\nowl\n");
    snprintf(weights, sizeof weights, "%s", test_temp("told.safetensors"));
    timm_ctx *ctx = timm_open(NULL);
    timm_save(timm_create(ctx, "test_vit", &(timm_model_opts){ .classes = 2, .img_size = { 32 } }), weights);
    CHECK(timm_ctx_status(ctx) == TIMM_OK, "%s", timm_message(ctx));
    timm_close(ctx);
    command_result r = command_run("timm validate %s -m test_vit --checkpoint %s --class-map %s", root, weights, map);
    CHECK(r.code == 0 && command_has(r.out, ", 4 images, "), "exit %d: %s%s", r.code, r.out, r.err);
    CHECK(command_has(r.err, "2 images are left out, in 1 folder that ") && command_has(r.err, "map.txt does not name: dog\n")
          && command_has(r.err, " has no folder for the split 'validation': all of its images are taken\n"), "%s", r.err);
    command_free(&r);
    write_map(map, root, "cat\nowk\n");
    r = command_run("timm validate %s -m test_vit --checkpoint %s --class-map %s", root, weights, map);
    CHECK(r.code == 0 && command_has(r.err, "told: no image of 1 class that ") && command_has(r.err, "map.txt names: owk\n"), "exit %d: %s", r.code,
          r.err);
    command_free(&r);
    r = command_run("timm validate %s -m test_vit --checkpoint %s --split ''", root, weights);
    CHECK(r.code == 2 && command_has(r.err, "timm validate: --split '' names no part of the images; without --split it is validation\n"),
          "exit %d: %s", r.code, r.err);
    command_free(&r);
    write_map(map, root, "cat\nowl\ncat\n");
    r = command_run("timm validate %s -m test_vit --checkpoint %s --class-map %s", root, weights, map);
    CHECK(r.code == 1 && !*r.out && command_has(r.err, "map.txt: 'cat' stands twice in it\n"), "exit %d: %s%s", r.code, r.out, r.err);
    command_free(&r);
}
