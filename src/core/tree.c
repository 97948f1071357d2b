/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The summary of the holes; tree.h tells the algorithm. */
#include "tree.h"
#include "bits.h"

_Static_assert(MAP_LEAF_UNITS == 1U << 9, "tree_shift() says so");
_Static_assert(MAP_FANOUT == 1U << 3, "tree_shift() says so");
_Static_assert(MAP_LEAF_UNITS % BITS_PER_WORD == 0, "no word belongs to two leaves");

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

bool tree_node_free(const struct map_node *node, uint32_t level)
{
	return node->lead == 1U << tree_shift(level);
}

static bool node_used(const struct map_node *node)
{
	return node->fit[0] == 0;
}

static bool node_equal(const struct map_node *a, const struct map_node *b)
{
	uint32_t differ = (a->lead ^ b->lead) | (a->trail ^ b->trail);

	for (uint32_t k = 0; k < MAP_ORDERS; k++)
		differ |= a->fit[k] ^ b->fit[k];
	return differ == 0;
}

/* A hole of the node: it raises the fits that it is longer than. */
static void node_add_hole(struct map_node *node, uint32_t start, uint32_t end)
{
	for (uint32_t k = 0; k < MAP_ORDERS; k++) {
		const uint32_t aligned = align_up(start, k);

		if (aligned >= end)
			return; /* and so is every larger alignment */
		node->fit[k] = max_u32(node->fit[k], end - aligned);
	}
}

static struct map_node node_uniform(uint32_t level, uint32_t i, bool free)
{
	const uint32_t shift = tree_shift(level);
	struct map_node node = {0};

	if (free) {
		node.lead = node.trail = 1U << shift;
		node_add_hole(&node, i << shift, (i + 1) << shift);
	}
	return node;
}

/* What the bits of a leaf say. */
static struct map_node leaf_survey(const struct map *map, uint32_t leaf)
{
	const uint32_t base = leaf * MAP_LEAF_UNITS;
	const uint32_t end = base + MAP_LEAF_UNITS;
	const uint32_t limit = min_u32(end, map->frontier);
	struct map_node node = {0};
	uint32_t hole, next = base;

	MAP_VISIT(map, MAP_LEAF_UNITS / BITS_PER_WORD);
	while ((hole = bits_next_free(map->bits, next, limit)) < limit) {
		next = bits_next_used(map->bits, hole, limit);
		node_add_hole(&node, hole, next);
		if (hole == base)
			node.lead = next - hole;
		if (next == end)
			node.trail = next - hole;
	}
	return node;
}

/* What the children of a node say: their own fits, and the holes that cross their borders. */
static struct map_node node_survey(const struct map *map, uint32_t level, uint32_t i)
{
	const uint32_t size = 1U << tree_shift(level - 1);
	const struct map_node *child = &map->level[level - 1][i * MAP_FANOUT];
	struct map_node node = {0};
	uint32_t hole = 0, end = 0; /* counted from the node's first unit, itself aligned enough */

	MAP_VISIT(map, MAP_FANOUT);
	for (uint32_t c = 0; c < MAP_FANOUT; c++, child++, end += size) {
		if (child->lead == size)
			continue; /* the hole goes on */
		node_add_hole(&node, hole, end + child->lead);
		if (hole == 0)
			node.lead = end + child->lead;
		if (child->fit[0])
			for (uint32_t k = 0; k < MAP_ORDERS; k++)
				node.fit[k] = max_u32(node.fit[k], child->fit[k]);
		hole = end + size - child->trail;
	}
	node_add_hole(&node, hole, end);
	if (hole == 0)
		node.lead = end;
	node.trail = end - hole;
	return node;
}

/* The node stops being uniform: write its children. */
static void node_split(struct map *map, uint32_t level, uint32_t i)
{
	struct map_node *child = &map->level[level - 1][i * MAP_FANOUT];
	const struct map_node uniform =
		node_uniform(level - 1, i * MAP_FANOUT, !node_used(&map->level[level][i]));

	MAP_VISIT(map, MAP_FANOUT);
	for (uint32_t c = 0; c < MAP_FANOUT; c++)
		child[c] = uniform;
	if (level == 1 && !node_used(&uniform)) /* odd leaves are no multiples of 1024 units */
		for (uint32_t c = 1; c < MAP_FANOUT; c += 2)
			child[c] = node_uniform(0, i * MAP_FANOUT + c, true);
}

