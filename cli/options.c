/* options.c - GNU options from a table, help from the same table. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "cli.h"

/* Lists live until the program ends: whatever way a command returns, nothing is left to free. */
static struct block { struct block *next; const char *text[]; } *blocks;

static void free_blocks(void)
{
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

void cli_append(text_list *l, const char *text)
{
    if (l->count + 1 >= l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        struct block *b = calloc(1, sizeof *b + room * sizeof *b->text);
        if (!b) {
            fputs("timm: out of memory\n", stderr);
            exit(EXIT_FAILED);
        }
        if (!blocks)
            atexit(free_blocks);
        if (l->count)
            memcpy(b->text, l->text, l->count * sizeof *b->text);
        b->next = blocks;
        blocks = b;
        l->text = b->text;
        l->room = room;
    }
    l->text[l->count++] = text;
    l->text[l->count] = NULL;
}

const char *cli_joined(const text_list *l)
{
    static char text[8][4096];
    static int turn;
    char *to = text[turn = (turn + 1) % 8];
    size_t at = 0;
    for (size_t i = 0; i < l->count && at < sizeof *text; i++)
        at += (size_t)snprintf(to + at, sizeof *text - at, "%s%s", i ? " " : "", l->text[i]);
    return l->count ? to : NULL;
}

int cli_usage(const command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "timm %s: ", c->name);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry 'timm %s --help'.\n", c->name);
    return EXIT_USAGE;
}

void cli_help(const command *c, const option *options, FILE *f)
{
    fprintf(f, "timm %s - %s\n\nUsage: timm %s %s\n\n%s\n", c->name, c->summary, c->name, c->synopsis, c->description);
    fputs("\nOptions:\n", f);
    for (const option *o = options; o->help; o++) {
        char left[64] = "", letter[8] = "    ";
        if (!o->name) {
            fprintf(f, "\n%s\n", o->help);
            continue;
        }
        if (!*o->help)
            continue;
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        fprintf(f, "  %-30s %s\n", left, o->help);
    }
    fprintf(f, "      %-26s %s\n\nExamples:\n%s", "--help", "this text", c->examples);
}

static const option *find(const option *options, const char *name, size_t n)
{
    for (const option *o = options; o->help; o++)
        if (o->name && strlen(o->name) == n && !strncmp(o->name, name, n))
            return o;
    return NULL;
}

/* Levenshtein distance, enough for names of options and commands. */
static size_t edits(const char *a, const char *b)
{
    size_t row[64], nb = strlen(b) < 63 ? strlen(b) : 63;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

bool cli_nearer(const char *word, const char *name, size_t *least)
{
    size_t n = strlen(word), d = n > 2 && !strncmp(word, name, n) ? 1 : edits(word, name);   /* a beginning is near */
    bool nearer = d < *least && 2 * d <= n - strspn(word, "-");
    *least = nearer ? d : *least;
    return nearer;
}

static int unknown(const command *c, const option *options, const char *arg)
{
    char word[64];
    const option *best = NULL;
    size_t least = CLI_NEAR + 1;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(arg, "="), arg);
    for (const option *o = options; o->help; o++)
        if (o->name && *o->help && cli_nearer(word, o->name, &least))
            best = o;
    return best ? cli_usage(c, "no option is called '%s'; did you mean '%s'?", word, best->name)
                : cli_usage(c, "no option is called '%s'", word);
}

static int store(const command *c, const option *o, const char *text)
{
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPT_FLAG:
        if (text && strcmp(text, "true") && strcmp(text, "false"))
            return cli_usage(c, "%s takes no value, or =true or =false", o->name);
        *(bool *)o->value = !text || !strcmp(text, "true");
        return 0;
    case OPT_TEXT:
    case OPT_MAYBE:
        *(const char **)o->value = text;
        return 0;
    case OPT_LIST:
    case OPT_WORDS:
        cli_append(o->value, text);
        return 0;
    case OPT_INT: {
        long long v = strtoll(text, &end, 10);
        if (errno || end == text || *end)
            return cli_usage(c, "%s takes a whole number, not '%s'", o->name, text);
        if (o->most > o->least && (v < o->least || v > o->most))
            return cli_usage(c, "%s takes a number from %lld to %lld, not '%s'", o->name, (long long)o->least,
                             (long long)o->most, text);
        *(int64_t *)o->value = v;
        return 0;
    }
    case OPT_DOUBLE: {
        double v = strtod(text, &end);
        if (errno || end == text || *end || !isfinite(v))
            return cli_usage(c, "%s takes a number, not '%s'", o->name, text);
        if (o->most > o->least && (v < (double)o->least || v > (double)o->most))
            return cli_usage(c, "%s takes a number from %lld to %lld, not '%s'", o->name, (long long)o->least,
                             (long long)o->most, text);
        *(double *)o->value = v;
        return 0;
    }
    }
    return 0;
}

