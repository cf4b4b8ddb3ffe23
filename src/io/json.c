/* json.c - what jansson leaves open: a limit on depth, messages, and text that is written piece by piece. */
#include "json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mapped_file.h"

/* -- reading ------------------------------------------------------------------------------------------------------- */

json_label json_show(const char *text)
{
    json_label label;
    size_t n = 0, room = sizeof label.text - 4;
    for (; text[n] && n < room; n++)
        label.text[n] = (unsigned char)text[n] < 32 || text[n] == 127 ? '?' : text[n];
    while (text[n] && n && ((unsigned char)text[n] & 0xC0) == 0x80)      /* not in the middle of a character */
        n--;
    strcpy(label.text + n, text[n] ? "..." : "");
    return label;
}

/* jansson itself stops at 2048, so this recursion is bounded too. */
static bool too_deep(json_t *v, int room)
{
    const char *key;
    json_t *child;
    size_t i;
    if ((json_is_object(v) || json_is_array(v)) && room == 0)
        return true;
    json_object_foreach(v, key, child)
        if (too_deep(child, room - 1))
            return true;
    json_array_foreach(v, i, child)
        if (too_deep(child, room - 1))
            return true;
    return false;
}

/* jansson 2.14 ends the process (assert) when memory runs out inside a string, so it is asked for beforehand.  The tree
 * of a tensor file's header takes twelve bytes a byte of text. */
static bool has_room(size_t length)
{
    void *probe = length < SIZE_MAX / 32 ? malloc(16 * length + (64 << 10)) : NULL;
    free(probe);
    return probe != NULL;
}

json_t *json_parse(const char *text, size_t length, const char *name, status *st)
{
    if (!status_ok(st))
        return NULL;
    json_error_t e;
    bool room = has_room(length);
    json_t *v = room ? json_loadb(text, length, JSON_REJECT_DUPLICATES, &e) : NULL;
    if (!v && (!room || e.line < 0))                         /* without a place the text is not to blame */
        status_fail(st, TIMM_NO_MEMORY, "%s: out of memory for %zu bytes of JSON", name, length);
    else if (!v)
        status_fail(st, TIMM_BAD_FILE, "%s: not JSON: line %d, column %d: %s", name, e.line, e.column,
                    json_show(e.text).text);
    if (!v || !too_deep(v, JSON_MAX_DEPTH))
        return v;
    status_fail(st, TIMM_BAD_FILE, "%s: JSON nested more than %d deep", name, JSON_MAX_DEPTH);
    json_decref(v);
    return NULL;
}

json_t *json_parse_file(const char *path, size_t limit, status *st)
{
    mapped_file m;
    if (!mapped_open(&m, path, st))
        return NULL;
    json_t *v = NULL;
    if (m.size > limit)
        status_fail(st, TIMM_BAD_FILE, "%s: %zu bytes of JSON, at most %zu are accepted", path, m.size, limit);
    else
        v = json_parse((const char *)m.bytes, m.size, path, st);
    mapped_close(&m);
    return v;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static void put(json_writer *w, const char *text, size_t n)
{
    if (w->failed || n > SIZE_MAX / 4) {
        w->failed = true;
        return;
    }
    if (n >= w->room - w->length) {                          /* one byte is kept for the final 0 */
        size_t room = (w->length + n) * 2 + 256;
        char *grown = realloc(w->text, room);
        if (!grown) {
            w->failed = true;
            return;
        }
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->length, text, n);
    w->length += n;
}

static void puts_(json_writer *w, const char *text) { put(w, text, strlen(text)); }

static void before_value(json_writer *w)
{
    if (w->comma)
        puts_(w, w->compact ? "," : ", ");
}

static void word(json_writer *w, const char *text)
{
    before_value(w);
    puts_(w, text);
    w->comma = true;
}

static void begin(json_writer *w, const char *bracket)
{
    before_value(w);
    puts_(w, bracket);
    w->comma = false;
}

static void end(json_writer *w, const char *bracket)
{
    puts_(w, bracket);
    w->comma = true;
}

void jw_begin_object(json_writer *w) { begin(w, "{"); }
void jw_end_object(json_writer *w) { end(w, "}"); }
void jw_begin_array(json_writer *w) { begin(w, "["); }
void jw_end_array(json_writer *w) { end(w, "]"); }

/* Bytes of the character that text begins with; 0: not UTF-8 (overlong and surrogate forms are not). */
static size_t character(const unsigned char *text)
{
    static const struct { unsigned mask, lead, n; uint32_t least; } form[] = {
        { 0x80, 0x00, 1, 0 }, { 0xE0, 0xC0, 2, 0x80 }, { 0xF0, 0xE0, 3, 0x800 }, { 0xF8, 0xF0, 4, 0x10000 },
    };
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        if ((text[0] & form[i].mask) != form[i].lead)
            continue;
        uint32_t code = text[0] & ~form[i].mask;
        for (unsigned k = 1; k < form[i].n; k++) {
            if ((text[k] & 0xC0) != 0x80)                    /* the final 0 stops here as well */
                return 0;
            code = code << 6 | (text[k] & 0x3F);
        }
        bool surrogate = code >= 0xD800 && code < 0xE000;
        return code >= form[i].least && code < 0x110000 && !surrogate ? form[i].n : 0;
    }
    return 0;
}

static void quoted(json_writer *w, const char *text)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    put(w, "\"", 1);
    for (size_t n; *text; text += n ? n : 1) {
        n = character((const unsigned char *)text);
        const char *at = strchr(plain, *text);
        char escape[8];
        if (at)
            snprintf(escape, sizeof escape, "\\%c", letter[at - plain]);
        else if (n == 1 && (unsigned char)*text < 32)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*text);
        else if (n == 0)
            strcpy(escape, "\xEF\xBF\xBD");
        else
            *escape = 0;
        put(w, *escape ? escape : text, *escape ? strlen(escape) : n);
    }
    put(w, "\"", 1);
}

void jw_key(json_writer *w, const char *key)
{
    before_value(w);
    quoted(w, key);
    puts_(w, w->compact ? ":" : ": ");
    w->comma = false;
}

void jw_string(json_writer *w, const char *text)
{
    if (!text) {
        jw_null(w);
        return;
    }
    before_value(w);
    quoted(w, text);
    w->comma = true;
}

void jw_number(json_writer *w, double x)
{
    char text[40];
    if (!isfinite(x)) {
        jw_null(w);
        return;
    }
    snprintf(text, sizeof text, "%.9g", x);
    for (char *p = text; *p; p++)                            /* the locale's decimal sign, whatever it is */
        if (!strchr("0123456789+-e", *p))
            *p = '.';
    word(w, text);
}

void jw_int(json_writer *w, int64_t x)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, x);
    word(w, text);
}

void jw_bool(json_writer *w, bool x) { word(w, x ? "true" : "false"); }
void jw_null(json_writer *w) { word(w, "null"); }

char *jw_finish(json_writer *w, size_t *length)
{
    put(w, "", 0);                                           /* there is a buffer */
    char *text = w->text;
    if (w->failed) {
        free(text);
        text = NULL;
    } else {
        text[w->length] = 0;
    }
    if (length)
        *length = text ? w->length : 0;
    *w = (json_writer){ .compact = w->compact };
    return text;
}
