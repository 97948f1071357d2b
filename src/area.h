/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The areas: address space, and the memory behind it.
 *
 *	 base        base+S        base+2S       base+3S
 *	 |  handles  |  area -1    |  area 0     |  area 1     |  ...
 *	 |           |=====-----   |=====-----   |=====-----   |
 *	              ^committed
 *	                   ^limit, then guard space up to the next area
 *
 * Areas grow together: the first `committed` bytes of each are writable.
 */
#ifndef CPU_ALLOC_AREA_H
#define CPU_ALLOC_AREA_H

#include <stdbool.h>
#include <stddef.h>

struct areas {
	char *base;	  /* of the handles; NULL: nothing is reserved */
	int count;	  /* areas, the one for strays not counted */
	size_t limit;	  /* bytes that an area may grow to; whole pages */
	size_t committed; /* bytes of an area that are writable */
	bool in_pieces;	  /* only `limit` and a guard page is reserved of each stride */
};

/* Reserve address space for @count areas, with the node of each CPU (-1: any). */
bool areas_reserve(struct areas *areas, int count, size_t limit, const short *node, bool huge);
void areas_unreserve(struct areas *areas);

/* Raise `committed` to @bytes. All areas or none. */
bool areas_commit(struct areas *areas, size_t bytes);

/* Give pages of all areas back. False if one of them would not go. */
bool areas_discard(const struct areas *areas, size_t offset, size_t bytes);

/* Where a byte of area @i, -1 to count - 1, lies. */
char *areas_at(const struct areas *areas, int i, size_t offset);

/* Bytes from the base to the end of the last area. */
size_t areas_span(const struct areas *areas);

#endif
