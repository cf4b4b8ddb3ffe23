/* fuzz_json.c - any bytes as JSON; what is accepted is written by our writer and must read back equal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "io/json.h"
#include "scratch.h"

static void write_value(json_writer *w, json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        jw_begin_object(w);
        json_object_foreach(v, key, child) {
            jw_key(w, key);
            write_value(w, child);
        }
        jw_end_object(w);
        break;
    case JSON_ARRAY:
        jw_begin_array(w);
        json_array_foreach(v, i, child)
            write_value(w, child);
        jw_end_array(w);
        break;
    case JSON_STRING: jw_string(w, json_string_value(v)); break;
    case JSON_INTEGER: jw_int(w, json_integer_value(v)); break;
    case JSON_REAL: jw_number(w, json_real_value(v)); break;
    case JSON_NULL: jw_null(w); break;
    default: jw_bool(w, json_is_true(v));
    }
}

/* Nine digits make another real, perhaps an integer; everything else is the same value. */
static bool equal(json_t *a, json_t *b)
{
    const char *key;
    json_t *child;
    size_t i;
    if (json_is_real(a))
        return json_is_number(b) && fabs(json_number_value(b) - json_real_value(a)) <= 1e-8 * fabs(json_real_value(a));
    if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b)
        || json_array_size(a) != json_array_size(b))
        return false;
    json_object_foreach(a, key, child)
        if (!json_object_get(b, key) || !equal(child, json_object_get(b, key)))
            return false;
    json_array_foreach(a, i, child)
        if (!equal(child, json_array_get(b, i)))
            return false;
    return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}

static void write_and_compare(json_t *v, bool compact)
{
    json_writer w = { .compact = compact };
    status st = { 0 };
    size_t length;
    write_value(&w, v);
    char *text = jw_finish(&w, &length);
    json_t *again = text ? json_parse(text, length, "again", &st) : NULL;
    if (text && (!again || strlen(text) != length || !equal(v, again)))
        abort();
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    status st = { 0 };
    json_t *v = json_parse((const char *)data, size, "text", &st);
    if (!v != !!st.code)
        abort();
    if (v) {
        write_and_compare(v, false);
        write_and_compare(v, true);
    }
    json_decref(v);
    char text[64] = { 0 };                                   /* any bytes as a string: the result is always JSON */
    memcpy(text, data, size < 63 ? size : 63);
    json_writer w = { 0 };
    jw_begin_array(&w);
    jw_string(&w, text);
    jw_end_array(&w);
    char *out = jw_finish(&w, NULL);
    status ok = { 0 };
    v = out ? json_parse(out, strlen(out), "string", &ok) : NULL;
    if (out && !v)
        abort();
    json_decref(v);
    free(out);
    return 0;
}
