/* kwargs.c - keyword arguments of a network's constructor, timm's model_kwargs: they change a copy of its row in the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/model.h"

enum { MOST_NUMBERS = 16, LARGEST = 65536 };

typedef struct word { const char *text; int n; } word;

static bool is(word w, const char *name) { return (int)strlen(name) == w.n && !strncmp(w.text, name, (size_t)w.n); }

/* "[1, 2]", "(1, 2)", "1,2": how many whole numbers above 0 in out; 0: it is not that. */
static int numbers(word w, int out[static MOST_NUMBERS])
{
    const char *p = w.text, *end = w.text + w.n;
    bool closed = w.n > 1 && ((*p == '[' && end[-1] == ']') || (*p == '(' && end[-1] == ')'));
    int n = 0;
    for (p += closed, end -= closed; p < end && n < MOST_NUMBERS; n++) {
        char *after;
        long v = strtol(p, &after, 10);
        if (after == p || v < 1 || v > LARGEST)
            return 0;
        out[n] = (int)v;
        for (p = after; p < end && *p == ' ';)
            p++;
        if (p < end && *p++ != ',')
            return 0;
    }
    return p == end ? n : 0;
}

/* The place of a word in "|deep|deep_tiered", whose first is ''; -1: it is none of them. */
static int place(word w, const char *words)
{
    for (int i = 0;; i++) {
        size_t n = strcspn(words, "|");
        if ((int)n == w.n && !strncmp(words, w.text, n))
            return i;
        if (!words[n])
            return -1;
        words += n + 1;
    }
}

static bool set(status *st, const timm_kwarg *k, word value, void *variant)
{
    int v[MOST_NUMBERS];
    void *field = (char *)variant + k->at;
    bool yes = is(value, "True") || is(value, "true");
    switch (k->kind) {
    case TIMM_KW_BOOL:
        if (!yes && !is(value, "False") && !is(value, "false"))
            return status_fail(st, TIMM_BAD_ARG, "%s is True or False, not '%.*s'", k->name, value.n, value.text);
        *(bool *)field = yes;
        return true;
    case TIMM_KW_WORD:
        *v = place(value, k->words);
        if (*v < 0)
            return status_fail(st, TIMM_BAD_ARG, "%s is one of '%s', not '%.*s'", k->name, k->words, value.n, value.text);
        break;
    case TIMM_KW_INTS:
        if (numbers(value, v) != k->count)
            return status_fail(st, TIMM_BAD_ARG, "%s takes %d whole number%s from 1, not '%.*s'", k->name, k->count,
                               k->count == 1 ? "" : "s", value.n, value.text);
    }
    memcpy(field, v, sizeof *v * (size_t)(k->kind == TIMM_KW_INTS ? k->count : 1));
    return true;
}

static bool unknown(timm_model *m, word name)
{
    char text[1024] = "";
    size_t at = 0;
    for (const timm_kwarg *k = m->family->kwargs; k && k->name && at < sizeof text; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? ", " : "", k->name);
    return status_fail(&m->ctx->st, TIMM_BAD_ARG, "%s takes no argument '%.*s'; it takes %s", m->cfg.architecture, name.n,
                       name.text, at ? text : "none");
}

/* Up to a blank outside brackets. */
static int length_of_value(const char *p)
{
    int n = 0;
    for (int depth = 0; p[n] && (p[n] != ' ' || depth); n++)
        depth += (p[n] == '[' || p[n] == '(') - (p[n] == ']' || p[n] == ')');
    return n;
}

bool model_take_kwargs(timm_model *m, const char *text)
{
    status *st = &m->ctx->st;
    if (!text || !*text)
        return true;
    void *variant = arena_alloc(&m->mem, m->family->size);
    m->kwargs = arena_strdup(&m->mem, text);
    if (!variant || !m->kwargs)
        return status_fail(st, TIMM_NO_MEMORY, "out of memory for a model");
    m->variant = memcpy(variant, m->variant, m->family->size);
    for (const char *p = text; *(p += strspn(p, " "));) {
        word name = { p, (int)strcspn(p, "= ") };
        if (p[name.n] != '=')
            return status_fail(st, TIMM_BAD_ARG, "model_kwargs are NAME=VALUE, not '%.*s'", name.n, p);
        word value = { p + name.n + 1, length_of_value(p + name.n + 1) };
        const timm_kwarg *k = m->family->kwargs;
        while (k && k->name && !is(name, k->name))
            k++;
        if (!k || !k->name)
            return unknown(m, name);
        if (!set(st, k, value, variant))
            return false;
        p = value.text + value.n;
    }
    return true;
}
