/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The map's operations. Where free memory can be is told in map.h; who knows
 * of it, and what its used bits say:
 *
 *                   tree knows it    used bits
 *   hole            yes              0
 *   held, lent      no               1
 *   from frontier   no               0
 */
#include "map.h"
#include "bits.h"
#include "tree.h"

/*
 * A larger hole is not held: its used bits are still to be cleared, and the
 * call that does it must not pay for many other objects' words.
 */
#define HELD_UNITS_MAX 1024U

/* What an empty range always is. */
static const struct map_range NO_RANGE = {0, 0};

static bool range_has(struct map_range range, uint32_t unit)
{
	return unit >= range.start && unit < range.end;
}

static uint32_t range_units(struct map_range range)
{
	return range.end - range.start;
}

/* Are there units marked used that no object has? */
static bool has_disguised(const struct map *map)
{
	return map->held.end || map->lent.end;
}

/* How the memory is divided: the bits, then the levels from the leaves up. */

static size_t bits_bytes(uint32_t units_max)
{
	return ((size_t)units_max + MAP_LEAF_UNITS - 1) / MAP_LEAF_UNITS *
	       (MAP_LEAF_UNITS / BITS_PER_WORD) * sizeof(struct map_bits);
}

/* Nodes of a level, in whole families of 8; the topmost level has one node. */
static uint32_t level_nodes(uint32_t units_max, uint32_t level)
{
	const uint32_t nodes = ((units_max - 1) >> tree_shift(level)) + 1;

	return nodes == 1 ? 1 : (nodes + MAP_FANOUT - 1) / MAP_FANOUT * MAP_FANOUT;
}

size_t map_memory_bytes(uint32_t units_max)
{
	size_t bytes = bits_bytes(units_max);
	uint32_t level = 0, nodes;

	do {
		nodes = level_nodes(units_max, level++);
		bytes += nodes * sizeof(struct map_node);
	} while (nodes > 1);
	return bytes;
}

void map_init(struct map *map, void *memory, uint32_t units_max)
{
	struct map_node *node = (void *)((char *)memory + bits_bytes(units_max));
	uint32_t level = 0, nodes;

	MAP_ASSERT(units_max > 0 && units_max <= MAP_UNITS_MAX);
	*map = (struct map){.bits = memory, .units_max = units_max};
	do {
		nodes = level_nodes(units_max, level);
		map->node_count[level] = nodes;
		map->level[level++] = node;
		node += nodes;
	} while (nodes > 1);
}

void map_grow(struct map *map, uint32_t units)
{
	MAP_ASSERT(units >= map->units && units <= map->units_max);
	map->units = units;
}

/* Into the tree, and out of it. */

static void add_hole(struct map *map, uint32_t start, uint32_t end)
{
	MAP_VISIT(map, (end - start) / BITS_PER_WORD + 1);
	bits_clear_used(map->bits, start, end);
	tree_change(map, start, end, true);
}

static void flush_held(struct map *map)
{
	const struct map_range held = map->held;

	map->held = NO_RANGE;
	if (range_units(held))
		add_hole(map, held.start, held.end);
}

/* Hold units that are free, marked used, and have used units on both sides. */
static void hold(struct map *map, uint32_t start, uint32_t end)
{
	flush_held(map);
	map->held.start = start;
	map->held.end = end;
	if (end - start > HELD_UNITS_MAX)
		flush_held(map);
}

/*
 * Units are marked used, and without a tree that is nearly all. False: there is
 * one, if only from now on, and it has to be told.
 */
static bool take_without_tree(struct map *map, uint32_t start, uint32_t end)
{
	if (tree_exists(map))
		return false;
	if (end > TREE_FROM) {
		tree_start(map);
		return false;
	}
	scan_note_full(map, start, end);
	if (map->frontier < start)
		map->missed.n = 0; /* there is a new hole, down to the old frontier */
	if (map->frontier < end)
		map->frontier = end;
	return true;
}

static void raise_frontier(struct map *map, uint32_t start, uint32_t end)
{
	const uint32_t gap = map->frontier;

	map->frontier = end;
	tree_grow(map);
	if (start - gap > HELD_UNITS_MAX) {
		tree_change(map, gap, start, true);
	} else if (start > gap) {
		bits_set_used(map->bits, gap, start);
		hold(map, gap, start);
	}
}

