/* pages.h - lasting blocks that share huge pages: packed weights, arenas.
 *
 * Weights are read once a run, from one end to the other; on pages of 4 kB a walk through the page tables comes with each,
 * which cost one image 3 to 7 % (resnet50, swin_tiny in bf16).  Blocks of malloc's begin anywhere, and so are rarely on huge pages.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H
#include <stddef.h>

void *pages_alloc(size_t bytes);            /* aligned to 64; NULL: out of memory */
void pages_free(void *block);               /* of pages_alloc only; NULL does nothing */

#endif
