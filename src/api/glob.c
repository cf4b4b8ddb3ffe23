/* glob.c - how timm matches and sorts names: Python's fnmatch and its natural key. */
#include <ctype.h>
#include <string.h>
#include "api/names.h"

/* One [set] after its '['; *end is the pattern behind ']', NULL when there is none and '[' means itself. */
static bool in_set(const char *p, char c, const char **end)
{
    bool negated = *p == '!', found = false;
    p += negated;
    const char *close = *p ? strchr(p + 1, ']') : NULL;          /* a ']' in the first place is a member */
    *end = close ? close + 1 : NULL;
    while (close && p < close) {
        bool range = close - p > 2 && p[1] == '-';
        found |= range ? p[0] <= c && c <= p[2] : p[0] == c;
        p += range ? 3 : 1;
    }
    return found != negated;
}

bool name_glob(const char *p, const char *text)
{
    const char *star = NULL, *retry = NULL;    /* the last '*', and where it was matched up to */
    while (*text || *p == '*') {
        const char *after = p + 1;
        bool fits = *p && (*p == '?' || *p == *text);
        if (*p == '*') {
            star = p++;
            retry = text;
            continue;
        }
        if (*p == '[') {
            const char *end;
            bool member = in_set(p + 1, *text, &end);
            if (end) {
                fits = member;
                after = end;
            }
        }
        if (fits) {
            p = after;
            text++;
        } else if (star) {
            p = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    return !*p;
}

bool name_in_module(const char *pattern, const char *param)
{
    char module[256];
    for (const char *dot = param; (dot = strchr(dot, '.')); dot++) {
        size_t n = (size_t)(dot - param);
        if (n >= sizeof module)
            break;
        memcpy(module, param, n);
        module[n] = 0;
        if (name_glob(pattern, module))
            return true;
    }
    return name_glob(pattern, param);
}

static size_t run(const char *s, bool digits)
{
    size_t n = 0;
    while (s[n] && (isdigit((unsigned char)s[n]) != 0) == digits)
        n++;
    return n;
}

static int compare_numbers(const char *a, size_t na, const char *b, size_t nb)
{
    for (; na > 1 && *a == '0'; na--)
        a++;
    for (; nb > 1 && *b == '0'; nb--)
        b++;
    return na != nb ? (na > nb) - (na < nb) : memcmp(a, b, na);
}

static int compare_text(const char *a, size_t na, const char *b, size_t nb)
{
    for (size_t i = 0; i < na && i < nb; i++) {
        int d = tolower((unsigned char)a[i]) - tolower((unsigned char)b[i]);
        if (d)
            return d;
    }
    return (na > nb) - (na < nb);
}

/* Runs are compared whole, so "test_convnext2" comes before "test_convnext.r160_in1k". */
int name_order(const char *a, const char *b)
{
    for (bool digits = false; *a || *b; digits = !digits) {
        size_t na = run(a, digits), nb = run(b, digits);
        if (digits && (!na || !nb))
            return na ? 1 : -1;
        int d = digits ? compare_numbers(a, na, b, nb) : compare_text(a, na, b, nb);
        if (d)
            return d;
        a += na;
        b += nb;
    }
    return 0;
}
