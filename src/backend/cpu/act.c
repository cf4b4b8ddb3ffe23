/* act.c - which ops are functions that the vector code knows. */
#include "vec.h"
#include <math.h>
#include <string.h>

static const struct { const char *op; act_kind kind; bool from_attr; float a, b; } table[] = {
    { "relu",         ACT_CLAMP,        false, 0, INFINITY },
    { "relu6",        ACT_CLAMP,        false, 0, 6 },
    { "clamp",        ACT_CLAMP,        true,  0, 0 },
    { "affine",       ACT_AFFINE,       true,  0, 0 },
    { "leaky_relu",   ACT_LEAKY,        true,  0, 0 },
    { "elu",          ACT_ELU,          true,  0, 0 },
    { "abs",          ACT_ABS,          false, 0, 0 },
    { "sqrt",         ACT_SQRT,         false, 0, 0 },
    { "rsqrt",        ACT_RSQRT,        false, 0, 0 },
    { "exp",          ACT_EXP,          false, 0, 0 },
    { "erf",          ACT_ERF,          false, 0, 0 },
    { "tanh",         ACT_TANH,         false, 0, 0 },
    { "sigmoid",      ACT_SIGMOID,      false, 0, 0 },
    { "silu",         ACT_SILU,         false, 0, 0 },
    { "gelu",         ACT_GELU,         false, 0, 0 },
    { "gelu_tanh",    ACT_GELU_TANH,    false, 0, 0 },
    { "quick_gelu",   ACT_QUICK_GELU,   false, 0, 0 },
    { "hard_swish",   ACT_HARD_SWISH,   false, 0, 0 },
    { "hard_sigmoid", ACT_HARD_SIGMOID, false, 0, 0 },
    { "silu_slope",   ACT_SILU_SLOPE,   false, 0, 0 },
    { "gelu_slope",   ACT_GELU_SLOPE,   false, 0, 0 },
    { "hard_swish_slope", ACT_HARD_SWISH_SLOPE, false, 0, 0 },
};

bool act_of(const tg_op *op, const double *attr, act *out)
{
    *out = (act){ ACT_NONE, 0, 0 };
    if (!op)
        return true;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, op->name)) {
            *out = (act){ table[i].kind, table[i].a, table[i].b };
            if (table[i].from_attr) {
                if (!attr)
                    return false;
                out->a = (float)attr[0];
                out->b = op->attr_size > sizeof(double) ? (float)attr[1] : 0;
            }
            return true;
        }
    return false;
}

bool binary_of(const tg_op *op, binary_kind *kind)
{
    static const char *const names[BIN_KINDS] = {
        [BIN_ADD] = "add", [BIN_SUB] = "sub", [BIN_MUL] = "mul", [BIN_DIV] = "div", [BIN_MAX] = "maximum",
        [BIN_MIN] = "minimum", [BIN_GREATER] = "greater",
    };
    for (int i = 0; i < BIN_KINDS; i++)
        if (!strcmp(names[i], op->name))
            return *kind = (binary_kind)i, true;
    return false;
}
