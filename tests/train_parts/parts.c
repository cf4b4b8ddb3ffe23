/* parts.c - what the checks of the parts share. */
#include "parts.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"

void part_differ(part_report *r, const char *fmt, ...)
{
    size_t used = strlen(r->text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->text + used, sizeof r->text - used, fmt, ap);
    va_end(ap);
}

void part_number(part_report *r, const char *what, double want, double got, double allowed)
{
    double far = want == got ? 0 : fabs(want - got) / allowed;
    if (!(far <= 1))
        part_differ(r, "    %s: %.10g, not %.10g (%.3g times what is allowed)\n", what, got, want, far);
    r->worst = far > r->worst || isnan(far) ? far : r->worst;
}

static bool same_shape(const json_t *want, tg_shape s)
{
    bool same = json_array_size(want) == (size_t)s.rank;
    for (int i = 0; same && i < s.rank; i++)
        same = json_integer_value(json_array_get(want, (size_t)i)) == s.dim[i];
    return same;
}

void part_tensor(part_report *r, const char *what, const json_t *want, const float *got, tg_shape shape, double tol)
{
    int64_t n = tg_numel(shape);
    double sum = 0, square = 0, amax = 0, spread = 0, allowed = tol * fmax(jsonl_number(want, "amax"), 1e-30);
    const json_t *at = json_object_get(want, "at");
    char name[64];
    if (!same_shape(json_object_get(want, "shape"), shape)) {
        part_differ(r, "    %s: the shape is %s\n", what, tg_str(shape));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        sum += got[i];
        square += (double)got[i] * got[i];
        amax = fmax(amax, fabs((double)got[i]));
    }
    for (int64_t i = 0; i < n; i++)
        spread += (got[i] - sum / (double)n) * (got[i] - sum / (double)n);
    const struct { const char *key; double value, scale; } figures[] = {
        { "mean", sum / (double)n, 1 },
        { "std", sqrt(spread / (double)n), 1 },
        { "amax", amax, 1 },
        { "l2", sqrt(square), sqrt((double)n) },
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        snprintf(name, sizeof name, "%.40s %s", what, figures[i].key);
        part_number(r, name, jsonl_number(want, figures[i].key), figures[i].value, allowed * figures[i].scale);
    }
    for (int64_t k = 0; k < 8; k++) {
        snprintf(name, sizeof name, "%.40s [%lld]", what, (long long)(k * (n - 1) / 7));
        part_number(r, name, json_number_value(json_array_get(at, (size_t)k)), got[k * (n - 1) / 7], allowed);
    }
}

void part_fill_into(float *out, int64_t n, double lo, double hi, const char *name)
{
    uint64_t key = hash_name(name);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(lo + (hi - lo) * random_uniform(key, (uint64_t)i + 1));
}

float *part_fill(int64_t n, double lo, double hi, const char *fmt, ...)
{
    char name[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    float *v = malloc((size_t)n * sizeof *v);
    if (v)
        part_fill_into(v, n, lo, hi, name);
    return v;
}

static size_t append(const json_t *value, char *text, size_t size)
{
    if (json_is_string(value))
        return (size_t)snprintf(text, size, "%s", json_string_value(value));
    if (json_is_number(value))
        return (size_t)snprintf(text, size, "%.17g", json_number_value(value));
    return (size_t)snprintf(text, size, "%s", json_is_null(value) ? "none" : json_is_true(value) ? "true" : "false");
}

const char *part_text(const json_t *value, char *text, size_t size)
{
    size_t at = 0, n = json_array_size(value);
    text[0] = 0;
    if (!json_is_array(value))
        append(value, text, size);
    for (size_t i = 0; i < n && at + 2 < size; i++) {
        at += append(json_array_get(value, i), text + at, size - at);
        if (i + 1 < n && at + 1 < size)
            at += (size_t)snprintf(text + at, size - at, ",");
    }
    return text;
}

double part_or(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}
