/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The tree: a summary of the holes, so that a search looks at O(log) of them.
 *
 *   level 2                    [ node 0 ................................ ]
 *   level 1   [ node 0 ........ ] [ node 1 ........ ]  ...  [ node 7 ... ]
 *   level 0   [leaf][leaf]..[leaf] ...             8 children each
 *   units     512   512     512
 *
 * A node tells of its units, seen alone (holes are clipped to the node):
 *
 *   lead, trail   free units at its left and right edge
 *   fit[k]        the longest run of free units that begins at a multiple of
 *                 2^k. In each hole only the first such multiple counts.
 *
 *        lead       fit[0] = 5, fit[1] = 4                 trail
 *      |.....#########.....############################.......|
 *
 * Searching for n units aligned to 2^k: go through the children from the left,
 * carrying the start of the hole that reaches into the next one. The answer
 * lies in that hole if it is long enough, else below the first child with
 * fit[k] >= n. With a fit for each alignment no descent is ever in vain: one
 * path, at most 8 nodes a level, then the 8 words of a leaf.
 *
 * Of a uniform node, all free or without any free unit, nobody looks at the
 * children: they are not kept up to date, and are written when the node stops
 * being uniform. So a hole of any size goes in and out in O(log), and the
 * memory of nodes (and bits) below a large hole can be given back.
 *
 * What counts as free here: units whose used bit is clear, below the frontier.
 * A node of zeros has nothing free, so a new map needs no writing.
 *
 * Node 0 of level map->top spans the frontier; it is the root. The tree grows
 * at the top as the frontier rises, so that a small map has a small tree. As
 * long as 8 leaves would do there is none: their 64 words are scanned, but for
 * those that map->full names.
 */
#ifndef CPU_ALLOC_CORE_TREE_H
#define CPU_ALLOC_CORE_TREE_H

#include "bits.h"
#include "map.h"

/* Count the nodes and words that are visited, for the tests of complexity. */
#ifdef MAP_COUNT
#define MAP_VISIT(map, n) (((struct map *)(uintptr_t)(map))->visits += (n))
#else
#define MAP_VISIT(map, n) ((void)0)
#endif

struct map_node {
	uint32_t lead, trail;
	uint32_t fit[MAP_ORDERS];
};

static inline uint32_t align_up(uint32_t unit, uint32_t order)
{
	const uint32_t mask = (1U << order) - 1;

	return (unit + mask) & ~mask;
}

/* Units that a node of @level spans, as a power of two. */
static inline uint32_t tree_shift(uint32_t level)
{
	return 9 + 3 * level;
}

/* Frontiers up to here need no tree: what one family of leaves spans. */
#define TREE_FROM (MAP_LEAF_UNITS * MAP_FANOUT)

static inline bool tree_exists(const struct map *map)
{
	return map->top > 0;
}

static inline const struct map_node *tree_root(const struct map *map)
{
	return &map->level[map->top][0];
}

/*
 * The lowest multiple of 2^@order in a hole, @n free units from there, or
 * MAP_NONE: where there is a tree, and where there is none.
 */
uint32_t tree_find(const struct map *map, uint32_t n, uint32_t order);
uint32_t scan_find(const struct map *map, uint32_t n, uint32_t order);

/*
 * The start of the hole that ends at @end, @end if the unit below is not free;
 * the end of the hole that starts at @start, @start if that unit is not free.
 */
uint32_t tree_hole_start(const struct map *map, uint32_t end);
uint32_t tree_hole_end(const struct map *map, uint32_t start);

/*
 * Units of one hole have become free, or are no longer: bits and frontier say
 * so already. There is a tree.
 */
void tree_change(struct map *map, uint32_t start, uint32_t end, bool free);

/* Without a tree: units were taken, and words of theirs may be full now. O(words). */
static inline void scan_note_full(struct map *map, uint32_t start, uint32_t end)
{
	uint32_t w = start / BITS_PER_WORD;

	do
		map->full |= (uint64_t)(map->bits[w].used == ~0ULL) << w;
	while (++w * BITS_PER_WORD < end);
}

/* Without a tree: units are free again. */
static inline void scan_note_free(struct map *map, uint32_t start, uint32_t end)
{
	const uint64_t from = ~0ULL << start / BITS_PER_WORD;
	const uint64_t to = ~0ULL >> (63 - (end - 1) / BITS_PER_WORD);

	map->full &= ~(from & to);
}

/*
 * The frontier is about to rise above TREE_FROM: summarise what lies below it.
 * (It goes again when map->top is set to 0.)
 */
void tree_start(struct map *map);

/* The frontier has risen, there is a tree: add levels until the root spans it. */
void tree_grow(struct map *map);

/* The longest hole. O(1), or O(words) if there is no tree. */
uint32_t tree_largest(const struct map *map);

/* A node that has all units free; nothing of the children is looked at. */
bool tree_node_free(const struct map_node *node, uint32_t level);

#endif