/* tree_update() below one node. Returns whether the node has changed. */
static bool node_update(struct map *map, uint32_t level, uint32_t i, uint32_t start, uint32_t end,
			bool free)
{
	const uint32_t shift = tree_shift(level);
	struct map_node *node = &map->level[level][i];
	struct map_node now;

	start = max_u32(start, i << shift);
	end = min_u32(end, (i + 1) << shift);
	MAP_VISIT(map, 1);
	if (end - start == 1U << shift) {
		now = node_uniform(level, i, free);
	} else if (level == 0) {
		now = leaf_survey(map, i);
	} else {
		const uint32_t last = (end - 1) >> tree_shift(level - 1);
		bool changed = false;

		if (node_used(node) || tree_node_free(node, level))
			node_split(map, level, i);
		for (uint32_t c = start >> tree_shift(level - 1); c <= last; c++)
			changed |= node_update(map, level - 1, c, start, end, free);
		if (!changed)
			return false;
		now = node_survey(map, level, i);
	}
	if (node_equal(node, &now))
		return false;
	*node = now;
	return true;
}

void tree_update(struct map *map, uint32_t start, uint32_t end, bool free)
{
	node_update(map, map->top, 0, start, end, free);
}

void tree_grow(struct map *map)
{
	while (map->frontier > 1U << tree_shift(map->top)) {
		struct map_node *child = map->level[map->top];

		for (uint32_t c = 1; c < MAP_FANOUT; c++)
			child[c] = node_uniform(map->top, c, false);
		map->top++;
		map->level[map->top][0] = node_survey(map, map->top, 0);
	}
}

/* tree_find() in a leaf that is known to hold a fit. */
static uint32_t leaf_find(const struct map *map, uint32_t leaf, uint32_t n, uint32_t order)
{
	const uint32_t limit = min_u32((leaf + 1) * MAP_LEAF_UNITS, map->frontier);
	uint32_t end = leaf * MAP_LEAF_UNITS;

	MAP_VISIT(map, MAP_LEAF_UNITS / BITS_PER_WORD);
	while (end < limit) {
		const uint32_t hole = bits_next_free(map->bits, end, limit);
		const uint32_t aligned = align_up(hole, order);

		end = bits_next_used(map->bits, hole, limit);
		if (aligned + n <= end)
			return aligned;
	}
	MAP_ASSERT(false); /* the fit of the leaf said that there is one */
	return MAP_NONE;
}

uint32_t tree_find(const struct map *map, uint32_t n, uint32_t order)
{
	uint32_t level = map->top, i = 0;

	if (tree_root(map)->fit[order] < n)
		return MAP_NONE;
	while (!tree_node_free(&map->level[level][i], level)) {
		const struct map_node *child;
		uint32_t size, base, hole;

		if (level == 0)
			return leaf_find(map, i, n, order);
		level--;
		i *= MAP_FANOUT;
		child = &map->level[level][i];
		size = 1U << tree_shift(level);
		base = hole = i * size;
		for (;; i++, child++, base += size) {
			const uint32_t aligned = align_up(hole, order);

			MAP_VISIT(map, 1);
			if (aligned + n <= base + child->lead)
				return aligned;
			if (child->fit[order] >= n)
				break;
			if (child->lead != size)
				hole = base + size - child->trail;
		}
	}
	return align_up(i << tree_shift(level), order);
}

uint32_t tree_hole_start(const struct map *map, uint32_t end)
{
	uint32_t level = map->top, i = 0, hole = 0; /* the hole that reaches the node's left edge */

	for (;;) {
		const struct map_node *node = &map->level[level][i];
		uint32_t shift, target;

		if (node_used(node))
			return end;
		if (tree_node_free(node, level))
			return hole;
		if (level == 0) {
			const uint32_t base = i * MAP_LEAF_UNITS;
			const uint32_t start = bits_hole_start(map->bits, base, end);

			MAP_VISIT(map, MAP_LEAF_UNITS / BITS_PER_WORD);
			return start == base ? hole : start;
		}
		level--;
		shift = tree_shift(level);
		target = (end - 1) >> shift;
		for (i *= MAP_FANOUT; i < target; i++) {
			MAP_VISIT(map, 1);
			node = &map->level[level][i];
			if (!tree_node_free(node, level))
				hole = ((i + 1) << shift) - node->trail;
		}
	}
}
