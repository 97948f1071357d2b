/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Logarithmic, shown by counting. In every adversarial pattern no call may visit
 * more nodes and words than
 *
 *	K * levels of the tree + C * words of the object's own bits + SMALL
 *
 * K: on one level a search looks at 8 nodes, 8 and 8 more tell where a hole
 * begins and ends that changes, and the node at its edge has 8 children written
 * or 8 read: 40. A call may do one of these things twice (a hole has two edges,
 * and another hole may have been held until now) but not all of them on every
 * level. What is seen is 26 at most. The 8 words of a leaf stand in place of its
 * children. C: the words of the object's bits are looked at, marked, and looked
 * at by the leaves.
 *
 * The map counts itself. So that it can forget nothing, the compiler counts too:
 * the basic blocks that a call executes. The bound is of the same form, with a
 * constant for the 256 holes that a leaf can have, and wide enough for code that
 * is not optimized: one block for each word of the largest map would exceed it
 * ten times.
 *
 *	map-complexity [PATTERN]
 *
 * With less than full effort the large maps are left out.
 */
#include "core/tree.h"
#include "effort.h"
#include "patterns.h"
#include "random.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define K 40U
#define C 4U
#define SMALL (TREE_FROM / 64) /* a small map has no tree: all its words */

#define BLOCKS_LEAF 12000U
#define BLOCKS_LEVEL 500U
#define BLOCKS_WORD 32U

/* Of one pattern in one map: bounds the time that it takes to build. */
#define OBJECTS_MAX 3000000U
#define BATCH 64U

static uint64_t blocks;

/* The compiler calls this in each basic block of the core, see meson.build. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	blocks++;
}

/* The dearest call so far, by one of the two counts. */
struct dearest {
	uint64_t count, over; /* over: the most that a call has exceeded its bound by */
	char call[60];
};

struct field {
	struct map map;
	void *memory;
	uint64_t random;
	struct dearest visits, blocks;
};

static uint64_t words(uint32_t n)
{
	return n / 64 + 2;
}

static void compare(struct dearest *dearest, uint64_t count, uint64_t bound, const char *call)
{
	if (count > bound && count - bound > dearest->over)
		dearest->over = count - bound;
	if (count <= dearest->count)
		return;
	dearest->count = count;
	snprintf(dearest->call, sizeof(dearest->call), "%s", call);
}

/* Before each call that is judged. */
static void reset(struct field *field)
{
	field->map.visits = blocks = 0;
}

/* A call that deals with @n units has just been made. */
static void judge(struct field *field, const char *name, uint32_t n, uint32_t order)
{
	const uint64_t counted = blocks, levels = field->map.top + 1;
	char call[60];

	snprintf(call, sizeof(call), "%s of %u units, order %u", name, n, order);
	compare(&field->visits, field->map.visits, K * levels + C * words(n) + SMALL, call);
	compare(&field->blocks, counted,
		BLOCKS_LEAF + BLOCKS_LEVEL * levels + BLOCKS_WORD * words(n), call);
}

static uint32_t alloc(struct field *field, uint32_t n, uint32_t order)
{
	uint32_t unit;

	reset(field);
	unit = map_alloc(&field->map, n, order);
	judge(field, unit == MAP_NONE ? "alloc, no fit," : "alloc", n, order);
	return unit;
}

static void release(struct field *field, uint32_t unit, uint32_t n)
{
	reset(field);
	if (map_free(&field->map, unit, n) != MAP_OBJECT)
		abort();
	judge(field, "free", n, 0);
}

/* Every size up to 4 KiB and some larger ones, at every alignment. */
static void every_size(struct field *field)
{
	for (uint32_t n = 1; n <= 1 << 20; n += n < 1024 ? 1 : n * 3 / 2)
		for (uint32_t order = 0; order < MAP_ORDERS; order++) {
			const uint32_t unit = alloc(field, n, order);

			if (unit != MAP_NONE)
				release(field, unit, n);
		}
}

/* Some that stay for a while: the pattern wears out where the search looks first. */
static void churn(struct field *field)
{
	struct map_range live[200] = {{0, 0}};

	for (uint32_t i = 0; i < 20000; i++) {
		struct map_range *slot = &live[random_below(&field->random, 200)];
		const uint32_t n = 1 + random_next(&field->random) % (i % 2 ? 1024 : 8);

		if (slot->end) {
			release(field, slot->start, slot->end - slot->start);
			slot->end = 0;
			continue;
		}
		slot->start = alloc(field, n, random_below(&field->random, MAP_ORDERS));
		if (slot->start != MAP_NONE)
			slot->end = slot->start + n;
	}
	for (uint32_t i = 0; i < 200; i++)
		if (live[i].end)
			release(field, live[i].start, live[i].end - live[i].start);
}

