/* pooling.c - timm's names of global pooling. */
#include <string.h>
#include "api/model.h"

static const struct { const char *name; nn_pooling how; } table[] = {
    { "", NN_POOL_NONE },          { "avg", NN_POOL_AVG },               { "max", NN_POOL_MAX },
    { "avgmax", NN_POOL_AVGMAX },  { "catavgmax", NN_POOL_CATAVGMAX },   { "fast", NN_POOL_FAST },
    { "fastavg", NN_POOL_FASTAVG }, { "fastmax", NN_POOL_FASTMAX },      { "fastavgmax", NN_POOL_FASTAVGMAX },
    { "fastcatavgmax", NN_POOL_FASTCATAVGMAX }, { "token", NN_POOL_TOKEN }, { "map", NN_POOL_MAP },
};

bool pooling_by_name(const char *name, nn_pooling *how)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name)) {
            *how = table[i].how;
            return true;
        }
    return false;
}

const char *pooling_name(nn_pooling how)
{
    size_t i = 0;
    while (table[i].how != how)
        i++;
    return table[i].name;
}