/* The topmost object has gone; the hole below it, if any, goes with it. */
static void lower_frontier(struct map *map, uint32_t start)
{
	MAP_VISIT(map, (map->frontier - start) / BITS_PER_WORD + 1);
	bits_clear_used(map->bits, start, map->frontier);
	map->frontier = start;
	if (range_units(map->held) && map->held.end == start) {
		bits_clear_used(map->bits, map->held.start, start);
		map->frontier = map->held.start;
		map->held = NO_RANGE;
	} else if (start > 0 && !bits_used(map->bits, start - 1)) {
		map->frontier = tree_hole_start(map, start);
		tree_change(map, map->frontier, start, false);
	}
	if (map->frontier <= TREE_FROM / 2) {
		flush_held(map);
		map->top = 0; /* no tree from now on */
		map->full = 0;
		map->missed.n = 0;
		scan_note_full(map, 0, TREE_FROM);
	}
}

/* Out of the held hole; the larger rest stays held. */
static void take_held(struct map *map, uint32_t start, uint32_t end)
{
	const struct map_range below = {map->held.start, start}, above = {end, map->held.end};
	const bool keep_below = range_units(below) >= range_units(above);
	const struct map_range rest = keep_below ? above : below;

	map->held = keep_below ? below : above;
	if (range_units(map->held) == 0)
		map->held = NO_RANGE;
	if (range_units(rest))
		add_hole(map, rest.start, rest.end);
}

/* Allocation. */

/* Units are marked used: out of wherever the tree has them. Not inlined: small maps do without. */
__attribute__((__noinline__)) static void take_from_tree(struct map *map, uint32_t start, uint32_t end)
{
	if (start >= map->frontier)
		raise_frontier(map, start, end);
	else if (range_has(map->held, start))
		take_held(map, start, end);
	else
		tree_change(map, start, end, false);
}

/* Take free units out of wherever they are, and mark them used. */
static void take(struct map *map, uint32_t start, uint32_t end)
{
	MAP_VISIT(map, (end - start) / BITS_PER_WORD + 1);
	bits_take(map->bits, start, end);
	if (!take_without_tree(map, start, end))
		take_from_tree(map, start, end);
}

/* The lowest fit below the frontier where there is no tree. What does not fit is remembered. */
static uint32_t find_by_scan(struct map *map, uint32_t n, uint32_t order)
{
	const struct map_request missed = map->missed;
	uint32_t unit;

	if (missed.n && n >= missed.n && order >= missed.order)
		return MAP_NONE;
	unit = scan_find(map, n, order);
	if (unit == MAP_NONE) {
		map->missed.n = n;
		map->missed.order = order;
	}
	return unit;
}

static uint32_t find_below(struct map *map, uint32_t n, uint32_t order)
{
	uint32_t hole, held;

	if (!tree_exists(map))
		return find_by_scan(map, n, order);
	hole = tree_find(map, n, order);
	held = align_up(map->held.start, order);
	return held + n <= map->held.end && held < hole ? held : hole;
}

static uint32_t find(struct map *map, uint32_t n, uint32_t order)
{
	const uint32_t above = align_up(map->frontier, order);
	uint32_t unit;

	if (n > map->units)
		return MAP_NONE; /* from here on no sum of units overflows */
	unit = find_below(map, n, order);
	if (unit != MAP_NONE)
		return unit;
	return above < map->units && n <= map->units - above ? above : MAP_NONE;
}

/* Free units from @start on, where a fit was found; at most @most are counted. */
static uint32_t room(const struct map *map, uint32_t start, uint32_t most)
{
	uint32_t end;

	if (start >= map->frontier)
		end = map->units;
	else if (range_has(map->held, start))
		end = map->held.end;
	else
		end = bits_next_used(map->bits, start,
				     map->frontier - start < most ? map->frontier : start + most);
	return end - start < most ? end - start : most;
}

uint32_t map_alloc(struct map *map, uint32_t n, uint32_t order)
{
	const uint32_t unit = find(map, n, order);

	MAP_ASSERT(n > 0 && order < MAP_ORDERS);
	if (unit == MAP_NONE)
		return MAP_NONE;
	take(map, unit, unit + n);
	map->used_units += n;
	map->objects++;
	return unit;
}

void map_take(struct map *map, uint32_t start, uint32_t end)
{
	MAP_ASSERT(end > start && map_is_free(map, start, end));
	take(map, start, end);
	map->used_units += end - start;
	map->objects++;
}

