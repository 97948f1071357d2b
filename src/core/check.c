/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * For tests and tools: is the map sound, what is in it, what does it look like.
 * The check shares nothing with the operations but the layout: plain scans.
 */
#include "map.h"
#include "bits.h"
#include "tree.h"

/* Is the unit a hole's: free, below the frontier, and known to the tree? */
static bool in_hole(const struct map *map, uint32_t unit)
{
	return unit < map->frontier && !bits_used(map->bits, unit);
}

static bool in_range(struct map_range range, uint32_t unit)
{
	return range.start <= unit && unit < range.end;
}

/* In use by an object, in truth. */
static bool in_object(const struct map *map, uint32_t unit)
{
	return bits_used(map->bits, unit) && !in_range(map->held, unit) &&
	       !in_range(map->lent, unit);
}

/* The fit of one alignment in a node, by counting. */
static bool fit_is(const struct map *map, uint32_t start, uint32_t end, uint32_t order,
		   uint32_t expected)
{
	const uint32_t step = 1U << order;
	uint32_t run = 0, longest = 0;

	for (uint32_t unit = end; unit-- > start;) {
		run = in_hole(map, unit) ? run + 1 : 0;
		if (unit % step == 0 && run > longest)
			longest = run;
	}
	return longest == expected;
}

static bool node_is_sound(const struct map *map, uint32_t level, uint32_t i)
{
	const struct map_node *node = &map->level[level][i];
	const uint32_t start = i << tree_shift(level), end = (i + 1) << tree_shift(level);
	uint32_t lead = 0, trail = 0;

	while (lead < end - start && in_hole(map, start + lead))
		lead++;
	while (trail < end - start && in_hole(map, end - 1 - trail))
		trail++;
	if (node->lead != lead || node->trail != trail)
		return false;
	for (uint32_t k = 0; k < MAP_ORDERS; k++)
		if (!fit_is(map, start, end, k, node->fit[k]))
			return false;
	return true;
}

/* A node, and all below it that are kept up to date. */
static bool tree_is_sound(const struct map *map, uint32_t level, uint32_t i)
{
	const struct map_node *node = &map->level[level][i];

	if (!node_is_sound(map, level, i))
		return false;
	if (level == 0 || node->fit[0] == 0 || tree_node_free(node, level))
		return true;
	for (uint32_t c = 0; c < MAP_FANOUT; c++)
		if (!tree_is_sound(map, level - 1, i * MAP_FANOUT + c))
			return false;
	return true;
}

/* Out of the tree, marked used, and no free unit beside it. */
static bool range_is_sound(const struct map *map, struct map_range range, bool isolated)
{
	if (range.start == range.end)
		return true;
	if (range.start > range.end || range.end > map->frontier)
		return false;
	for (uint32_t unit = range.start; unit < range.end; unit++)
		if (!bits_used(map->bits, unit))
			return false;
	return !isolated || ((range.start == 0 || bits_used(map->bits, range.start - 1)) &&
			     range.end < map->frontier && bits_used(map->bits, range.end));
}

static bool counts_are_sound(const struct map *map)
{
	uint32_t used = 0, objects = 0;

	for (uint32_t unit = 0; unit < map->frontier; unit++) {
		used += in_object(map, unit);
		objects += in_object(map, unit) && bits_start(map->bits, unit);
	}
	return used == map->used_units && objects == map->objects;
}

static bool full_is_sound(const struct map *map)
{
	for (uint32_t unit = 0; unit < TREE_FROM; unit += BITS_PER_WORD) {
		const bool full =
			unit < map->frontier && map->bits[unit / BITS_PER_WORD].used == ~0ULL;

		if ((map->full >> unit / BITS_PER_WORD & 1) != full)
			return false;
	}
	return true;
}

const char *map_check(const struct map *map)
{
	if (map->frontier > map->units || map->units > map->units_max)
		return "frontier <= units <= units_max";
	if (map->frontier > 0 && !bits_used(map->bits, map->frontier - 1))
		return "the unit below the frontier is used";
	if (bits_next_used(map->bits, map->frontier, map->units) < map->units)
		return "no unit from the frontier on is used";
	if (map->frontier > (tree_exists(map) ? 1U << tree_shift(map->top) : TREE_FROM))
		return "the root spans the frontier";
	if (!tree_exists(map) && map->held.start < map->held.end)
		return "nothing is held outside a tree that does not exist";
	if (!tree_exists(map) && !full_is_sound(map))
		return "words are noted as full if, and only if, they are";
	if (!range_is_sound(map, map->held, true))
		return "the held hole is marked used and stands alone";
	if (!range_is_sound(map, map->lent, false))
		return "the lent range is marked used";
	if (!counts_are_sound(map))
		return "used_units and objects are those of the bits";
	if (tree_exists(map) && !tree_is_sound(map, map->top, 0))
		return "every node says what the bits below it say";
	return NULL;
}

uint32_t map_next_object(const struct map *map, uint32_t unit, uint32_t *n)
{
	for (; unit < map->frontier; unit++)
		if (map_look(map, unit, n) == MAP_OBJECT)
			return unit;
	return MAP_NONE;
}

void map_draw(const struct map *map, struct map_range range, char *text, uint32_t cells)
{
	const uint64_t units = range.end - range.start;

	for (uint32_t cell = 0; cell < cells; cell++) {
		const uint32_t first = range.start + (uint32_t)(units * cell / cells);
		const uint32_t next = range.start + (uint32_t)(units * (cell + 1) / cells);
		uint32_t used = 0;

		for (uint32_t unit = first; unit < next && unit < map->frontier; unit++)
			used += in_object(map, unit);
		if (used == 0)
			text[cell] = '.';
		else if (used == next - first)
			text[cell] = '#';
		else
			text[cell] = (char)('1' + (uint64_t)used * 9 / (next - first));
	}
	text[cells] = '\0';
}
