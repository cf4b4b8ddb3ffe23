/* train_cli.c - options of training: the library's table as a command's, and YAML files of them. */
#include "train_cli.h"
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST = 160 };

struct train_cli {
    option option[MOST];
    char name[MOST][64];
    bool flag[MOST];
    const char *text[MOST];             /* as given; NULL: not */
    text_list words[MOST];
    const timm_train_option *of[MOST];
    size_t count, first;                /* of option; where the library's begin */
};

static train_cli the;

train_cli *train_cli_new(const option *own, size_t count)
{
    the = (train_cli){ .count = count, .first = count };
    memcpy(the.option, own, count * sizeof *own);
    for (const timm_train_option *t = timm_train_options(); t->help && the.count < MOST - 1; t++) {
        size_t i = the.count++;
        option *p = &the.option[i];
        the.of[i] = t;
        *p = (option){ .help = t->help, .argument = t->argument };
        if (!t->name)
            continue;
        snprintf(the.name[i], sizeof *the.name, "--%s", t->name);
        p->name = the.name[i];
        p->kind = t->kind == TIMM_FLAG ? OPT_FLAG : t->kind == TIMM_LIST ? OPT_WORDS : OPT_TEXT;
        p->value = t->kind == TIMM_FLAG ? (void *)&the.flag[i] : t->kind == TIMM_LIST ? (void *)&the.words[i] : (void *)&the.text[i];
        p->letter = !strcmp(t->name, "batch-size") ? 'b' : !strcmp(t->name, "workers") ? 'j' : 0;
        if (t->fallback && *t->fallback && t->kind != TIMM_FLAG) {
            static char help[MOST][256];
            snprintf(help[i], sizeof *help, "%s (%s)", t->help, t->fallback);
            p->help = help[i];
        }
    }
    return &the;
}

const option *train_cli_options(const train_cli *t) { return t->option; }

/* The words of a list as one text, which lives until the program ends. */
static const char *joined(const text_list *l)
{
    static char text[8][4096];
    static int turn;
    char *to = text[turn = (turn + 1) % 8];
    size_t at = 0;
    to[0] = 0;
    for (size_t i = 0; i < l->count && at < sizeof *text; i++)
        at += (size_t)snprintf(to + at, sizeof *text - at, "%s%s", i ? " " : "", l->text[i]);
    return to;
}

static const char *given(const train_cli *t, size_t i)
{
    return t->flag[i] ? "true" : t->words[i].count ? joined(&t->words[i]) : t->text[i];
}

static size_t index_of(const train_cli *t, const char *name)
{
    for (size_t i = t->first; i < t->count; i++)
        if (t->of[i]->name && !strcmp(t->of[i]->name, name))
            return i;
    return t->count;
}

int64_t train_cli_int(const train_cli *t, const char *name, int64_t otherwise)
{
    size_t i = index_of(t, name);
    return i < t->count && t->text[i] ? strtoll(t->text[i], NULL, 10) : otherwise;
}

static const char *text_of(const train_cli *t, const char *name)
{
    size_t i = index_of(t, name);
    return i < t->count ? given(t, i) : NULL;
}

int train_cli_classes(const train_cli *t, timm_ctx *ctx, const char *dir)
{
    const char *train = text_of(t, "train-split"), *val = text_of(t, "val-split"), *named = text_of(t, "data-dir");
    return timm_count_classes(ctx, text_of(t, "dataset"), dir ? dir : named, train && !*train && val ? val : train, text_of(t, "class-map"));
}

void train_cli_apply(const train_cli *t, timm_trainer *trainer, const char *dir)
{
    for (size_t i = t->first; i < t->count; i++) {
        const char *value = t->of[i]->name ? given(t, i) : NULL;
        if (value)
            timm_trainer_set(trainer, t->of[i]->name, value);
    }
    if (dir)
        timm_trainer_set(trainer, "data-dir", dir);
}

void train_cli_note(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "timm: %s\n", text);
}

/* -- YAML ------------------------------------------------------------------------------------------------------------------ */

static const char *keep(const char *text)
{
    static text_list all;
    char *copy = strdup(text);
    if (!copy)
        exit(EXIT_FAILED);
    cli_append(&all, copy);
    return copy;
}

static bool is_null(const yaml_node_t *n)
{
    const char *s = (const char *)n->data.scalar.value;
    return n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!*s || !strcmp(s, "null") || !strcmp(s, "~"));
}

static void store_own(const option *p, const char *value)
{
    bool *flag = p->value;
    if (p->kind == OPT_FLAG)
        *flag = *flag || !strcmp(value, "true");
    else if (p->kind == OPT_INT && !*(int64_t *)p->value)
        *(int64_t *)p->value = strtoll(value, NULL, 10);
    else if (p->kind == OPT_DOUBLE && *(double *)p->value == 0)
        *(double *)p->value = strtod(value, NULL);
    else if (p->kind == OPT_TEXT && !*(const char **)p->value)
        *(const char **)p->value = keep(value);
}

/* One "key: value"; false: no such option. */
static bool take(train_cli *t, yaml_document_t *d, const char *key, yaml_node_t *value, const option *own, size_t count)
{
    char name[64];
    snprintf(name, sizeof name, "--%s", key);
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : *p;
    bool scalar = value->type == YAML_SCALAR_NODE;
    if (scalar && is_null(value))
        return true;
    for (size_t i = 0; i < count; i++)
        if (own[i].name && !strcmp(own[i].name, name)) {
            if (scalar)
                store_own(&own[i], (const char *)value->data.scalar.value);
            return scalar;
        }
    size_t i = index_of(t, name + 2);
    if (i == t->count)
        return false;
    if (given(t, i))
        return true;                                     /* the command line wins */
    if (value->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++) {
            yaml_node_t *n = yaml_document_get_node(d, *item);
            if (n && n->type == YAML_SCALAR_NODE)
                cli_append(&t->words[i], keep((const char *)n->data.scalar.value));
        }
        return true;
    }
    if (scalar)
        t->text[i] = keep((const char *)value->data.scalar.value);
    return scalar;
}

int train_cli_config(train_cli *t, const char *path, const option *own, size_t count)
{
    yaml_parser_t parser;
    yaml_document_t d;
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return EXIT_FAILED;
    }
    int code = EXIT_OK;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return EXIT_FAILED;
    }
    yaml_parser_set_input_file(&parser, f);
    if (!yaml_parser_load(&parser, &d)) {
        fprintf(stderr, "timm train: %s: line %zu: %s\n", path, parser.problem_mark.line + 1, parser.problem ? parser.problem : "no YAML");
        code = EXIT_USAGE;
    } else {
        yaml_node_t *root = yaml_document_get_root_node(&d);
        if (root && root->type != YAML_MAPPING_NODE) {
            fprintf(stderr, "timm train: %s: not a list of options, 'name: value'\n", path);
            code = EXIT_USAGE;
        }
        for (yaml_node_pair_t *p = root && !code ? root->data.mapping.pairs.start : NULL; p && p < root->data.mapping.pairs.top && !code; p++) {
            yaml_node_t *key = yaml_document_get_node(&d, p->key), *value = yaml_document_get_node(&d, p->value);
            const char *name = key && key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
            if (!value || !take(t, &d, name, value, own, count)) {
                fprintf(stderr, "timm train: %s: line %zu: no option '%s' with such a value\n", path, key ? key->start_mark.line + 1 : 0, name);
                code = EXIT_USAGE;
            }
        }
        yaml_document_delete(&d);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    return code;
}
