/* rearrange.c - einops.rearrange: "b (h p) c -> b h p c" becomes reshape, permute, reshape, leaving out what does nothing. */
#include <ctype.h>
#include "ops/op.h"

enum { NAMES = 12 };
typedef struct side { char name[NAMES][16]; int names, group[NAMES], groups; } side;     /* group[i]: axis the name belongs to */
typedef struct sized { const char *name; int64_t size; } sized;

static const char *read_side(const char *p, side *s)
{
    int group = -1;
    bool open = false;
    *s = (side){ .names = 0 };
    for (;; ) {
        while (*p == ' ')
            p++;
        if (!*p || !strncmp(p, "->", 2))
            break;
        if (*p == '(') {
            open = true;
            group = s->groups++;
            p++;
        } else if (*p == ')') {
            open = false;
            p++;
        } else if (isalnum((unsigned char)*p) && s->names < NAMES) {
            int n = 0;
            while (isalnum((unsigned char)*p) || *p == '_') {
                if (n < 15)
                    s->name[s->names][n++] = *p;
                p++;
            }
            s->name[s->names][n] = 0;
            s->group[s->names++] = open ? group : s->groups++;
        } else {
            return NULL;
        }
    }
    return open || s->groups > TG_MAX_RANK || s->names > TG_MAX_RANK ? NULL : p;
}

static int64_t size_of(const char *name, const sized *known)
{
    for (int i = 0; i < 2; i++)
        if (known[i].name && !strcmp(known[i].name, name))
            return known[i].size;
    return isdigit((unsigned char)name[0]) ? name[0] - '0' : -1;
}

/* Sizes of the left side's names; false: they do not fit x. */
static bool sizes(const tg *x, const side *left, const sized *known, int64_t *size)
{
    for (int g = 0; g < left->groups; g++) {
        int64_t product = 1;
        int open = -1;
        for (int i = 0; i < left->names; i++) {
            if (left->group[i] != g)
                continue;
            size[i] = size_of(left->name[i], known);
            if (size[i] > 0)
                product *= size[i];
            else if (open >= 0)
                return false;
            else
                open = i;
        }
        if (tg_dim(x, g) % product || (open < 0 && product != tg_dim(x, g)))
            return false;
        if (open >= 0)
            size[open] = tg_dim(x, g) / product;
    }
    return true;
}

tg *tg_rearrange2(tg *x, const char *how, const char *axis, int64_t size, const char *axis2, int64_t size2)
{
    side left, right;
    int64_t dim[NAMES];
    int order[TG_MAX_RANK] = { 0 };
    const char *p = read_side(how, &left);
    if (x->poisoned)
        return x;
    if (!p || strncmp(p, "->", 2) || !read_side(p + 2, &right) || left.names != right.names)
        return tg_poison(x->graph, TIMM_INTERNAL, "rearrange '%s' cannot be read", how);
    if (left.groups != tg_rank(x) || !sizes(x, &left, (sized[]){ { axis, size }, { axis2, size2 } }, dim))
        return tg_poison(x->graph, TIMM_SHAPE, "rearrange: %s from %s does not fit '%s'", tg_str(x->shape), x->where, how);
    tg_shape split = { .rank = left.names }, merged = { .rank = right.groups };
    bool turned = false;
    for (int g = 0; g < merged.rank; g++)
        merged.dim[g] = 1;
    for (int i = 0; i < right.names; i++) {
        int k = 0;
        while (k < left.names && strcmp(left.name[k], right.name[i]))
            k++;
        if (k == left.names)
            return tg_poison(x->graph, TIMM_INTERNAL, "rearrange '%s': %s is on one side only", how, right.name[i]);
        order[i] = k;
        turned |= k != i;
        split.dim[k] = dim[k];
        merged.dim[right.group[i]] *= dim[k];
    }
    x = tg_reshape(x, split);
    return tg_reshape(turned ? tg_permute(x, order) : x, merged);
}

tg *tg_rearrange(tg *x, const char *how, const char *axis, int64_t size) { return tg_rearrange2(x, how, axis, size, NULL, 0); }
