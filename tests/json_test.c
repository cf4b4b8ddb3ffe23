/* json_test.c - limits and messages of the reader; the writer's text, which is what Python's json.dumps gives. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "io/atomic_file.h"
#include "io/json.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static json_t *parse(const char *text, status *st) { return json_parse(text, strlen(text), "F", st); }

static const struct { const char *text, *said; } refused[] = {
    { "", "F: not JSON: line 1, column 0: '[' or '{' expected near end of file" },
    { "7", "F: not JSON: line 1, column 1: '[' or '{' expected near '7'" },
    { "{\"a\":1,\n\"a\":2}", "F: not JSON: line 2, column 3: duplicate object key near '\"a\"'" },
    { "[{\"a\":{\"b\":1,\"b\":1}}]", "F: not JSON: line 1, column 16: duplicate object key near '\"b\"'" },
    { "{} {}", "F: not JSON: line 1, column 4: end of file expected near '{'" },
    { "[1,]", "F: not JSON: line 1, column 4: unexpected token near ']'" },
    { "['a']", "F: not JSON: line 1, column 2: invalid token near '''" },
    { "[\"a", "F: not JSON: line 1, column 3: premature end of input near '\"a'" },
    { "[\"\\u0000\"]",
      "F: not JSON: line 1, column 9: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'" },
    { "[\"\xC0\x80\"]", "F: not JSON: line 1, column 2: unable to decode byte 0xc0 near '\"'" },
    { "[\"\xED\xA0\x80\"]", "F: not JSON: line 1, column 2: unable to decode byte 0xed near '\"'" },
    { "[1e999]", "F: not JSON: line 1, column 6: real number overflow near '1e999'" },
    { "[9223372036854775808]", "F: not JSON: line 1, column 20: too big integer near '9223372036854775808'" },
    { "[NaN]", "F: not JSON: line 1, column 4: invalid token near 'NaN'" },
    { "\xEF\xBB\xBF{}", "F: not JSON: line 1, column 1: '[' or '{' expected near '\xEF\xBB\xBF'" },
    { "[\033[2J]", "F: not JSON: line 1, column 2: invalid token near '?'" },
};

TEST(json_says_what_is_wrong_where)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        status st = { 0 };
        json_t *v = parse(refused[i].text, &st);
        CHECK(!v && st.code == TIMM_BAD_FILE && !strcmp(st.text, refused[i].said), "%s: %s", refused[i].text, st.text);
        json_decref(v);
    }
}

TEST(json_nests_64_deep_and_no_deeper)
{
    static const struct { const char *open, *close; } kinds[] = { { "[", "]" }, { "{\"a\":", "}" } };
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (int depth = 63; depth <= 3000; depth = depth < 66 ? depth + 1 : 2 * depth) {
            char *text = calloc(1, (size_t)depth * 8 + 8);
            REQUIRE(text, "memory");
            for (int i = 0; i < depth; i++)
                strcat(text, kinds[k].open);
            strcat(text, "0");
            for (int i = 0; i < depth; i++)
                strcat(text, kinds[k].close);
            status st = { 0 };
            json_t *v = parse(text, &st);
            CHECK(!!v == (depth <= 64), "%d deep: %s", depth, st.text);
            CHECK(v || depth > 2000 || !strcmp(st.text, "F: JSON nested more than 64 deep"), "%d deep: %s", depth,
                  st.text);
            json_decref(v);
            free(text);
        }
}

TEST(json_reads_no_further_than_it_is_told)
{
    status st = { 0 };
    json_t *v = json_parse("{\"a\": [1, 2.5]}garbage", 15, "F", &st);
    REQUIRE(v, "%s", st.text);
    CHECK(json_integer_value(json_array_get(json_object_get(v, "a"), 0)) == 1, "other value");
    json_decref(v);
    status_fail(&st, TIMM_IO, "before");
    CHECK(!parse("{}", &st) && !strcmp(st.text, "before"), "%s", st.text);
}

TEST(json_limits_the_size_of_a_file)
{
    const char *path = test_temp("limit.json");
    status st = { 0 };
    CHECK(atomic_write_file(path, "{\"a\": 10}", 9, &st), "%s", st.text);
    json_t *v = json_parse_file(path, 9, &st);
    CHECK(v && json_integer_value(json_object_get(v, "a")) == 10, "%s", st.text);
    json_decref(v);
    char want[1200];
    snprintf(want, sizeof want, "%s: 9 bytes of JSON, at most 8 are accepted", path);
    CHECK(!json_parse_file(path, 8, &st) && !strcmp(st.text, want), "%s", st.text);
    st = (status){ 0 };
    CHECK(!json_parse_file("/nonexistent", 8, &st) && !strcmp(st.text, "/nonexistent: no such file"), "%s", st.text);
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static void everything(json_writer *w)
{
    jw_begin_object(w);
    jw_key(w, "z");
    jw_int(w, INT64_MIN);
    jw_key(w, "a");
    jw_begin_array(w);
    jw_number(w, 1);
    jw_number(w, 0.1);
    jw_begin_array(w);
    jw_end_array(w);
    jw_begin_object(w);
    jw_end_object(w);
    jw_bool(w, true);
    jw_bool(w, false);
    jw_null(w);
    jw_string(w, NULL);
    jw_end_array(w);
    jw_key(w, "\"\\/");
    jw_string(w, "\b\f\n\r\t\x01\x1f\x7f \xC3\xA9 \xF0\x9F\x98\x80");
    jw_end_object(w);
}

TEST(json_writer_lays_out_like_python)
{
    static const char *const want[] = {
        "{\"z\": -9223372036854775808, \"a\": [1, 0.1, [], {}, true, false, null, null], \"\\\"\\\\/\": "
        "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xC3\xA9 \xF0\x9F\x98\x80\"}",
        "{\"z\":-9223372036854775808,\"a\":[1,0.1,[],{},true,false,null,null],\"\\\"\\\\/\":"
        "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xC3\xA9 \xF0\x9F\x98\x80\"}",
    };
    for (int compact = 0; compact < 2; compact++) {
        json_writer w = { .compact = compact };
        for (int again = 0; again < 2; again++) {            /* a finished writer is an empty one */
            everything(&w);
            size_t n;
            char *text = jw_finish(&w, &n);
            CHECK(text && !strcmp(text, want[compact]) && n == strlen(text), "%s", text);
            free(text);
        }
    }
}

