/* train_cli.c - options of training: the library's table as a command's, and YAML files of them. */
#include "train_cli.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { MOST = 256 };

struct train_cli {
    option option[MOST];
    char name[MOST][64];
    bool flag[MOST];
    const char *text[MOST];             /* as given; NULL: not */
    text_list words[MOST];
    const char *file[MOST];             /* what the configuration says; the command line wins */
    const timm_train_option *of[MOST];
    size_t count, first;                /* of option; where the library's begin */
    size_t absent;                      /* where those begin that are not there */
};

static train_cli the;

static size_t end_of(const train_cli *t)
{
    size_t n = 0;
    while (t->option[n].help)
        n++;
    return n;
}

/* What t->option[i] writes to. */
static void *place_of(train_cli *t, size_t i, option_kind kind)
{
    return kind == OPT_FLAG ? (void *)&t->flag[i] : kind == OPT_WORDS ? (void *)&t->words[i] : (void *)&t->text[i];
}

/* Options of timm's that are not there, behind all: scripts may say that they want nothing of them. */
static void add_absent(train_cli *t)
{
    const char *key;
    option_kind kind;
    size_t n = t->absent = end_of(t);
    for (size_t i = 0; (key = train_absent_name(i, &kind)) && n < MOST - 1; i++, n++) {
        snprintf(t->name[n], sizeof *t->name, "--%s", key);
        for (char *p = t->name[n]; *p; p++)
            *p = *p == '_' ? '-' : *p;
        t->option[n] = (option){ .name = t->name[n], .kind = kind, .value = place_of(t, n, kind), .argument = "X", .help = "" };
    }
}

/* timm's other names of the library's options: the letters with them, longer ones behind all, where they are the same values. */
static void add_aliases(train_cli *t)
{
    static char help[MOST][64];
    size_t n = t->count;
    t->option[n++].help = "Names as in timm:";
    for (size_t i = t->first; i < t->count; i++) {
        const char *alias = t->of[i]->name ? timm_train_alias(t->of[i]->name) : NULL;
        if (alias && strlen(alias) == 2) {
            t->option[i].letter = alias[1];
        } else if (alias && n < MOST - 1) {
            snprintf(help[n], sizeof *help, "as %s", t->option[i].name);
            t->option[n] = t->option[i];
            t->option[n].name = alias;
            t->option[n].help = help[n];
            n++;
        }
    }
}

train_cli *train_cli_new(const option *own, size_t count)
{
    the = (train_cli){ .count = count, .first = count };
    memcpy(the.option, own, count * sizeof *own);
    for (const timm_train_option *t = timm_train_options(); t->help && the.count < MOST - 2; t++) {
        size_t i = the.count++;
        option *p = &the.option[i];
        the.of[i] = t;
        *p = (option){ .help = t->help, .argument = t->argument };
        if (!t->name)
            continue;
        snprintf(the.name[i], sizeof *the.name, "--%s", t->name);
        p->name = the.name[i];
        p->kind = t->kind == TIMM_FLAG ? OPT_FLAG : t->kind == TIMM_LIST ? OPT_WORDS : OPT_TEXT;
        p->value = place_of(&the, i, p->kind);
        if (t->fallback && *t->fallback && t->kind != TIMM_FLAG) {
            static char help[MOST][256];
            snprintf(help[i], sizeof *help, "%s (%s)", t->help, t->fallback);
            p->help = help[i];
        }
    }
    add_aliases(&the);
    add_absent(&the);
    return &the;
}

const option *train_cli_options(const train_cli *t) { return t->option; }

static const char *given(const train_cli *t, size_t i)
{
    return t->flag[i] ? "true" : t->words[i].count ? cli_joined(&t->words[i]) : t->text[i] ? t->text[i] : t->file[i];
}

int train_cli_absent(const train_cli *t, const command *c)
{
    const char *key, *value;
    option_kind kind;
    for (size_t i = 0; (key = train_absent_name(i, &kind)); i++)
        if ((value = given(t, t->absent + i)) && train_absent_option(key, value) == ABSENT_ASKED)
            return cli_usage(c, "timm's %s is not there yet, and '%s' asks for it", t->name[t->absent + i], value);
    return EXIT_OK;
}

static size_t index_of(const train_cli *t, const char *name)
{
    for (size_t i = t->first; i < t->count; i++) {
        const char *alias = t->of[i]->name ? timm_train_alias(t->of[i]->name) : NULL;
        if (t->of[i]->name && (!strcmp(t->of[i]->name, name) || (alias && !strcmp(alias + strspn(alias, "-"), name))))
            return i;
    }
    return t->count;
}

int64_t train_cli_int(const train_cli *t, const char *name, int64_t otherwise)
{
    size_t i = index_of(t, name);
    const char *text = i < t->count ? given(t, i) : NULL;
    return text ? strtoll(text, NULL, 10) : otherwise;
}

static const char *text_of(const train_cli *t, const char *name)
{
    size_t i = index_of(t, name);
    return i < t->count ? given(t, i) : NULL;
}

