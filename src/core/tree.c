/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The summary of the holes; tree.h tells the algorithm. */
#include "tree.h"
#include "bits.h"

_Static_assert(MAP_LEAF_UNITS == 1U << 9, "tree_shift() says so");
_Static_assert(MAP_FANOUT == 1U << 3, "tree_shift() says so");
_Static_assert(TREE_FROM / BITS_PER_WORD == 64, "`full` of struct map has one bit for each");
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

/*
 * A hole of the node: it raises the fits that it is longer than. The largest
 * alignment that has a multiple in the hole is the highest bit in which the
 * units before its first and its last one differ (unit 0 is a multiple of all).
 */
static void node_add_hole(struct map_node *node, uint32_t start, uint32_t end)
{
	const uint32_t differ = (start - 1) ^ (end - 1);
	uint32_t last;

	if (start == end)
		return;
	last = min_u32(31 - (uint32_t)__builtin_clz(differ), MAP_ORDERS - 1);
	if (end - start <= node->fit[last])
		return; /* fits fall as the alignment rises, so it raises none */
	for (uint32_t k = 0; k <= last; k++)
		node->fit[k] = max_u32(node->fit[k], end - align_up(start, k));
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

/* Add the holes that lie inside one word, used units on both sides. @base: its first unit. */
static void word_survey(struct map_node *node, uint64_t free, uint32_t base)
{
	while (free) {
		const uint64_t lowest = free & -free;
		const uint64_t above = free + lowest; /* the lowest run of ones is carried away */
		const uint32_t start = (uint32_t)__builtin_ctzll(free);

		node_add_hole(node, base + start, base + (uint32_t)__builtin_ctzll(above));
		free &= above;
	}
}

/* Units of a leaf from here on do not count: they lie above the frontier, or in the next leaf. */
static uint32_t leaf_limit(const struct map *map, uint32_t leaf)
{
	return min_u32((leaf + 1) * MAP_LEAF_UNITS, map->frontier);
}

/* Add the holes that the bits of a leaf show. */
static void leaf_survey(const struct map *map, uint32_t leaf, struct map_node *node)
{
	const uint32_t limit = leaf_limit(map, leaf);
	uint32_t base = leaf * MAP_LEAF_UNITS;
	uint32_t hole = base; /* the hole that reaches the word's left edge */

	MAP_VISIT(map, MAP_LEAF_UNITS / BITS_PER_WORD);
	for (; base < limit; base += BITS_PER_WORD) {
		const struct map_bits *word = &map->bits[base / BITS_PER_WORD];
		const uint64_t used = word->used | ~bits_mask(base, limit);

		if (used == 0)
			continue; /* the hole goes on */
		node_add_hole(node, hole, base + bits_lead(used));
		word_survey(node, ~used & ~0ULL << bits_lead(used) & ~0ULL >> bits_trail(used),
			    base);
		hole = base + BITS_PER_WORD - bits_trail(used);
	}
	node_add_hole(node, hole, base);
}

/* Add what the children of a node say: their own fits, and the holes that cross their borders. */
static void node_survey(const struct map *map, uint32_t level, uint32_t i, struct map_node *node)
{
	const uint32_t size = 1U << tree_shift(level - 1);
	const struct map_node *child = &map->level[level - 1][i * MAP_FANOUT];
	uint32_t hole = 0, end = 0; /* counted from the node's first unit, itself aligned enough */

	MAP_VISIT(map, MAP_FANOUT);
	for (uint32_t c = 0; c < MAP_FANOUT; c++, child++, end += size) {
		if (child->lead == size)
			continue; /* the hole goes on */
		for (uint32_t k = 0; k < MAP_ORDERS; k++)
			node->fit[k] = max_u32(node->fit[k], child->fit[k]);
		if (hole < end)
			node_add_hole(node, hole, end + child->lead);
		hole = end + size - child->trail;
	}
	node_add_hole(node, hole, end);
}

/* Something below the node will change: if it is uniform, write its children now. */
static void node_split(struct map *map, uint32_t level, uint32_t i)
{
	const struct map_node *node = &map->level[level][i];
	struct map_node *child = &map->level[level - 1][i * MAP_FANOUT], uniform;

	if (!node_used(node) && !tree_node_free(node, level))
		return;
	MAP_VISIT(map, MAP_FANOUT);
	uniform = node_uniform(level - 1, i * MAP_FANOUT, !node_used(node));
	for (uint32_t c = 0; c < MAP_FANOUT; c++)
		child[c] = uniform;
	if (level == 1 && !node_used(&uniform)) /* odd leaves are no multiples of 1024 units */
		for (uint32_t c = 1; c < MAP_FANOUT; c += 2)
			child[c] = node_uniform(0, i * MAP_FANOUT + c, true);
}

/* A change: units of a hole become free, or are taken. */
struct change {
	uint32_t start, end;   /* the units */
	struct map_range hole; /* that they lie in, when all of them are free */
	bool free;
};

/* Does a fit of the node rest on this hole? Perhaps not on it alone. */
static bool node_rests_on(const struct map_node *node, struct map_range hole)
{
	for (uint32_t k = 0; k < MAP_ORDERS; k++) {
		const uint32_t aligned = align_up(hole.start, k);

		if (aligned >= hole.end)
			return false;
		if (node->fit[k] == hole.end - aligned)
			return true;
	}
	return false;
}

/* Units of a hole are taken: if a fit rested on it, all are looked for anew. */
static void node_lower(const struct map *map, uint32_t level, uint32_t i, struct map_node *node,
		       struct map_range hole)
{
	if (!node_rests_on(node, hole))
		return;
	for (uint32_t k = 0; k < MAP_ORDERS; k++)
		node->fit[k] = 0;
	if (level)
		node_survey(map, level, i, node);
	else
		leaf_survey(map, i, node);
}

/* A node's new summary, once its children, or its bits, have changed. */
static struct map_node node_changed(const struct map *map, uint32_t level, uint32_t i,
				    const struct change *change)
{
	const uint32_t base = i << tree_shift(level), end = (i + 1) << tree_shift(level);
	const struct map_range hole = {max_u32(change->hole.start, base),
				       min_u32(change->hole.end, end)};
	struct map_node node = map->level[level][i];

	MAP_VISIT(map, 1);
	if (change->free)
		node_add_hole(&node, hole.start, hole.end);
	else
		node_lower(map, level, i, &node, hole);
	if (hole.start == base)
		node.lead = (change->free ? hole.end : max_u32(change->start, base)) - base;
	if (hole.end == end)
		node.trail = end - (change->free ? hole.start : min_u32(change->end, end));
	return node;
}

static bool nodes_below_update(struct map *map, uint32_t level, uint32_t i, uint32_t start,
			       uint32_t end, const struct change *change);

/* tree_change() below one node. Returns whether the node has changed. */
static bool node_update(struct map *map, uint32_t level, uint32_t i, const struct change *change)
{
	const uint32_t shift = tree_shift(level);
	const uint32_t start = max_u32(change->start, i << shift);
	const uint32_t end = min_u32(change->end, (i + 1) << shift);
	struct map_node *node = &map->level[level][i];
	struct map_node now;

	if (end - start == 1U << shift) {
		now = node_uniform(level, i, change->free);
	} else {
		if (level && !nodes_below_update(map, level, i, start, end, change))
			return false;
		now = node_changed(map, level, i, change);
	}
	if (node_equal(node, &now))
		return false;
	*node = now;
	return true;
}

/* The children of a node that has some of the units. */
static bool nodes_below_update(struct map *map, uint32_t level, uint32_t i, uint32_t start,
			       uint32_t end, const struct change *change)
{
	const uint32_t shift = tree_shift(level - 1), last = (end - 1) >> shift;
	bool changed = false;

	node_split(map, level, i);
	for (uint32_t c = start >> shift; c <= last; c++)
		changed |= node_update(map, level - 1, c, change);
	return changed;
}

/* The same from the root, for units of one leaf: most changes are. */
static void leaf_update(struct map *map, uint32_t leaf, const struct change *change)
{
	for (uint32_t level = map->top; level > 0; level--)
		node_split(map, level, leaf >> 3 * level);
	for (uint32_t level = 0; level <= map->top; level++) {
		struct map_node *node = &map->level[level][leaf >> 3 * level];
		const struct map_node now = node_changed(map, level, leaf >> 3 * level, change);

		if (node_equal(node, &now))
			return;
		*node = now;
	}
}

void tree_change(struct map *map, uint32_t start, uint32_t end, bool free)
{
	const struct change change = {
		.start = start,
		.end = end,
		.hole = {tree_hole_start(map, start), tree_hole_end(map, end)},
		.free = free,
	};

	if (start / MAP_LEAF_UNITS == (end - 1) / MAP_LEAF_UNITS)
		leaf_update(map, start / MAP_LEAF_UNITS, &change);
	else
		node_update(map, map->top, 0, &change);
}

void tree_start(struct map *map)
{
	struct map_node *root = &map->level[1][0];

	for (uint32_t leaf = 0; leaf < MAP_FANOUT; leaf++) {
		const uint32_t base = leaf * MAP_LEAF_UNITS, end = base + MAP_LEAF_UNITS;
		const uint32_t limit = leaf_limit(map, leaf);
		struct map_node node = {0};

		if (base < limit) {
			leaf_survey(map, leaf, &node);
			node.lead = bits_next_used(map->bits, base, limit) - base;
			node.trail = limit - bits_hole_start(map->bits, base, limit);
			if (limit < end)
				node.trail = 0;
		}
		map->level[0][leaf] = node;
	}
	*root = (struct map_node){.lead = bits_next_used(map->bits, 0, map->frontier)};
	node_survey(map, 1, 0, root);
	map->top = 1;
}

uint32_t tree_largest(const struct map *map)
{
	uint32_t hole, end = 0, largest = 0;

	if (tree_exists(map))
		return tree_root(map)->fit[0];
	while ((hole = bits_next_free(map->bits, end, map->frontier)) < map->frontier) {
		end = bits_next_used(map->bits, hole, map->frontier);
		largest = max_u32(largest, end - hole);
	}
	return largest;
}

void tree_grow(struct map *map)
{
	while (map->frontier > 1U << tree_shift(map->top)) {
		struct map_node *child = map->level[map->top], root;

		for (uint32_t c = 1; c < MAP_FANOUT; c++)
			child[c] = node_uniform(map->top, c, false);
		root = *child;
		root.trail = 0;
		map->level[++map->top][0] = root;
	}
}

/* The multiples of 2^@order in a word that have @n free units from there, all in the word. */
static uint64_t word_fits(uint64_t free, uint32_t n, uint32_t order)
{
	static const uint64_t multiples[] = {
		0xffffffffffffffff, 0x5555555555555555, 0x1111111111111111,
		0x0101010101010101, 0x0001000100010001, 0x0000000100000001,
	};
	uint32_t more = n - 1;

	if (n >= BITS_PER_WORD || order >= sizeof(multiples) / sizeof(multiples[0]))
		return 0; /* such a fit begins at the word's edge, if at all */
	/* A one stays where as many follow it as were asked for so far: 1, 2, 4, ... */
	for (uint32_t step = 1; more && free; step *= 2) {
		step = min_u32(step, more);
		free &= free >> step;
		more -= step;
	}
	return free & multiples[order];
}

/*
 * The lowest fit by the bits alone, in words from @start on; those whose bit is set
 * in @full are known to have no free unit. O(words x log n).
 */
static uint32_t find_in_words(const struct map *map, uint32_t start, uint32_t end, uint64_t full,
			      uint32_t n, uint32_t order)
{
	uint32_t hole = start; /* the hole that reaches the right edge of the last word */
	uint32_t edge = start; /* that edge */

	for (uint64_t words = ~full; words; words &= words - 1) {
		const uint32_t base = start + (uint32_t)__builtin_ctzll(words) * BITS_PER_WORD;
		uint64_t used, fits;

		if (base >= end)
			break;
		MAP_VISIT(map, 1);
		if (base != edge) { /* the full words between end it */
			if (align_up(hole, order) + n <= edge)
				return align_up(hole, order);
			hole = base;
		}
		used = map->bits[base / BITS_PER_WORD].used | ~bits_mask(base, end);
		edge = base + BITS_PER_WORD;
		if (used == 0)
			continue; /* the hole goes on */
		if (align_up(hole, order) + n <= base + bits_lead(used))
			return align_up(hole, order);
		fits = word_fits(~used, n, order);
		if (fits)
			return base + (uint32_t)__builtin_ctzll(fits);
		hole = edge - bits_trail(used);
	}
	return align_up(hole, order) + n <= edge ? align_up(hole, order) : MAP_NONE;
}

/* The words of a leaf, from the first on: no others. */
#define OTHER_WORDS (~0ULL << MAP_LEAF_UNITS / BITS_PER_WORD)

uint32_t scan_find(const struct map *map, uint32_t n, uint32_t order)
{
	return find_in_words(map, 0, map->frontier, map->full, n, order);
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
			return find_in_words(map, i * MAP_LEAF_UNITS, leaf_limit(map, i),
					     OTHER_WORDS, n, order);
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

/*
 * The two ends of a hole. The leaf's bits mostly tell; if the hole reaches the
 * leaf's edge, a walk down from the root carries the hole that reaches the edge
 * of each node on the way.
 */

uint32_t tree_hole_start(const struct map *map, uint32_t end)
{
	const uint32_t leaf = end ? (end - 1) / MAP_LEAF_UNITS : 0, base = leaf * MAP_LEAF_UNITS;
	const uint32_t start = bits_hole_start(map->bits, base, end);
	uint32_t level = map->top, i = 0, hole = 0; /* the hole that reaches the node's left edge */

	if (!tree_exists(map))
		return bits_hole_start(map->bits, 0, end);
	MAP_VISIT(map, (end - start) / BITS_PER_WORD + 1);
	if (start > base || base == 0)
		return start;
	while (level > 0 && !tree_node_free(&map->level[level][i], level)) {
		const uint32_t shift = tree_shift(level - 1), target = base >> shift;

		if (node_used(&map->level[level--][i])) /* but for the change that is under way */
			return i << (shift + 3) == base ? hole : base;
		for (i *= MAP_FANOUT; i < target; i++) {
			const struct map_node *node = &map->level[level][i];

			MAP_VISIT(map, 1);
			if (!tree_node_free(node, level))
				hole = ((i + 1) << shift) - node->trail;
		}
	}
	return hole;
}

uint32_t tree_hole_end(const struct map *map, uint32_t start)
{
	const uint32_t edge = (start / MAP_LEAF_UNITS + 1) * MAP_LEAF_UNITS;
	const uint32_t limit = min_u32(edge, map->frontier);
	const uint32_t end = start < limit ? bits_next_used(map->bits, start, limit) : start;
	uint32_t level = map->top, i = 0, hole = map->frontier; /* that reaches its right edge */

	MAP_VISIT(map, (end - start) / BITS_PER_WORD + 1);
	if (end < edge || edge >= map->frontier)
		return end;
	while (level > 0 && !tree_node_free(&map->level[level][i], level)) {
		const uint32_t shift = tree_shift(level - 1), target = start >> shift;

		if (node_used(&map->level[level--][i]))
			return (i + 1) << (shift + 3) == edge ? hole : edge;
		for (i = i * MAP_FANOUT + MAP_FANOUT - 1; i > target; i--) {
			const struct map_node *node = &map->level[level][i];

			MAP_VISIT(map, 1);
			if (!tree_node_free(node, level))
				hole = (i << shift) + node->lead;
		}
	}
	return hole;
}