static char *written(double x, const char *s)
{
    json_writer w = { 0 };
    if (s)
        jw_string(&w, s);
    else
        jw_number(&w, x);
    return jw_finish(&w, NULL);
}

TEST(json_writer_numbers)
{
    static const struct { double x; const char *text; } numbers[] = {
        { 0, "0" }, { -0.0, "-0" }, { 1e300, "1e+300" }, { 1.0 / 3, "0.333333333" }, { 123456789, "123456789" },
        { 1234567890, "1.23456789e+09" }, { -2.5e-10, "-2.5e-10" }, { 5e-324, "4.94065646e-324" },
        { (double)INFINITY, "null" }, { -(double)INFINITY, "null" }, { (double)NAN, "null" },
    };
    static const char *const comma[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
    char *kept = strdup(setlocale(LC_NUMERIC, NULL));
    for (size_t l = 0; l <= COUNT(comma); l++) {
        if (l)
            setlocale(LC_NUMERIC, comma[l - 1]);             /* where it is installed */
        for (size_t i = 0; i < COUNT(numbers); i++) {
            char *text = written(numbers[i].x, NULL);
            CHECK(text && !strcmp(text, numbers[i].text), "%s, not %s", text, numbers[i].text);
            free(text);
        }
    }
    setlocale(LC_NUMERIC, kept);
    free(kept);
}

#define BAD "\xEF\xBF\xBD"

TEST(json_writer_mends_what_is_not_utf8)
{
    static const struct { const char *in, *out; } strings[] = {
        { "", "\"\"" },
        { "\xFF", "\"" BAD "\"" },
        { "a\x80z", "\"a" BAD "z\"" },
        { "\xC3", "\"" BAD "\"" },
        { "\xC3(", "\"" BAD "(\"" },
        { "\xE2\x82", "\"" BAD BAD "\"" },
        { "\xC0\xAF", "\"" BAD BAD "\"" },                                   /* overlong */
        { "\xE0\x80\xAF", "\"" BAD BAD BAD "\"" },
        { "\xED\xA0\x80", "\"" BAD BAD BAD "\"" },                           /* a surrogate */
        { "\xF4\x90\x80\x80", "\"" BAD BAD BAD BAD "\"" },                   /* beyond U+10FFFF */
        { "\xF4\x8F\xBF\xBF\xEF\xBF\xBF\xDF\xBF", "\"\xF4\x8F\xBF\xBF\xEF\xBF\xBF\xDF\xBF\"" },
    };
    for (size_t i = 0; i < COUNT(strings); i++) {
        char *text = written(0, strings[i].in);
        CHECK(text && !strcmp(text, strings[i].out), "case %zu: %s", i, text);
        free(text);
    }
}

TEST(json_labels_are_short_and_plain)
{
    char text[300];
    CHECK(!strcmp(json_show("a\033[2J\n\x7f").text, "a?[2J??"), "%s", json_show("a\033[2J\n\x7f").text);
    memset(text, 'x', sizeof text);
    for (size_t n = 90; n < 110; n++) {
        text[n] = 0;
        json_label l = json_show(text);
        CHECK(n <= 96 ? !strcmp(l.text, text) : strlen(l.text) == 99 && !strcmp(l.text + 96, "..."), "%zu: %s", n,
              l.text);
        text[n] = 'x';
    }
    memcpy(text + 95, "\xC3\xA9", 3);
    strcpy(text + 97, "yz");
    json_label l = json_show(text);
    CHECK(strlen(l.text) == 98 && !strcmp(l.text + 94, "x..."), "cut in a character: %s", l.text);
}
