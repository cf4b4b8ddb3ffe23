/* golden.c - holding what `timm fingerprint` prints against what real timm computed. */
#include "golden.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct verdict { char *text; size_t size, used; double tol, worst; } verdict;

static void __attribute__((format(printf, 2, 3))) differ(verdict *v, const char *fmt, ...)
{
    va_list ap;
    if (v->used + 1 >= v->size)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(v->text + v->used, v->size - v->used, fmt, ap);
    va_end(ap);
    v->used += n > 0 ? (size_t)n : 0;
    if (v->used >= v->size)
        v->used = v->size - 1;
}

static void figure(verdict *v, const char *what, const char *key, const json_t *want, const json_t *got, double amax)
{
    double a = json_number_value(want), b = json_number_value(got);
    double far = fabs(a - b) / (v->tol * (amax > 0 ? amax : 1));
    if (!json_is_number(got) || !(far <= 1))
        differ(v, "%s %s: %.9g, not %.9g (%.1f times what is allowed)\n", what, key, b, a, far);
    v->worst = far > v->worst || isnan(far) ? far : v->worst;
}

static void tensor(verdict *v, const char *what, const json_t *want, const json_t *got)
{
    static const char *const keys[] = { "mean", "std", "amax", "l2" };
    const json_t *at = json_object_get(want, "at"), *got_at = json_object_get(got, "at");
    double amax = json_number_value(json_object_get(want, "amax"));
    if (!json_equal(json_object_get(want, "shape"), json_object_get(got, "shape"))) {
        char *a = json_dumps(json_object_get(want, "shape"), 0), *b = json_dumps(json_object_get(got, "shape"), JSON_ENCODE_ANY);
        differ(v, "%s: shape %s, not %s\n", what, b ? b : "none", a);
        free(a);
        free(b);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        figure(v, what, keys[i], json_object_get(want, keys[i]), json_object_get(got, keys[i]), amax);
    for (size_t i = 0; i < json_array_size(at); i++)
        figure(v, what, "at", json_array_get(at, i), json_array_get(got_at, i), amax);
}

static void tensors(verdict *v, const char *what, const json_t *golden, const json_t *got)
{
    const json_t *a = json_object_get(golden, what), *b = json_object_get(got, what);
    if (!a)
        return;
    if (json_array_size(a) != json_array_size(b)) {
        differ(v, "%s: %zu tensors, not %zu\n", what, json_array_size(b), json_array_size(a));
        return;
    }
    for (size_t i = 0; i < json_array_size(a); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s[%zu]", what, i);
        tensor(v, name, json_array_get(a, i), json_array_get(b, i));
    }
}

static void equal(verdict *v, const char *key, const json_t *golden, const json_t *got)
{
    const json_t *a = json_object_get(golden, key), *b = json_object_get(got, key);
    if (!a || json_equal(a, b))
        return;
    char *x = json_dumps(a, JSON_ENCODE_ANY), *y = b ? json_dumps(b, JSON_ENCODE_ANY) : NULL;
    differ(v, "%s: %s, not %s\n", key, y ? y : "missing", x);
    free(x);
    free(y);
}

void golden_compare(const json_t *golden, const json_t *got, char *text, size_t size, double *worst)
{
    double noise = json_number_value(json_object_get(golden, "noise"));
    verdict v = { .text = text, .size = size, .tol = fmax(1e-4, 100 * noise) };
    text[0] = 0;
    equal(&v, "input", golden, got);
    equal(&v, "tensors", golden, got);
    equal(&v, "names", golden, got);
    equal(&v, "params", golden, got);
    equal(&v, "feature_info", golden, got);
    tensors(&v, "features", golden, got);
    tensors(&v, "logits", golden, got);
    tensors(&v, "pre_logits", golden, got);
    tensors(&v, "features_only", golden, got);
    *worst = v.worst;
}

void golden_compare_grads(const json_t *golden, const json_t *got, char *text, size_t size, double *worst)
{
    verdict v = { .text = text, .size = size, .tol = 1e-4 };
    const char *name;
    json_t *want;
    text[0] = 0;
    double loss = json_number_value(json_object_get(golden, "loss"));
    equal(&v, "input", golden, got);
    figure(&v, "loss", "value", json_object_get(golden, "loss"), json_object_get(got, "loss"), fabs(loss));
    tensor(&v, "logits", json_object_get(golden, "logits"), json_object_get(got, "logits"));
    json_object_foreach(json_object_get(golden, "buffers"), name, want)
        tensor(&v, name, want, json_object_get(json_object_get(got, "buffers"), name));
    if (json_object_size(json_object_get(golden, "grads")) != json_object_size(json_object_get(got, "grads")))
        differ(&v, "%zu gradients, not %zu\n", json_object_size(json_object_get(got, "grads")),
               json_object_size(json_object_get(golden, "grads")));
    json_object_foreach(json_object_get(golden, "grads"), name, want) {
        const json_t *have = json_object_get(json_object_get(got, "grads"), name);
        double noise = json_number_value(json_object_get(want, "noise"));
        v.tol = fmax(2e-3, 100 * noise);
        if (!have)
            differ(&v, "%s: no gradient\n", name);
        else if (noise <= .01)
            tensor(&v, name, want, have);
    }
    *worst = v.worst;
}

json_t *golden_run(const char *timm, const json_t *golden, const char *more, char *text, size_t size)
{
    char command[1024], line[256] = "";
    const char *model = json_string_value(json_object_get(golden, "model"));
    size_t n = (size_t)snprintf(command, sizeof command, "%s fingerprint %s", timm, model);
    static const char *const options[][2] = { { "input_size", "--input-size" }, { "in_chans", "--in-chans" },
                                              { "num_classes", "--num-classes" } };
    for (size_t i = 0; i < 3; i++) {
        const json_t *o = json_object_get(golden, options[i][0]);
        if (o)
            n += (size_t)snprintf(command + n, sizeof command - n, " %s %lld", options[i][1], (long long)json_integer_value(o));
    }
    const char *kwargs = json_string_value(json_object_get(golden, "model_kwargs"));
    snprintf(command + n, sizeof command - n, "%s%s %s 2>&1", kwargs ? " --model-kwargs " : "", kwargs ? kwargs : "", more);
    FILE *f = popen(command, "r");
    if (!f) {
        snprintf(text, size, "cannot run %s\n", command);
        return NULL;
    }
    json_error_t err;
    char *all = NULL;
    size_t used = 0, room = 0;
    for (size_t got; (got = fread(line, 1, sizeof line, f)) > 0; used += got) {
        if (used + got + 1 > room) {
            char *bigger = realloc(all, room = (used + got + 1) * 2);
            if (!bigger)
                break;
            all = bigger;
        }
        memcpy(all + used, line, got);
        all[used + got] = 0;
    }
    int status = pclose(f);
    json_t *r = all && !status ? json_loads(all, 0, &err) : NULL;
    if (!r)
        snprintf(text, size, "%s: exit %d: %s\n", command, status >> 8, all ? all : "");
    free(all);
    return r;
}