/* Not an option; negative numbers, and lists that begin with one, are none. */
static bool is_word(const char *arg)
{
    char *end;
    (void)strtod(arg, &end);
    return arg[0] != '-' || !arg[1] || !*end || strchr(".0123456789", arg[1]);
}

/* The flag that "--no-flag", the first letters of arg, puts out. */
static const option *find_negated(const option *options, const char *arg, size_t length)
{
    char name[64];
    if (length < 5 || strncmp(arg, "--no-", 5))
        return NULL;
    int n = snprintf(name, sizeof name, "--%.*s", (int)length - 5, arg + 5);
    const option *o = n < (int)sizeof name ? find(options, name, (size_t)n) : NULL;
    return o && o->kind == OPT_FLAG ? o : NULL;
}

bool cli_options(const command *c, const option *options, int argc, char **argv, text_list *operands, int *code)
{
    bool only_operands = false;
    *code = 0;
    cli_append(operands, "");
    operands->text[--operands->count] = NULL;            /* an empty list ends in NULL too */
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        if (only_operands || arg[0] != '-' || !arg[1]) {
            cli_append(operands, arg);
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_operands = true;
            continue;
        }
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
            cli_help(c, options, stdout);
            return false;
        }
        const option *o = NULL;
        const char *text = NULL;
        if (arg[1] == '-') {
            size_t n = strcspn(arg, "=");
            o = find(options, arg, n);
            text = arg[n] ? arg + n + 1 : NULL;
            if (!o && (o = find_negated(options, arg, n))) {
                if (text) {
                    *code = cli_usage(c, "%.*s takes no value", (int)n, arg);
                    return false;
                }
                text = "false";
            }
        } else if (!(o = find(options, arg, strlen(arg)))) {              /* but for "-vb" */
            for (const option *k = options; k->help && !o; k++)
                if (k->letter == arg[1])
                    o = k;
            text = arg[2] ? arg + 2 : NULL;
        }
        if (!o) {
            *code = unknown(c, options, arg);
            return false;
        }
        if (o->kind == OPT_MAYBE && !text && (i + 1 == argc || !is_word(argv[i + 1]))) {
            text = "";
        } else if (o->kind != OPT_FLAG && !text) {
            if (++i == argc || !is_word(argv[i])) {
                *code = cli_usage(c, "%s needs a value: %s %s", o->name, o->name, o->argument);
                return false;
            }
            text = argv[i];
        }
        if (o->kind == OPT_WORDS && o->most)                   /* a whole: said again, it is another */
            ((text_list *)o->value)->count = 0;
        if ((*code = store(c, o, text)))
            return false;
        for (int64_t n = 1; o->kind == OPT_WORDS && n != o->most && i + 1 < argc && is_word(argv[i + 1]); n++)
            cli_append(o->value, argv[++i]);
    }
    return true;
}

int cli_input_size(const command *c, const text_list *words, int64_t chans, int64_t side, int64_t size[3])
{
    const char *text = cli_joined(words);
    long long v[3] = { chans, side, side };
    char more;
    if (text && (sscanf(text, "%lld %lld %lld %c", &v[0], &v[1], &v[2], &more) != 3 || v[0] < 1 || v[0] > 3 || v[1] < 1 || v[1] > 65535
                 || v[2] < 1 || v[2] > 65535))
        return cli_usage(c, "--input-size takes channels, height and width, as 3 224 224, not '%s'", text);
    if (chans && chans != v[0])
        return cli_usage(c, "--input-size says %lld channels, --in-chans %lld", v[0], (long long)chans);
    if (side && (side != v[1] || side != v[2]))
        return cli_usage(c, "--input-size says %lld x %lld, --img-size %lld", v[1], v[2], (long long)side);
    for (int i = 0; i < 3; i++)
        size[i] = v[i];
    return EXIT_OK;
}
