/* edits.c - Levenshtein's distance, one row of the table at a time. */
#include "base/edits.h"
#include <string.h>

size_t edits(const char *word, const char *name)
{
    size_t row[64], n = strnlen(name, 63);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; word[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (word[i] != name[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

bool edits_near(const char *word, const char *name) { return 2 * edits(word, name) <= strlen(word); }