uint32_t map_alloc_batch(struct map *map, uint32_t n, uint32_t order, uint32_t *units,
			 uint32_t count)
{
	const uint32_t start = count ? find(map, n, order) : MAP_NONE;

	MAP_ASSERT(n > 0 && order < MAP_ORDERS);
	if (start == MAP_NONE)
		return 0;
	if (n % (1U << order))
		count = 1; /* a second one would not be aligned */
	if (count > map->units / n)
		count = map->units / n; /* no more fit, and count * n cannot overflow */
	count = room(map, start, n * count) / n;
	take(map, start, start + count * n);
	bits_set_starts(map->bits, start, n, count);
	for (uint32_t i = 0; i < count; i++)
		units[i] = start + i * n;
	map->used_units += count * n;
	map->objects += count;
	return count;
}

/* Freeing. */

/* release() where there is a tree: it learns of it now or later. */
__attribute__((__noinline__)) static void release_to_tree(struct map *map, uint32_t start, uint32_t end)
{
	struct map_range hole = {start, end};

	if (end == map->frontier) {
		lower_frontier(map, start);
		return;
	}
	if (range_units(map->held) && map->held.end == start) {
		hole.start = map->held.start;
		map->held = NO_RANGE;
	} else if (range_units(map->held) && map->held.start == end) {
		hole.end = map->held.end;
		map->held = NO_RANGE;
	}
	hold(map, hole.start, hole.end);
	if ((hole.start > 0 && !bits_used(map->bits, hole.start - 1)) ||
	    !bits_used(map->bits, hole.end))
		flush_held(map); /* it is part of a larger hole */
}

/* Units marked used become free. */
static void release(struct map *map, uint32_t start, uint32_t end)
{
	if (tree_exists(map)) {
		release_to_tree(map, start, end);
		return;
	}
	bits_clear_used(map->bits, start, end);
	scan_note_free(map, start, end);
	map->missed.n = 0;
	if (end == map->frontier)
		map->frontier = bits_hole_start(map->bits, 0, start);
}

static uint32_t end_before(struct map_range range, uint32_t start, uint32_t end)
{
	return range.start > start && range.start < end ? range.start : end;
}

static uint32_t object_end(const struct map *map, uint32_t start)
{
	uint32_t end = map->frontier;

	if (has_disguised(map)) {
		end = end_before(map->held, start, end);
		end = end_before(map->lent, start, end);
	}
	return bits_object_end(map->bits, start + 1, end);
}

enum map_verdict map_look(const struct map *map, uint32_t unit, uint32_t *n)
{
	bool used;

	if (unit >= map->units)
		return MAP_OUTSIDE;
	used = bits_used(map->bits, unit);
	if (has_disguised(map) && (range_has(map->held, unit) || range_has(map->lent, unit)))
		used = false;
	if (!bits_start(map->bits, unit))
		return used ? MAP_INTERIOR : MAP_FREE;
	if (!used)
		return MAP_FREED;
	*n = object_end(map, unit) - unit;
	return MAP_OBJECT;
}

/* map_look() with a size in mind. */
static enum map_verdict judge(const struct map *map, uint32_t unit, uint32_t n)
{
	uint32_t units;
	const enum map_verdict verdict = map_look(map, unit, &units);

	return verdict == MAP_OBJECT && units != n ? MAP_SIZE : verdict;
}

enum map_verdict map_free(struct map *map, uint32_t unit, uint32_t n)
{
	const enum map_verdict verdict = judge(map, unit, n);

	if (verdict == MAP_OBJECT) {
		map->used_units -= n;
		map->objects--;
		release(map, unit, unit + n);
	}
	return verdict;
}

/* Shell's sort, with Ciura's gaps: in place, no recursion, quick for a few hundred. */
static void sort(uint32_t *units, uint32_t count)
{
	static const uint32_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};

	for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++)
		for (uint32_t i = gaps[g]; i < count; i++) {
			const uint32_t unit = units[i];
			uint32_t j = i;

			for (; j >= gaps[g] && units[j - gaps[g]] > unit; j -= gaps[g])
				units[j] = units[j - gaps[g]];
			units[j] = unit;
		}
}

uint32_t map_free_batch(struct map *map, uint32_t n, uint32_t *units, uint32_t count)
{
	struct map_range run = NO_RANGE; /* judged, and not yet released */
	uint32_t refused = 0;

	sort(units, count);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t unit = units[i];

		if (range_has(run, unit) || judge(map, unit, n) != MAP_OBJECT) {
			units[refused++] = unit;
			continue;
		}
		if (run.end != unit && range_units(run))
			release(map, run.start, run.end);
		run.start = run.end == unit && range_units(run) ? run.start : unit;
		run.end = unit + n;
		map->used_units -= n;
		map->objects--;
	}
	if (range_units(run))
		release(map, run.start, run.end);
	return refused;
}

