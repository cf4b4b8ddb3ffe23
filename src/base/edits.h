/* edits.h - how far a word is from a name that may have been meant. */
#ifndef BASE_EDITS_H
#define BASE_EDITS_H
#include <stdbool.h>
#include <stddef.h>

/* Letters to put in, take out or change (Levenshtein); names count up to their 63rd letter. */
size_t edits(const char *word, const char *name);
/* Near enough to ask whether it was meant: half of the letters, at the least, are its own. */
bool edits_near(const char *word, const char *name);

#endif
