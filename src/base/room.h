/* room.h - large blocks that come from the system and go back to it at once, on huge pages where there are any.
 *
 * Through malloc, the freed temporaries of a plan lie between what it keeps and are lost; and a page fault for every 4 kB
 * of weights takes longer than packing them.
 */
#ifndef BASE_ROOM_H
#define BASE_ROOM_H
#include <stdbool.h>
#include <stddef.h>

void *room_alloc(size_t bytes);             /* aligned to 64; NULL: out of memory */
void room_free(void *room);                 /* of room_alloc only; NULL does nothing */
/* Between these two, which may be nested, this thread keeps a few freed blocks for the next that fit: clean pages are dear. */
void room_keep_begin(void);
void room_keep_end(void);
bool room_left(size_t bytes);               /* for whoever does not survive it that there are not so many */
void room_huge(void *p, size_t bytes);      /* asks for huge pages under a block of any origin */

#endif