/* Questions about free memory, and its lending. */

uint32_t map_largest_free(const struct map *map)
{
	uint32_t largest = tree_largest(map);

	if (largest < range_units(map->held))
		largest = range_units(map->held);
	if (largest < map->units - map->frontier)
		largest = map->units - map->frontier;
	return largest;
}

bool map_is_free(const struct map *map, uint32_t start, uint32_t end)
{
	if (start >= map->frontier)
		return end <= map->units;
	if (range_has(map->held, start))
		return end <= map->held.end;
	return end <= map->frontier && tree_hole_start(map, end) <= start;
}

void map_lend(struct map *map, uint32_t start, uint32_t end)
{
	MAP_ASSERT(!range_units(map->lent) && map_is_free(map, start, end));
	flush_held(map);
	bits_set_used(map->bits, start, end);
	map->lent.start = start;
	map->lent.end = end;
	if (!take_without_tree(map, start, end))
		take_from_tree(map, start, end);
}

void map_return(struct map *map)
{
	const struct map_range lent = map->lent;

	MAP_ASSERT(range_units(lent));
	map->lent = NO_RANGE;
	release(map, lent.start, lent.end);
}

/*
 * An array of the map's memory, whose elements tell of 2^shift units each. A
 * page of it is idle if all those units are free, or if nobody looks at its
 * elements, which begin with number `unused`.
 */
struct array {
	void *memory;
	size_t bytes, element_bytes;
	uint32_t shift;
	uint64_t unused;
};

struct page_walk {
	const struct map *map;
	struct map_range around; /* units */
	size_t page_bytes;
	void (*drop)(void *context, void *address, size_t bytes);
	void *context;
};

/* Of units that an element tells of, none or all lie above the frontier, if they are free. */
static bool elements_are_idle(const struct map *map, const struct array *array, uint64_t first,
			      uint64_t beyond)
{
	const uint64_t start = first << array->shift, end = beyond << array->shift;

	if (first >= array->unused || start >= map->frontier)
		return true;
	return end <= map->frontier && map_is_free(map, (uint32_t)start, (uint32_t)end);
}

static size_t round_down(size_t n, size_t to)
{
	return n / to * to;
}

/* Neighbouring idle pages go in one call. */
static void walk_array(const struct page_walk *walk, const struct array *array)
{
	const size_t page = walk->page_bytes, element = array->element_bytes;
	const uintptr_t base = (uintptr_t)array->memory, end = base + array->bytes;
	const size_t first = (walk->around.start >> array->shift) * element;
	const size_t last = (((uint64_t)walk->around.end - 1) >> array->shift) * element;
	uintptr_t at = round_down(base + first, page), idle;

	for (idle = at = at < base ? at + page : at; at + page <= end && at <= base + last;
	     at += page) {
		if (elements_are_idle(walk->map, array, (at - base) / element,
				      (at - base + page - 1) / element + 1))
			continue;
		if (at > idle)
			walk->drop(walk->context, (void *)idle, at - idle);
		idle = at + page;
	}
	if (at > idle)
		walk->drop(walk->context, (void *)idle, at - idle);
}

void map_idle_pages(struct map *map, uint32_t start, uint32_t end, size_t page_bytes,
		    void (*drop)(void *context, void *address, size_t bytes), void *context)
{
	const struct page_walk walk = {map, {start, end}, page_bytes, drop, context};
	const struct array bits = {map->bits, bits_bytes(map->units_max), sizeof(struct map_bits),
				   6, UINT64_MAX};

	flush_held(map);
	walk_array(&walk, &bits);
	for (uint32_t level = 0; level < MAP_LEVELS && map->level[level]; level++) {
		/* Nobody looks at a family of nodes if the parent is all free. */
		struct array families = {
			.memory = map->level[level],
			.bytes = map->node_count[level] * sizeof(struct map_node),
			.element_bytes = MAP_FANOUT * sizeof(struct map_node),
			.shift = tree_shift(level + 1),
			.unused = UINT64_MAX,
		};

		if (level >= map->top) /* the root is alone on its level, and there is none above */
			families.unused = level == map->top && tree_exists(map);
		walk_array(&walk, &families);
	}
}
