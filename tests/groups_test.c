/* groups_test.c - parameters by the modules that they are in: what --freeze means. */
#include "api/names.h"
#include "test.h"

TEST(names_in_modules)
{
    static const struct { const char *pattern, *param; bool in; } cases[] = {
        { "layer1", "layer1.0.conv1.weight", true },        { "layer1", "layer10.0.conv1.weight", false },
        { "layer1.0", "layer1.0.conv1.weight", true },      { "layer[12]", "layer2.1.bn1.bias", true },
        { "layer[12]", "layer3.1.bn1.bias", false },        { "blocks.[0-3]", "blocks.3.norm1.weight", true },
        { "blocks.[0-3]", "blocks.30.norm1.weight", false }, { "*.bn1", "layer1.0.bn1.weight", true },
        { "*.bn1", "bn1.weight", false },                   { "pos_embed", "pos_embed", true },
        { "fc.bias", "fc.bias", true },                     { "fc.bias", "fc.weight", false },
        { "*", "fc.weight", true },                         { "conv", "conv1.weight", false },
        { "", "fc.weight", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(name_in_module(cases[i].pattern, cases[i].param) == cases[i].in, "'%s' and %s", cases[i].pattern, cases[i].param);
}
