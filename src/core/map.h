/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The map: which units of an area are used, and where objects start.
 *
 * It knows units and nothing else: no addresses, no CPUs, no system. All areas
 * have one layout, so one map describes them all. It uses the memory that it
 * is given, keeps no global state, takes no lock; its caller serialises.
 *
 *   unit      0    1    2    3    4    5    6    7    8    9   10   11
 *   used      1    1    1    0    1    1    1    1    1    0    0    0
 *   start     1    0    1    0    1    0    0    0    1    1    0    0
 *             [ object][obj]     [     object     ][obj]^    ^ frontier
 *                                                       |
 *                                  an object until it was freed
 *
 * Placement is lowest-address first fit, exactly: of all units that are
 * multiples of the alignment and have enough free units behind them, the
 * lowest. The time is logarithmic in the area, in every pattern: see tree.h.
 *
 * Three kinds of free memory:
 *   - holes between used units. The tree knows them.
 *   - everything from the frontier up. Nothing is stored of it. The unit below
 *     the frontier is used, or the frontier is 0.
 *   - the held hole: at most one, the last that was freed. It waits outside
 *     the tree, marked used, since the next allocation often wants just it.
 *     Used units lie on both its sides, so it never touches another hole.
 *
 * Fields of struct map are the map's own, except that counts may be read.
 */
#ifndef CPU_ALLOC_CORE_MAP_H
#define CPU_ALLOC_CORE_MAP_H

#include "deps.h"

#define MAP_ORDERS 11U	    /* alignments of 2^0 to 2^10 units: 4 to 4096 bytes */
#define MAP_LEAF_UNITS 512U /* units that one leaf of the tree describes */
#define MAP_FANOUT 8U	    /* children of an inner node */
#define MAP_LEVELS 9U	    /* of the tree at most: 2^33 units, more than fit */
#define MAP_UNITS_MAX (1U << 30)
#define MAP_NONE UINT32_MAX /* no unit */

/* Units start to end - 1. Empty if they are equal. */
struct map_range {
	uint32_t start, end;
};

/* @n units at a multiple of 2^@order. */
struct map_request {
	uint32_t n, order;
};

struct map_bits;
struct map_node;

struct map {
	struct map_bits *bits;	   /* the truth: two bits a unit */
	uint64_t full;		   /* no tree: which of the first 64 words have no free unit */
	struct map_request missed; /* no tree: what did not fit below the frontier; n 0: nothing */
	struct map_node *level[MAP_LEVELS]; /* its summary; 0 are the leaves */
	uint32_t node_count[MAP_LEVELS];    /* nodes that there is memory for */
	uint32_t units;			    /* capacity at present */
	uint32_t units_max;		    /* capacity that there is memory for */
	uint32_t frontier;		    /* no unit from here on is used */
	uint32_t top;			    /* the level of the tree's root; 0: no tree */
	struct map_range held;		    /* free, marked used */
	struct map_range lent;		    /* taken out by map_lend(), marked used */
	uint32_t used_units;		    /* of live objects */
	uint32_t objects;		    /* that are live */
#ifdef MAP_COUNT
	uint64_t visits;
#endif
};

/* What map_look() and map_free() find at a unit. */
enum map_verdict {
	MAP_OBJECT,   /* a live object starts here */
	MAP_SIZE,     /* a live object starts here, but it has another size */
	MAP_INTERIOR, /* used, but no object starts here */
	MAP_FREED,    /* free; an object started here once: a double free */
	MAP_FREE,     /* free; no object is known to have started here */
	MAP_OUTSIDE,  /* no unit of this map */
};

/* Bytes of memory that a map for up to @units_max units needs. */
size_t map_memory_bytes(uint32_t units_max);

/*
 * Set up an empty map without capacity. @memory: map_memory_bytes(@units_max)
 * bytes, aligned to 8, all zero; what the map has not written stays untouched.
 */
void map_init(struct map *map, void *memory, uint32_t units_max);

/* Raise the capacity to @units, at most units_max. O(1). */
void map_grow(struct map *map, uint32_t units);

/*
 * Take @n > 0 units at a multiple of 2^@order. Returns the first, or MAP_NONE.
 * O(log frontier), plus the words of the object's bits.
 */
uint32_t map_alloc(struct map *map, uint32_t n, uint32_t order);

/*
 * Take 1 to @count objects of @n units from the lowest hole that fits one, in
 * one search and with one repair of the tree. They lie side by side; if @n is
 * no multiple of the alignment it is a single one. Their units go to @units,
 * in rising order. Returns their number, 0 if none fits.
 */
uint32_t map_alloc_batch(struct map *map, uint32_t n, uint32_t order, uint32_t *units,
			 uint32_t count);

/*
 * Take the units @start to @end - 1, which are free, as one object, wherever first
 * fit would have put it. O(log frontier), plus the words of its bits.
 */
void map_take(struct map *map, uint32_t start, uint32_t end);

/* What is at @unit? If a live object, its extent goes to *@n. O(its words). */
enum map_verdict map_look(const struct map *map, uint32_t unit, uint32_t *n);

/*
 * Free the object of @n units at @unit. Anything but MAP_OBJECT is a refusal:
 * nothing has changed. O(log frontier), plus the words of the object's bits.
 */
enum map_verdict map_free(struct map *map, uint32_t unit, uint32_t n);

/*
 * Free @count objects of @n units each, with one repair of the tree for each
 * run of neighbours. Sorts @units. Those that are no such object, or stand
 * there twice, are moved to the front of @units and stay as they are; returns
 * their number.
 */
uint32_t map_free_batch(struct map *map, uint32_t n, uint32_t *units, uint32_t count);

/* The longest run of free units, up to the capacity. O(1), or a look at 64 words. */
uint32_t map_largest_free(const struct map *map);

/* Are the units @start to @end - 1 all free? O(log frontier). */
bool map_is_free(const struct map *map, uint32_t start, uint32_t end);

/*
 * Take free units out, as if used, while their memory is dealt with, and put
 * them back. One range at a time; free() and look() do not see an object there.
 */
void map_lend(struct map *map, uint32_t start, uint32_t end);
void map_return(struct map *map);

/*
 * Name the pages of the map's own memory that describe only free units, and
 * some of @start to @end - 1: @drop, called for each run of them, may replace
 * them by zeros. Knowledge of what was an object there (MAP_FREED) goes with them.
 */
void map_idle_pages(struct map *map, uint32_t start, uint32_t end, size_t page_bytes,
		    void (*drop)(void *context, void *address, size_t bytes), void *context);

/*
 * For tests and tools, in check.c.
 *
 * map_check: compare the tree and the counts with the bits, by plain scans.
 * Returns NULL, or the invariant that does not hold. O(units x orders).
 *
 * map_next_object: the first live object at or above @unit, MAP_NONE if there
 * is none; its extent goes to *@n.
 *
 * map_draw: one character for each of @cells equal parts of @range: '.' free, '1'
 * to '9' tenths used, '#' full. @text holds @cells + 1. O(units).
 */
const char *map_check(const struct map *map);
uint32_t map_next_object(const struct map *map, uint32_t unit, uint32_t *n);
void map_draw(const struct map *map, struct map_range range, char *text, uint32_t cells);

#endif
