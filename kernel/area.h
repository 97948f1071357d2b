/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The area: one map over blocks, which are allocations of the kernel's percpu allocator,
 * of at most 32 KiB each.
 *
 *	unit	0           8192   9216        17408  18432
 *	map	[ block 0    |border][ block 1    |border][ block 2 ...
 *		      |                   |
 *	percpu	  [32 KiB]            [32 KiB]		anywhere, in any order
 *
 * The map does not know that they do not adjoin: a border, which is in use for ever,
 * keeps objects from reaching from one block into the next. A border is as long as the
 * largest alignment, so that a unit's alignment is that of its address in every block. It
 * costs a ninth of the map's memory, and of the area nothing. One map, and not one for
 * each block, since a search is then logarithmic in all of the area, and finds the lowest
 * fit of all, without a list of blocks to go through.
 *
 * A block is taken when an allocation that may sleep finds no room, or by a worker when
 * less than RESERVE_UNITS are left; it stays until the module is unloaded.
 *
 * One lock, interrupts off, held for one operation of the map.
 */
#ifndef CPU_ALLOC_AREA_H
#define CPU_ALLOC_AREA_H

#include "deps.h"

#include "core/map.h"

#include <linux/cpu_alloc.h>

#define AREA_MIN_BYTES 4096ULL /* percpu= */
#define AREA_MAX_BYTES (1ULL << 30)

#define BLOCK_BYTES CPU_ALLOC_MAX_SIZE
#define BLOCK_UNITS (BLOCK_BYTES / CPU_ALLOC_UNIT)
#define BORDER_UNITS (CPU_ALLOC_MAX_ALIGN / CPU_ALLOC_UNIT)
#define BLOCK_PERIOD (BLOCK_UNITS + BORDER_UNITS) /* from block to block in the map */

/* Set up for up to @bytes and take the first block. 0, or -ENOMEM. */
int area_init(u64 bytes);

/* Report what is still live; give back blocks without live objects, and the rest of it. */
void area_exit(void);

/* What is asked for; and what was found. */
struct area_place {
	u32 units, order; /* of 2^order units: the alignment */
	void __percpu *ptr;
	void __percpu *block; /* that it is in, at */
	u32 offset;	      /* bytes */
	bool is_fresh;	      /* all zero: never in use */
};

/* Take a place. False: no room; if the caller @may_sleep, there never was. */
bool area_take(struct area_place *place, bool may_sleep);

/* What the free of a pointer came to, beside what the map says of it. */
enum area_verdict {
	AREA_OK,
	AREA_SIZE,
	AREA_INTERIOR,
	AREA_FREED,
	AREA_NO_OBJECT,
	AREA_MISALIGNED,
	AREA_INSTANCE, /* of a CPU, not a percpu pointer */
	AREA_FOREIGN,
};

/* Free the object of @units at @ptr. Only with AREA_OK has something changed. */
enum area_verdict area_put(void __percpu *ptr, u32 units);

/* Count an allocation that was refused by %-EINVAL, %-ENOMEM or %-EAGAIN. */
void area_count_failure(int error);

void area_stats(struct cpu_alloc_stats *stats);

/*
 * Draw AREA_ROW_BYTES of the area from @row on, a character for each cache line, as
 * map_draw() does, and a final NUL. False: nothing is in use from there on.
 */
#define AREA_ROW_BYTES 4096U
#define AREA_ROW_CELLS 64U
bool area_draw(u64 row, char text[AREA_ROW_CELLS + 1]);

#endif