int train_cli_classes(const train_cli *t, timm_ctx *ctx, const char *dir)
{
    const char *train = text_of(t, "train-split"), *val = text_of(t, "val-split"), *named = text_of(t, "data-dir");
    const char *task = text_of(t, "task"), *kind = text_of(t, "dataset");
    kind = task && (!strcmp(task, "multilabel") || !strcmp(task, "regression")) ? task : kind;
    return timm_count_classes(ctx, kind, dir ? dir : named, train && !*train ? val ? val : "validation" : train, text_of(t, "class-map"));
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

static struct kept { struct kept *next; char text[]; } *kept;

static void free_kept(void)
{
    while (kept) {
        struct kept *next = kept->next;
        free(kept);
        kept = next;
    }
}

/* A copy that lives until the program ends. */
static const char *keep(const char *text)
{
    size_t n = strlen(text) + 1;
    struct kept *k = malloc(sizeof *k + n);
    if (!k) {
        fputs("timm: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    if (!kept)
        atexit(free_kept);
    *k = (struct kept){ .next = kept };
    kept = k;
    return memcpy(k->text, text, n);
}

typedef struct config { train_cli *t; yaml_document_t d; const char *path; const option *own; size_t count; } config;

static int tell(const config *c, const yaml_node_t *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int tell(const config *c, const yaml_node_t *at, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "timm train: %s: line %zu: ", c->path, at ? at->start_mark.line + 1 : 1);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static const char *scalar(const yaml_node_t *n)
{
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static bool is_null(const yaml_node_t *n)
{
    const char *s = scalar(n);
    return s && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!*s || !strcmp(s, "null") || !strcmp(s, "~"));
}

/* YAML has several words for true and false. */
static const char *truth(const char *text)
{
    static const char *const words[][2] = { { "true", "true" }, { "yes", "true" }, { "on", "true" }, { "false", "false" }, { "no", "false" },
                                            { "off", "false" } };
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(text, words[i][0]))
            return words[i][1];
    return text;
}

/* A scalar, or a list of them with `between` between; NULL: neither, or too long. */
static const char *value_of(config *c, const yaml_node_t *n, const char *between)
{
    char text[4096] = "";
    size_t at = 0;
    if (scalar(n))
        return keep(scalar(n));
    if (n->type != YAML_SEQUENCE_NODE)
        return NULL;
    for (yaml_node_item_t *item = n->data.sequence.items.start; item < n->data.sequence.items.top; item++) {
        const char *word = scalar(yaml_document_get_node(&c->d, *item));
        if (!word || at + strlen(word) + 2 > sizeof text)
            return NULL;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? between : "", word);
    }
    return keep(text);
}

/* "{a: 1, b: [2, 3]}" as "a=1 b=[2,3]"; NULL: it is no such thing. */
static const char *pairs_of(config *c, const yaml_node_t *n)
{
    char text[4096] = "";
    size_t at = 0;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const char *key = scalar(yaml_document_get_node(&c->d, p->key)), *value = NULL;
        const yaml_node_t *of = yaml_document_get_node(&c->d, p->value);
        bool one = scalar(of);
        value = key ? value_of(c, of, ",") : NULL;
        value = one && of->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? truth(value) : value;
        if (!value || at + strlen(key) + strlen(value) + 5 > sizeof text)
            return NULL;
        at += (size_t)snprintf(text + at, sizeof text - at, one ? "%s%s=%s" : "%s%s=[%s]", at ? " " : "", key, value);
    }
    return keep(text);
}

static const char *misfit(option_kind kind, const char *text)
{
    char *end;
    double v = kind == OPT_INT ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (kind == OPT_FLAG)
        return strcmp(text, "true") != 0 && strcmp(text, "false") != 0 ? "true or false" : NULL;
    return (kind == OPT_INT || kind == OPT_DOUBLE) && (end == text || *end || !isfinite(v)) ? kind == OPT_INT ? "a whole number" : "a number" : NULL;
}

static void store_own(const option *p, const char *value)
{
    switch (p->kind) {
    case OPT_FLAG: *(bool *)p->value = !strcmp(value, "true"); break;
    case OPT_INT: *(int64_t *)p->value = strtoll(value, NULL, 10); break;
    case OPT_DOUBLE: *(double *)p->value = strtod(value, NULL); break;
    case OPT_WORDS: *(text_list *)p->value = (text_list){ 0 }; cli_append(p->value, value); break;
    default: *(const char **)p->value = value;
    }
}

static int unknown(const config *c, const yaml_node_t *at, const char *key, const char *name)
{
    const char *best = NULL;
    size_t least = CLI_NEAR + 1;
    for (const option *o = c->t->option; o->help; o++)
        if (o->name && *o->help && cli_nearer(name, o->name, &least))
            best = o->name;
    char like[64] = "";
    snprintf(like, sizeof like, "%s", best ? best + 2 : "");
    for (char *p = like; *p; p++)
        *p = *p == '-' ? '_' : *p;
    return best ? tell(c, at, "no option is called '%s'; did you mean '%s'?", key, like) : tell(c, at, "no option is called '%s'", key);
}

/* An option of timm's that is not there: fine as long as it asks for nothing. */
static int take_absent(const config *c, const yaml_node_t *key, const yaml_node_t *value, const char *name)
{
    const char *text = truth(scalar(value));
    train_absent is = train_absent_option(scalar(key), text);
    if (is == ABSENT_UNKNOWN)
        return unknown(c, key, scalar(key), name);
    return is == ABSENT_OFF ? EXIT_OK : tell(c, key, "timm's %s is not there yet, and %s%s%s asks for it; null does without", scalar(key),
                                             text ? "'" : "", text ? text : "a list", text ? "'" : "");
}

static const option_kind kinds[] = { [TIMM_FLAG] = OPT_FLAG, [TIMM_INT] = OPT_INT, [TIMM_NUMBER] = OPT_DOUBLE, [TIMM_TEXT] = OPT_TEXT,
                                     [TIMM_LIST] = OPT_WORDS };

/* One "key: value". */
static int take(config *c, const yaml_node_t *key, const yaml_node_t *value)
{
    char name[64];
    if (!scalar(key) || !value)
        return tell(c, key, "a name of an option is wanted");
    snprintf(name, sizeof name, "--%s", scalar(key));
    for (char *p = name; *p; p++)
        *p = *p == '_' ? '-' : *p;
    const option *own = NULL;
    for (size_t i = 0; i < c->count && !own; i++)
        own = c->own[i].name && !strcmp(c->own[i].name, name) ? &c->own[i] : NULL;
    size_t i = index_of(c->t, name + 2);
    if (is_null(value))                                  /* not set: timm's own files name every option */
        return EXIT_OK;
    if (!own && i == c->t->count)
        return take_absent(c, key, value, name);
    option_kind kind = own ? own->kind : kinds[c->t->of[i]->kind];
    const char *argument = own ? own->argument : c->t->of[i]->argument;      /* a flag has none */
    bool pairs = value->type == YAML_MAPPING_NODE && argument && !strcmp(argument, "K=V...");
    const char *text = pairs ? pairs_of(c, value) : kind == OPT_WORDS || scalar(value) ? value_of(c, value, " ") : NULL;
    text = kind == OPT_FLAG ? truth(text) : text;
    if (!text)
        return tell(c, key, "%s takes %s", scalar(key), kind == OPT_WORDS ? "a list" : "one value");
    if (misfit(kind, text))
        return tell(c, key, "%s takes %s, not '%s'", scalar(key), misfit(kind, text), text);
    if (own && kind != OPT_WORDS && own->most > own->least && (strtod(text, NULL) < (double)own->least || strtod(text, NULL) > (double)own->most))
        return tell(c, key, "%s takes a number from %lld to %lld, not '%s'", scalar(key), (long long)own->least, (long long)own->most, text);
    if (own)
        store_own(own, text);
    else if (kind == OPT_FLAG)                           /* the command line is read once more, and may put it out again */
        c->t->flag[i] = !strcmp(text, "true"), c->t->file[i] = c->t->flag[i] ? NULL : text;
    else
        c->t->file[i] = text;
    return EXIT_OK;
}

int train_cli_config(train_cli *t, const char *path, const option *own, size_t count)
{
    yaml_parser_t parser;
    config c = { .t = t, .path = path, .own = own, .count = count };
    FILE *f = fopen(path, "rb");
    if (!f || !yaml_parser_initialize(&parser)) {
        fprintf(stderr, "timm train: %s: cannot open: %s\n", path, strerror(errno));
        if (f)
            fclose(f);
        return EXIT_FAILED;
    }
    int code = EXIT_OK;
    yaml_parser_set_input_file(&parser, f);
    bool parsed = yaml_parser_load(&parser, &c.d);
    if (!parsed && ferror(f)) {
        fprintf(stderr, "timm train: %s: cannot read: %s\n", path, strerror(errno));
        code = EXIT_FAILED;
    } else if (!parsed) {
        fprintf(stderr, "timm train: %s: line %zu: no YAML: %s\n", path, parser.problem_mark.line + 1, parser.problem ? parser.problem : "");
        code = EXIT_USAGE;
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&c.d);
        if (root && root->type != YAML_MAPPING_NODE)
            code = tell(&c, root, "a list of options is wanted, 'name: value' a line");
        for (yaml_node_pair_t *p = root && !code ? root->data.mapping.pairs.start : NULL; p && p < root->data.mapping.pairs.top && !code; p++)
            code = take(&c, yaml_document_get_node(&c.d, p->key), yaml_document_get_node(&c.d, p->value));
        yaml_document_delete(&c.d);
    }
    yaml_parser_delete(&parser);
    fclose(f);
    for (size_t i = 0; i < t->count; i++)
        t->words[i].count = 0;                           /* the command line is read once more, over what the file says */
    return code;
}
