/* plan_options.c - passes and precisions by their names. */
#include "plan/plan.h"
#include <string.h>

const char *const plan_passes[PLAN_PASSES] = { [PASS_FUSE] = "fuse", [PASS_EXPAND] = "expand", [PASS_GATE] = "gate", [PASS_SHORTCUT] = "shortcut", [PASS_POINTWISE] = "pointwise",
                                               [PASS_DOTS] = "dots", [PASS_RECOMPUTE] = "recompute", [PASS_NARROW] = "narrow", [PASS_INPLACE] = "inplace", [PASS_SLICES] = "slices",
                                               [PASS_FEWER] = "fewer" };

bool plan_without(const char *names, unsigned *without, status *st)
{
    *without = 0;
    while (names && *names) {
        size_t n = strcspn(names, ", ");
        int i = 0;
        while (i < PLAN_PASSES && (strlen(plan_passes[i]) != n || strncmp(plan_passes[i], names, n)))
            i++;
        if (n && i == PLAN_PASSES)
            return status_fail(st, TIMM_BAD_ARG, "no pass is called '%.*s'; there are fuse, expand, gate, shortcut, pointwise, dots, recompute, narrow, inplace, slices, fewer", (int)n, names);
        *without |= n ? 1u << i : 0;
        names += n + (names[n] != 0);
    }
    return true;
}

const char *const plan_precisions[TG_PRECISIONS] = { [TG_FP32] = "fp32", [TG_BF16X6] = "bf16x6", [TG_BF16X3] = "bf16x3", [TG_BF16] = "bf16" };

bool plan_precision(const char *name, tg_precision *p, status *st)
{
    for (int i = 0; i < TG_PRECISIONS; i++)
        if (!strcmp(name && *name ? name : plan_precisions[TG_FP32], plan_precisions[i]))
            return *p = (tg_precision)i, true;
    return status_fail(st, TIMM_BAD_ARG, "no precision is called '%s'; there are fp32, bf16x6, bf16x3, bf16", name);
}