/* The pattern's own objects, anywhere: freed, so that holes join, and taken again or not. */
static void victims(struct field *field)
{
	for (uint32_t i = 0; i < 5000; i++) {
		const uint32_t unit = random_below(&field->random, field->map.units);
		uint32_t n;

		if (map_look(&field->map, unit, &n) != MAP_OBJECT)
			continue;
		release(field, unit, n);
		if (i % 2)
			alloc(field, n, random_below(&field->random, MAP_ORDERS));
	}
}

/* Free the object at @unit or one close below it. Returns its end. */
static uint32_t free_at(struct field *field, uint32_t unit)
{
	const uint32_t limit = unit < 5000 ? 0 : unit - 5000;
	uint32_t n = 0;

	while (unit > limit && map_look(&field->map, unit, &n) != MAP_OBJECT)
		unit--;
	if (map_look(&field->map, unit, &n) == MAP_OBJECT)
		release(field, unit, n);
	return unit + n;
}

/*
 * Objects across the borders of nodes of all levels: such a hole has an edge in
 * the nodes on either side. The third free is the dearest: the hole at @low was
 * held and goes into the tree, the one at @high is there and grows.
 */
static void borders(struct field *field)
{
	for (uint32_t span = 1 << 21; span >= MAP_LEAF_UNITS; span /= 8)
		for (uint32_t i = 1; i <= 3 && i * span < field->map.units / 2; i++) {
			const uint32_t low = i * span, high = field->map.units / span * span - low;
			const uint32_t beside = free_at(field, high - 1);

			free_at(field, low - 1);
			free_at(field, beside);
			alloc(field, 3, random_below(&field->random, MAP_ORDERS));
		}
}

static void batches(struct field *field)
{
	uint32_t units[BATCH];

	for (uint32_t n = 1; n <= 1024; n += 1 + n / 7) {
		const uint32_t order = random_below(&field->random, MAP_ORDERS);
		uint32_t count;

		reset(field);
		count = map_alloc_batch(&field->map, n, order, units, BATCH);
		judge(field, "alloc_batch", count * n, order);
		reset(field);
		map_free_batch(&field->map, n, units, count);
		judge(field, "free_batch", count * n, order);
	}
}

/* What is refused, and what only asks. */
static void questions(struct field *field)
{
	for (uint32_t i = 0; i < 2000; i++) {
		const uint32_t unit = random_below(&field->random, field->map.units - 1);
		const uint32_t rest = field->map.units - unit;

		reset(field);
		map_free(&field->map, unit, UINT32_MAX);
		judge(field, "refused free", 1, 0);
		reset(field);
		map_is_free(&field->map, unit, unit + 1 + random_below(&field->random, rest));
		judge(field, "is_free", 1, 0);
		reset(field);
		map_largest_free(&field->map);
		judge(field, "largest_free", 1, 0);
	}
}

static void tell(const char *what, const struct dearest *dearest)
{
	diag("at most %llu %s, by %s", (unsigned long long)dearest->count, what, dearest->call);
	if (dearest->over)
		diag("%llu too many", (unsigned long long)dearest->over);
}

static void test_pattern(const struct pattern *pattern, uint32_t units)
{
	struct field field = {.random = random_seed(units)};

	field.memory = calloc(1, map_memory_bytes(units));
	if (!field.memory)
		abort();
	map_init(&field.map, field.memory, units);
	map_grow(&field.map, units);
	pattern_build(pattern, &field.map);
	every_size(&field);
	batches(&field);
	questions(&field);
	churn(&field);
	borders(&field);
	victims(&field);
	ok(!field.visits.over && !field.blocks.over, "%s, %u units, %u levels", pattern->name,
	   units, field.map.top + 1);
	tell("visits", &field.visits);
	tell("blocks", &field.blocks);
	free(field.memory);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {10000, 4000, 1 << 20, 1 << 24};
	const uint32_t size_count = test_effort() < 100 ? 1 : 4;

	for (uint32_t s = 0; s < size_count; s++)
		for (uint32_t i = 0; i < pattern_count; i++)
			if (argc < 2 ? sizes[s] / patterns[i].fine <= OBJECTS_MAX
				     : !strcmp(argv[1], patterns[i].name))
				test_pattern(&patterns[i], sizes[s]);
	return tap_done();
}
